/**
 * The file of intents and effects: a line before each effect, a line when it is gone, fsynced before the effect is
 * allowed. What lives in it when a process is gone is what has to be undone. Lines of one moment share one fsync.
 */
import { mkdir, open, readFile, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { messageOf, NaruError } from '../base/errors.ts'
import { replaceFile } from '../base/replace-file.ts'
import type { Effect, Hop, Json, Recorder } from '../model/hop.ts'

export interface Entry {
  readonly id: number
  readonly rule: string
  readonly hop: Hop
  readonly member: string
  readonly effect: Json
  /** Milliseconds since the Unix epoch. */
  readonly at: number
}

type Line =
  | ({ op: 'intend' } & Entry)
  | { op: 'amend'; id: number; effect: Json }
  | { op: 'undone'; id: number }

/** Dead lines that are kept before the file is written anew. */
const compactAfter = 2000

export class Journal {
  readonly #path: string
  #file: FileHandle
  readonly #live: Map<number, Entry>
  #next: number
  #dead: number
  #pending: { text: string; resolve: () => void; reject: (error: unknown) => void }[] = []
  #flushing: Promise<void> | null = null
  /** Another process writes the file. */
  #paused = false

  private constructor(path: string, file: FileHandle, entries: Map<number, Entry>, lines: number) {
    this.#path = path
    this.#file = file
    this.#live = entries
    this.#next = Math.max(0, ...entries.keys()) + 1
    this.#dead = lines - entries.size
  }

  /** @throws NaruError STATE_FOLDER */
  static async open(path: string): Promise<Journal> {
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      const { live, lines, torn } = readLines(await readFile(path, 'utf8').catch(() => ''))
      if (torn || lines - live.size > compactAfter) await replaceFile(path, textOf(live), { mode: 0o600 })
      const compacted = torn || lines - live.size > compactAfter
      return new Journal(path, await open(path, 'a', 0o600), live, compacted ? live.size : lines)
    } catch (error) {
      throw failed(path, error)
    }
  }

  /** What is in effect, oldest first. */
  live(): readonly Entry[] {
    return [...this.#live.values()]
  }

  recorder(of: { rule: string; hop: Hop; member: string }, before: readonly Json[] = []): Recorder {
    return { intend: (effect) => this.#intend(of, effect), ...(before.length > 0 && { before }) }
  }

  /** Leaves the file to another process: what is recorded from now on is lost. */
  async pause(): Promise<void> {
    await this.#flushing
    this.#paused = true
  }

  /** The other process is gone. @returns what it left in force */
  async resume(): Promise<readonly Entry[]> {
    const { live } = readLines(await readFile(this.#path, 'utf8').catch(() => ''))
    const theirs = [...live.values()].filter(({ id }) => !this.#live.has(id))
    for (const entry of theirs) this.#live.set(entry.id, entry)
    this.#next = Math.max(this.#next, ...theirs.map(({ id }) => id + 1))
    await replaceFile(this.#path, textOf(this.#live), { mode: 0o600 })
    await this.#file.close()
    this.#file = await open(this.#path, 'a', 0o600)
    this.#dead = 0
    this.#paused = false
    return theirs
  }

  /** Strikes an entry out. A full disk is no reason to fail: undoing twice is harmless. */
  async undone(id: number): Promise<void> {
    if (!this.#live.delete(id)) return
    this.#dead += 2
    await this.#append({ op: 'undone', id }).catch(() => {})
  }

  async close(): Promise<void> {
    await this.#flushing
    if (this.#dead > compactAfter && !this.#paused)
      await replaceFile(this.#path, textOf(this.#live), { mode: 0o600 }).catch(() => {})
    await this.#file.close()
  }

  async #intend(of: { rule: string; hop: Hop; member: string }, effect: Json): Promise<Effect> {
    const entry: Entry = { id: this.#next++, ...of, effect, at: Date.now() }
    await this.#append({ op: 'intend', ...entry })
    this.#live.set(entry.id, entry)
    return {
      amend: async (effect) => {
        const now = this.#live.get(entry.id)
        if (!now) return
        this.#live.set(entry.id, { ...now, effect })
        this.#dead++
        await this.#append({ op: 'amend', id: entry.id, effect })
      },
      undone: () => this.undone(entry.id),
    }
  }

  #append(line: Line): Promise<void> {
    if (this.#paused) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#pending.push({ text: `${JSON.stringify(line)}\n`, resolve, reject })
      this.#flushing ??= this.#flush()
    })
  }

  async #flush(): Promise<void> {
    // A turn of the loop lets every intent of this moment share the fsync.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#pending.length > 0) {
      const batch = this.#pending
      this.#pending = []
      try {
        await this.#file.appendFile(batch.map(({ text }) => text).join(''))
        await this.#file.datasync()
        for (const { resolve } of batch) resolve()
      } catch (error) {
        for (const { reject } of batch) reject(failed(this.#path, error))
      }
    }
    this.#flushing = null
  }
}

/** A line that was cut short by a crash is the last one and was never acted on. */
function readLines(text: string): { live: Map<number, Entry>; lines: number; torn: boolean } {
  const live = new Map<number, Entry>()
  const rows = text.split('\n')
  const torn = rows.pop() !== ''
  let broken = false
  for (const row of rows) {
    const line = parsed(row)
    if (!line) broken = true
    else if (line.op === 'undone') live.delete(line.id)
    else if (line.op === 'amend') {
      const entry = live.get(line.id)
      if (entry) live.set(line.id, { ...entry, effect: line.effect })
    } else
      live.set(line.id, {
        id: line.id,
        rule: line.rule,
        hop: line.hop,
        member: line.member,
        effect: line.effect,
        at: line.at,
      })
  }
  return { live, lines: rows.length, torn: torn || broken }
}

function parsed(row: string): Line | null {
  try {
    const line = JSON.parse(row) as Line
    return typeof line.id === 'number' ? line : null
  } catch {
    return null
  }
}

function textOf(live: ReadonlyMap<number, Entry>): string {
  return [...live.values()].map((entry) => `${JSON.stringify({ op: 'intend', ...entry })}\n`).join('')
}

function failed(path: string, error: unknown): NaruError {
  return new NaruError('STATE_FOLDER', { folder: dirname(path), why: messageOf(error) }, { cause: error })
}
