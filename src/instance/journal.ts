/**
 * The file of intents and effects: a line before each effect, a line when it is gone, fsynced before the effect is
 * allowed. What lives in it when a process is gone is what has to be undone. Lines of one moment share one fsync.
 */
import { copyFile, mkdir, open, readFile, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errnoOf, messageOf, NaruError } from '../base/errors.ts'
import { replaceFile } from '../base/replace-file.ts'
import { say, type Text } from '../base/text.ts'
import type { Effect, Hop, Json, Recorder } from '../model/hop.ts'
import { formatLine, readLines, type JournalEntry } from './journal-lines.ts'

export type { JournalEntry } from './journal-lines.ts'

/** Dead lines that are kept before the file is written anew. */
const compactAfter = 2000

export class Journal {
  readonly #path: string
  #file: FileHandle
  /** Up to here every line is whole. */
  #goodBytes: number
  /** After a write that failed something else may stand behind them. */
  #torn = false
  readonly #live: Map<number, JournalEntry>
  readonly #written = new Set<number>()
  #next: number
  #dead: number
  #pending: { text: string; resolve: () => void; reject: (error: unknown) => void }[] = []
  /** Lines about what is gone, for which there was no room. */
  #owed = ''
  #flushing: Promise<void> | null = null
  /** Another process writes the file. */
  #paused = false
  /** Lines that could not be read when it was opened, and where they are kept; null where all could. */
  readonly damage: Damage | null

  private constructor(
    path: string,
    of: {
      file: FileHandle
      bytes: number
      live: Map<number, JournalEntry>
      lines: number
      damage: Damage | null
    },
  ) {
    this.#path = path
    this.#file = of.file
    this.#goodBytes = of.bytes
    this.#live = of.live
    this.#next = Math.max(0, ...of.live.keys()) + 1
    this.#dead = of.lines - of.live.size
    this.damage = of.damage
  }

  /** @throws NaruError STATE_FOLDER */
  static async open(path: string): Promise<Journal> {
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      const { live, lines, whole, unreadable } = readLines(await bytesOf(path))
      const anew = !whole || lines - live.size > compactAfter
      const damage = unreadable > 0 ? await keepDamaged(path, { unreadable, lines }) : null
      if (anew) await replaceFile(path, textOf(live), { mode: 0o600 })
      const file = await open(path, 'a', 0o600)
      const { size: bytes } = await file.stat()
      return new Journal(path, { file, bytes, live, lines: anew ? live.size : lines, damage })
    } catch (error) {
      throw failed(path, error)
    }
  }

  /** What is in force by it, without opening it; null where some of its lines cannot be read. */
  static async peek(path: string): Promise<readonly JournalEntry[] | null> {
    const { live, unreadable } = readLines(await bytesOf(path))
    return unreadable > 0 ? null : [...live.values()]
  }

  /** Whether something is in force by it, without opening it. */
  static async holdsAny(path: string): Promise<boolean> {
    return (await Journal.peek(path))?.length !== 0
  }

  /** Whether it was this process that intended it. */
  wrote(id: number): boolean {
    return this.#written.has(id)
  }

  /** What is in effect, oldest first. */
  live(): readonly JournalEntry[] {
    return [...this.#live.values()]
  }

  /** @param of `rule` may be another later, as a rule can be renamed */
  recorder(of: RecordedAs, before: readonly Json[] = []): Recorder {
    return { intend: (effect) => this.#intend(of, effect), ...(before.length > 0 && { before }) }
  }

  /** Leaves the file to another process: what is recorded from now on is lost. */
  async pause(): Promise<void> {
    await this.#flushing
    this.#paused = true
  }

  /** The other process is gone. @returns what it left in force */
  async resume(): Promise<readonly JournalEntry[]> {
    const bytes = await bytesOf(this.#path)
    const { live } = readLines(bytes)
    const theirs = [...live.values()].filter(({ id }) => !this.#live.has(id))
    for (const entry of theirs) this.#live.set(entry.id, entry)
    this.#next = Math.max(this.#next, ...theirs.map(({ id }) => id + 1))
    // Where there is no room to write it anew, it goes on behind its last whole line.
    this.#torn = await replaceFile(this.#path, textOf(this.#live), { mode: 0o600 }).then(
      () => false,
      () => true,
    )
    await this.#file.close()
    this.#file = await open(this.#path, 'a', 0o600)
    this.#goodBytes = this.#torn ? bytes.lastIndexOf('\n') + 1 : (await this.#file.stat()).size
    this.#owed = ''
    this.#dead = 0
    this.#paused = false
    return theirs
  }

  /** What is in force for that rule is another's from now on, as it has another name. */
  async rename(rule: string, to: string): Promise<void> {
    const lines: string[] = []
    for (const entry of this.#live.values()) {
      if (entry.rule !== rule) continue
      const named = { ...entry, rule: to }
      this.#live.set(entry.id, named)
      // The same id again takes the place of what was said of it.
      lines.push(formatLine({ op: 'intend', ...named }))
    }
    this.#dead += lines.length
    if (lines.length > 0) await this.#append(lines.join(''))
  }

  /** Strikes an entry out. A full disk is no reason to fail: undoing twice is harmless. */
  async undone(id: number): Promise<void> {
    this.#written.delete(id)
    if (!this.#live.delete(id)) return
    this.#dead += 2
    const line = formatLine({ op: 'undone', id })
    await this.#append(line).catch(() => (this.#owed += line))
  }

  /** Nothing that is in force is lost by it; a journal of which all is undone is empty afterwards. */
  async close(): Promise<void> {
    await this.#flushing
    if (!this.#paused) await this.#tidy().catch(() => {})
    await this.#file.close()
  }

  async #tidy(): Promise<void> {
    if (this.#live.size === 0) await this.#file.truncate(0)
    else if (this.#dead > compactAfter || this.#owed !== '' || this.#torn)
      await replaceFile(this.#path, textOf(this.#live), { mode: 0o600 })
  }

  async #intend({ rule, hop, member }: RecordedAs, effect: Json): Promise<Effect> {
    const entry: JournalEntry = { id: this.#next++, rule, hop, member, effect, at: Date.now() }
    await this.#append(formatLine({ op: 'intend', ...entry }))
    this.#live.set(entry.id, entry)
    this.#written.add(entry.id)
    return {
      amend: async (effect) => {
        const now = this.#live.get(entry.id)
        if (!now) return
        this.#live.set(entry.id, { ...now, effect })
        this.#dead++
        await this.#append(formatLine({ op: 'amend', id: entry.id, effect }))
      },
      undone: () => this.undone(entry.id),
    }
  }

  #append(text: string): Promise<void> {
    if (this.#paused) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#pending.push({ text, resolve, reject })
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
        await this.#write(batch.map(({ text }) => text).join(''))
        for (const { resolve } of batch) resolve()
      } catch (error) {
        for (const { reject } of batch) reject(failed(this.#path, error))
      }
    }
    this.#flushing = null
  }

  /** All of it or nothing: half a line would take the next one with it. */
  async #write(lines: string): Promise<void> {
    if (this.#torn) await this.#mend()
    const owed = this.#owed
    const text = owed + lines
    try {
      await this.#file.appendFile(text)
      await this.#file.datasync()
      this.#goodBytes += Buffer.byteLength(text)
      this.#owed = this.#owed.slice(owed.length)
    } catch (error) {
      this.#torn = true
      await this.#mend().catch(() => {})
      throw error
    }
  }

  async #mend(): Promise<void> {
    await this.#file.truncate(this.#goodBytes)
    await this.#file.datasync()
    this.#torn = false
  }
}

/** Whose an effect is. */
interface RecordedAs {
  readonly rule: string
  readonly hop: Hop
  readonly member: string
}

/** What of a journal could not be read. */
export interface Damage {
  readonly unreadable: number
  readonly lines: number
  /** A copy of the journal as it was found. */
  readonly kept: string
}

export function damageText({ unreadable, lines, kept }: Damage): Text {
  return say`${unreadable} of ${lines} lines of the journal cannot be read; what they say may still be in force: \`naru firewall ls\` and \`naru router ls\` show it, ${kept} has the lines`
}

/** A full disk is no reason not to undo what can be read. */
async function keepDamaged(path: string, found: Omit<Damage, 'kept'>): Promise<Damage> {
  const kept = `${path}.damaged`
  await copyFile(path, kept).catch(() => {})
  return { ...found, kept }
}

function bytesOf(path: string): Promise<Buffer> {
  return readFile(path).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return Buffer.alloc(0)
    throw error
  })
}

function textOf(live: ReadonlyMap<number, JournalEntry>): string {
  return [...live.values()].map((entry) => formatLine({ op: 'intend', ...entry })).join('')
}

function failed(path: string, error: unknown): NaruError {
  return new NaruError('STATE_FOLDER', { folder: dirname(path), why: messageOf(error) }, { cause: error })
}
