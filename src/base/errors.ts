/**
 * The one error class. A code from the table goes in with its parameters; a sentence in each language,
 * an exit code and the next step come out. Callers branch on `code`, people read the message.
 */
import type { CodeEntry, ExitCode } from './codes/entry.ts'
import { codes, type Code } from './codes/index.ts'
import { koreanOf } from './korean.ts'
import { withParticles } from './particle.ts'
import { inEach, say, type Language, type Text } from './text.ts'

export type { Code, ExitCode }

type Names<T extends string> = T extends `${string}{${infer Name}}${infer Rest}` ? Name | Names<Rest> : never
type TemplateOf<C extends Code> =
  | (typeof codes)[C]['text']
  | ((typeof codes)[C] extends { fix: infer F extends string } ? F : never)

/** The placeholders of a code's sentences; each must be given, but for the rule, which only who opens it knows. */
export type Params<C extends Code> = { [N in Exclude<Names<TemplateOf<C>>, 'rule'>]: Param } & {
  readonly rule?: Param
}

/** What fills a placeholder; a `Text` fills each language's sentence with its own words. */
export type Param = string | number | Text

export interface NaruErrorJson {
  code: string
  message: Text
  fix: Text | null
  details: Readonly<Record<string, Param>>
  /** Each thing that is wrong with a rule, where the message tells them all in one line. */
  problems?: readonly PlacedText[]
  /** What is still in force, as it could not be undone. */
  left?: readonly Text[]
}

/** `publish.externalPort` and what is wrong with it; an empty path is the whole. */
export interface PlacedText {
  readonly path: string
  readonly text: Text
}

export class NaruError<C extends Code = Code> extends Error {
  readonly code: C
  readonly params: Readonly<Record<string, Param>>
  readonly problems: readonly PlacedText[]
  /** What is still in force, as it could not be undone; the next start undoes it. */
  readonly left: readonly Text[]

  constructor(
    code: C,
    params: Params<C>,
    options: { cause?: unknown; problems?: readonly PlacedText[]; left?: readonly Text[] } = {},
  ) {
    super(fill(codes[code].text, params, 'en'), 'cause' in options ? { cause: options.cause } : {})
    this.name = 'NaruError'
    this.code = code
    this.params = params
    this.problems = options.problems ?? []
    this.left = options.left ?? []
  }

  get exitCode(): ExitCode {
    return this.left.length > 0 ? 1 : codes[this.code].exit
  }

  /** The same error, of which something is still in force. */
  leaving(left: readonly Text[]): NaruError<C> {
    const { code, params, problems, cause } = this
    return new NaruError(code, params as Params<C>, { cause, problems, left })
  }

  /** The same error, whose next step names that rule. */
  of(rule: string): NaruError<C> {
    const { code, params, problems, left, cause, stack } = this
    const { fix }: CodeEntry = codes[code]
    if (!fix?.includes('{rule}')) return this
    const named = new NaruError(code, { ...(params as Params<C>), rule }, { cause, problems, left })
    return Object.assign(named, { stack })
  }

  /** What could not be done, to what, and why. */
  get text(): Text {
    return inEach((language) =>
      language === 'en' ? this.message : fill(codes[this.code].text, this.params, language),
    )
  }

  /** The next step, where there is one. */
  get fix(): Text | null {
    const { fix }: CodeEntry = codes[this.code]
    return fix ? inEach((language) => fill(fix, this.params, language)) : null
  }

  toJSON(): NaruErrorJson {
    const { problems, left } = this
    return {
      code: this.code,
      message: this.text,
      fix: this.fix,
      details: this.params,
      ...(problems.length > 0 && { problems }),
      ...(left.length > 0 && { left }),
    }
  }
}

/** True where `error` is ours and, if codes are named, one of them. */
export function isNaruError<C extends Code>(error: unknown, ...wanted: C[]): error is NaruError<C> {
  return error instanceof NaruError && (wanted.length === 0 || (wanted as Code[]).includes(error.code))
}

/** Whatever was thrown, as one of ours; what is not ours keeps its message and becomes the cause. */
export function toNaruError(thrown: unknown): NaruError {
  if (thrown instanceof NaruError) return thrown
  if (isAbort(thrown)) return new NaruError('ABORTED', { what: workUnderWay }, { cause: thrown })
  const code =
    errnoOf(thrown) === 'EMFILE' || errnoOf(thrown) === 'ENFILE' ? 'OUT_OF_DESCRIPTORS' : 'INTERNAL'
  return new NaruError(code, { why: messageOf(thrown) }, { cause: thrown })
}

/** What a signal throws that was fired without a reason of its own: somebody called it off, and no limit was over. */
function isAbort(thrown: unknown): boolean {
  const { name, cause } = (thrown ?? {}) as { name?: unknown; cause?: { name?: unknown } | null }
  return name === 'AbortError' && cause?.name !== 'TimeoutError'
}

const workUnderWay: Text = say('the work under way')

export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

/** Node's `error.code`, such as `EADDRINUSE`; undefined where there is none. */
export function errnoOf(thrown: unknown): string | undefined {
  const code = (thrown as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : undefined
}

/** As a person would put the name in. */
const someRule: Text = say('RULE')

function fill(english: string, params: Readonly<Record<string, Param>>, language: Language): string {
  const template = language === 'en' ? english : (koreanOf(english) ?? english)
  const filled = template.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = params[name] ?? (name === 'rule' ? someRule : whole)
    return typeof value === 'object' ? value[language] : String(value)
  })
  return language === 'ko' ? withParticles(filled) : filled
}
