/**
 * Data to stdout, talk to stderr, in the person's language, coloured where a terminal wants it. Nothing that others
 * named reaches either as a control sign.
 */
import type { Language, Text } from '../../base/text.ts'
import { visibleLines } from '../../base/visible.ts'
import { roomOf, type Io, type Stream } from '../io.ts'
import { mark, written } from './marks.ts'
import { wrapped } from './width.ts'

export type Paint = (text: string) => string

export interface Paints {
  readonly bold: Paint
  readonly dim: Paint
  readonly red: Paint
  readonly green: Paint
  readonly yellow: Paint
  readonly cyan: Paint
}

export interface Printer {
  readonly language: Language
  /** The sentence in the person's language. */
  say(text: Text): string
  /** A line to stdout. */
  data(line: string): void
  /** Sentences to stdout: on a terminal they break between words. */
  prose(line: string): void
  /** A value to stdout as JSON; on one line for streams, indented otherwise. */
  json(value: unknown, options?: { line?: boolean }): void
  /** A line to stderr. */
  talk(line: string | Text): void
  /** For what goes to stdout. */
  readonly paint: Paints
  /** For what goes to stderr. */
  readonly paintTalk: Paints
}

export function createPrinter(io: Io, language: Language, options: { colour: boolean }): Printer {
  const say = (text: Text): string => text[language]
  return {
    language,
    say,
    data: (line) => void io.stdout.write(`${written(line)}\n`),
    json: (value, { line = false } = {}) =>
      void io.stdout.write(`${written(JSON.stringify(value, null, line ? undefined : 2))}\n`),
    prose: (line) => void io.stdout.write(`${written(inWidth(line, io.stdout))}\n`),
    talk: (line) =>
      void io.stderr.write(`${written(inWidth(typeof line === 'string' ? line : say(line), io.stderr))}\n`),
    paint: paintsFor(io.stdout, io, options),
    paintTalk: paintsFor(io.stderr, io, options),
  }
}

function inWidth(text: string, stream: Stream): string {
  return visibleLines(text)
    .split('\n')
    .map((line) => wrapped(line, roomOf(stream)))
    .join('\n')
}

/** https://no-color.org: set and not empty means none; FORCE_COLOR asks for it off a terminal. */
function paintsFor(stream: Stream, { env }: Io, { colour }: { colour: boolean }): Paints {
  const wanted = env['FORCE_COLOR'] ? env['FORCE_COLOR'] !== '0' : stream.isTTY && env['TERM'] !== 'dumb'
  const paint = (code: number, end: number): Paint =>
    colour && wanted && !env['NO_COLOR'] ? (text) => mark(code) + text + mark(end) : (text) => text
  return {
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
    cyan: paint(36, 39),
  }
}
