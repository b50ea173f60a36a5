/** Rules in one YAML file that a person can read, keep in git and edit. Every other way to change a rule goes through it. */
import { createHash } from 'node:crypto'
import { watch, watchFile, unwatchFile } from 'node:fs'
import { mkdir, open, unlink, readdir } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { systemClock } from '../../base/clock.ts'
import { errnoOf, isNaruError, messageOf, NaruError } from '../../base/errors.ts'
import { inEach, say, verbatim, type Text } from '../../base/text.ts'
import { shellWord } from '../../base/shell.ts'
import { whyUntrusted } from '../../base/trust.ts'
import type { RuleInput } from '../../model/naru-api.ts'
import type { Problem } from '../../model/schema.ts'
import type { StoreChange, Snapshot, Store, StoreChangeOptions } from '../contract.ts'
import { NoPlainFile, readPlainFile } from '../../base/plain-file.ts'
import { replaceFile } from '../../base/replace-file.ts'
import { mostBytes, readDocument, type FileDocument, type PlacedProblem } from './document.ts'

/** Editors write in bursts. */
const settleMs = 100
/**
 * A file that got shorter may be one that is still being written: a slow copy, a full disk. It is believed once it has
 * stood still for this long.
 */
const rewriteMs = 1000
/** For file systems that do not tell (network shares, some containers). */
const pollMs = 2000

/** A mount point cannot be renamed over (rename(2), EBUSY), and a file that is written in place can be cut short. */
const mountedAlone = say(
  'this file is a mount of its own, as of `docker run -v …/naru.yaml:…`; mount its folder instead',
)

export function createFileStore(path: string): Store {
  return new FileStore(resolve(path))
}

interface Read {
  readonly revision: string
  readonly document: FileDocument
}

class FileStore implements Store {
  readonly name: string
  /** The last removal: what the file was before, and what it became. */
  #removed: { name: string; rule: RuleInput; before: string; after: string } | null = null
  /** What was last read or written: an edit that finds the same text need not parse it again. */
  #last: Read | null = null
  #queue: Promise<unknown> = Promise.resolve()

  constructor(path: string) {
    this.name = path
  }

  async read({ meant = false }: { signal: AbortSignal; meant?: boolean }): Promise<Snapshot> {
    return this.#snapshot(await this.#load(meant))
  }

  change(changes: readonly StoreChange[], { revision, before }: StoreChangeOptions): Promise<Snapshot> {
    return this.#oneAtATime(async () => {
      let [now, document] = await this.#draft(changes, revision)
      if (before) {
        await before()
        // Somebody may have written meanwhile: what they wrote stays.
        if ((await this.#there()) !== now) [now, document] = await this.#draft(changes, revision)
      }
      await this.#write(document.text)
      this.#last = { revision: revisionOf(document.text), document }
      this.#remember(changes, now, this.#last)
      return this.#snapshot(this.#last)
    })
  }

  #there(): Promise<Read> {
    return this.#load().catch(orEmpty)
  }

  /** What there is, and what it would be. @throws NaruError FILE_CHANGED, FILE_INVALID */
  async #draft(changes: readonly StoreChange[], revision: string | undefined): Promise<[Read, FileDocument]> {
    const now = await this.#there()
    if (revision !== undefined && revision !== now.revision)
      throw new NaruError('FILE_CHANGED', { file: this.name })
    return [now, this.#changed(changes, now)]
  }

  watch({ signal, onChange }: { signal: AbortSignal; onChange: () => void }): void {
    let timer: Disposable | undefined
    let doubted: string | null = null
    const look = async (): Promise<void> => {
      const text = await readText(this.name).catch(() => null)
      if (signal.aborted) return
      const revision = text === null ? null : revisionOf(text)
      // Our own writing is no news; that the file is gone or unreadable is.
      if (revision !== null && revision === this.#last?.revision) return
      const isShorter = text !== null && text.length < (this.#last?.document.text.length ?? 0)
      if (isShorter && doubted !== revision) {
        doubted = revision
        return settle(rewriteMs)
      }
      doubted = null
      onChange()
    }
    const settle = (ms = settleMs): void => {
      timer?.[Symbol.dispose]()
      // After our own writing that is under way, so as not to take it for somebody else's.
      timer = systemClock.after(ms, () => void this.#oneAtATime(look))
    }
    const onNews = (): void => settle()
    const stopWatching = watchFolder(this.name, onNews)
    watchFile(this.name, { interval: pollMs, persistent: false }, onNews)
    signal.addEventListener('abort', () => {
      timer?.[Symbol.dispose]()
      stopWatching()
      unwatchFile(this.name, onNews)
    })
  }

  #changed(changes: readonly StoreChange[], now: Read): FileDocument {
    const back = this.#takenBack(changes, now)
    if (back !== null) return this.#parsed(back)
    let { document } = now
    for (const { name, was } of changes)
      if (was !== undefined) document = this.#parsed(document.renamed(was, name))
    const edits = new Map(
      changes.filter(({ was }) => was === undefined).map(({ name, rule }) => [name, rule]),
    )
    if (edits.size === 0) return document
    return document.edited(edits) ?? this.#parsed(document.withRules(edits))
  }

  /** A rule that comes back as it was, before anything else changed, comes back with its comments and in its place. */
  #takenBack(changes: readonly StoreChange[], now: Read): string | null {
    const removed = this.#removed
    const [only] = changes
    if (removed === null || !only || changes.length > 1) return null
    if (removed.name !== only.name || removed.after !== now.revision) return null
    return JSON.stringify(only.rule) === JSON.stringify(removed.rule) ? removed.before : null
  }

  #remember(changes: readonly StoreChange[], before: Read, after: Read): void {
    const [only] = changes
    const rule =
      only?.rule === null && changes.length === 1 ? before.document.rules.get(only.name) : undefined
    this.#removed =
      only && rule ? { name: only.name, rule, before: before.document.text, after: after.revision } : null
  }

  async #load(meant = false): Promise<Read> {
    mustBeOurWord(this.name)
    const text = await readText(this.name)
    if (this.#last?.document.text === text) return this.#last
    const revision = revisionOf(text)
    if (text.trim() === '' && (this.#last?.document.rules.size ?? 0) > 0)
      throw invalidFile(this.name, [emptied])
    const document = this.#parsed(text)
    if (!meant && this.#last && isCutShort(document, this.#last.document))
      throw invalidFile(this.name, [cutShort(text)])
    return (this.#last = { revision, document })
  }

  #parsed(text: string): FileDocument {
    const read = readDocument(text)
    if ('document' in read) return read.document
    throw invalidFile(this.name, read.problems)
  }

  #snapshot({ revision, document }: { revision: string; document: FileDocument }): Snapshot {
    const place = (problem: Problem): PlacedProblem => ({ ...problem, place: document.placeOf(problem.path) })
    return {
      revision,
      rules: document.rules,
      samplePort: document.samplePort,
      names: document.names,
      stun: document.stun,
      invalid: (problems) => invalidFile(this.name, problems.map(place)),
    }
  }

  async #write(text: string): Promise<void> {
    try {
      await mkdir(dirname(this.name), { recursive: true })
      await replaceFile(this.name, text)
    } catch (error) {
      const why = whyUnwritable(error)
      throw new NaruError('FILE_UNWRITABLE', { file: this.name, why }, { cause: error })
    }
  }

  #oneAtATime<T>(run: () => Promise<T>): Promise<T> {
    const next = this.#queue.then(run, run)
    this.#queue = next.catch(() => {})
    return next
  }
}

/** A rule may be added before there is a file. */
/** Nobody empties a file to close everything; what cuts a file short leaves nothing in it. */
const emptied: PlacedProblem = {
  place: { line: 1, column: 1 },
  path: [],
  text: say('the file is empty, so nothing was changed; to close all rules write `rules: {}`'),
}

/**
 * A write in place that ended early (a full disk, an editor that died) leaves the beginning of what there was, or a file
 * without the end of its last line; its last rule may have lost who is let in. Whole rules that are gone open nothing.
 */
function isCutShort(now: FileDocument, before: FileDocument): boolean {
  if (now.text.length >= before.text.length) return false
  const losesItsEnd = before.text.endsWith('\n') && !now.text.endsWith('\n')
  if (!losesItsEnd && !before.text.startsWith(now.text)) return false
  const [name, rule] = [...now.rules].at(-1) ?? []
  const was = name === undefined ? undefined : before.rules.get(name)
  return was !== undefined && JSON.stringify(was) !== JSON.stringify(rule)
}

function cutShort(text: string): PlacedProblem {
  const lines = text.split('\n')
  return {
    place: { line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 },
    path: [],
    text: say(
      'the file ends in the midst of a rule, as where a disk is full, so nothing was changed; write it again, or run `naru reload` where it is meant so',
    ),
  }
}

function orEmpty(error: unknown): Read {
  const read = readDocument('')
  if (!isNaruError(error, 'FILE_MISSING') || 'problems' in read) throw error
  return { revision: revisionOf(''), document: read.document }
}

/**
 * What a rule file says root does: so as root nobody else may write it, nor the folders above it, unless
 * NARU_TRUST_FILE says that whoever may is to have that power. @throws NaruError UNTRUSTED_PATH
 */
function mustBeOurWord(file: string): void {
  if (process.getuid?.() !== 0 || process.env.NARU_TRUST_FILE) return
  const distrust = whyUntrusted(file)
  if (!distrust) return
  const mend = distrust.command ?? `install -D -m 644 ${shellWord(file)} /etc/naru/naru.yaml`
  throw new NaruError('UNTRUSTED_PATH', {
    path: file,
    why: distrust.why,
    mend: say`run: \`${mend}\`; or set NARU_TRUST_FILE=1, where whoever may write it may do what root may`,
  })
}

/** Makes the file with `text` unless there is one. @returns whether it did. @throws NaruError UNTRUSTED_PATH, FILE_UNWRITABLE */
export async function createFile(path: string, text: string): Promise<boolean> {
  mustBeOurWord(path)
  await mkdir(dirname(path), { recursive: true })
  await sweepTemporaries(path)
  try {
    const file = await open(path, 'wx', 0o644)
    await file.writeFile(text)
    await file.sync()
    await file.close()
    return true
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false
    throw new NaruError('FILE_UNWRITABLE', { file: path, why: messageOf(error) }, { cause: error })
  }
}

/** Temporary files of writers that were killed. */
async function sweepTemporaries(path: string): Promise<void> {
  const folder = dirname(path)
  const left = new RegExp(`^\\.${basename(path).replaceAll('.', '\\.')}\\.(\\d+)\\.[0-9a-f]{8}\\.tmp$`)
  for (const name of await readdir(folder).catch(() => [] as string[])) {
    const pid = left.exec(name)?.[1]
    if (pid && !isAlive(Number(pid))) await unlink(join(folder, name)).catch(() => {})
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errnoOf(error) === 'EPERM'
  }
}

async function readText(path: string): Promise<string> {
  const bytes = await readBytes(path)
  try {
    if (bytes.includes(0)) throw new Error('NUL')
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new NaruError('FILE_NOT_UTF8', { file: path })
  }
}

async function readBytes(path: string): Promise<Buffer> {
  try {
    return await readPlainFile(path, mostBytes)
  } catch (error) {
    if (error instanceof NoPlainFile) throw unreadable(path, error.why)
    if (errnoOf(error) === 'ENOENT') throw new NaruError('FILE_MISSING', { file: path }, { cause: error })
    throw unreadable(path, whyUnreadable(error), error)
  }
}

function whyUnreadable(error: unknown): Text {
  const known: Record<string, Text> = {
    EISDIR: say('it is a folder'),
    EACCES: say('reading it is not permitted'),
  }
  return known[errnoOf(error) ?? ''] ?? verbatim(messageOf(error))
}

function whyUnwritable(error: unknown): Text {
  if (error instanceof NoPlainFile) return error.why
  return errnoOf(error) === 'EBUSY' ? mountedAlone : verbatim(messageOf(error))
}

function unreadable(file: string, why: Text, cause?: unknown): NaruError {
  return new NaruError('FILE_UNREADABLE', { file, why }, { cause })
}

function invalidFile(file: string, problems: readonly PlacedProblem[]): NaruError {
  const line =
    (language: keyof Text) =>
    (problem: PlacedProblem): string => {
      const { line, column } = problem.place
      const path = problem.path.length > 0 ? `${problem.path.join('.')}: ` : ''
      return `  ${file}:${line}:${column}: ${path}${problem.text[language]}`
    }
  const inOrder = problems.toSorted((a, b) => a.place.line - b.place.line || a.place.column - b.place.column)
  const text = inEach((language) => inOrder.map(line(language)).join('\n'))
  return new NaruError('FILE_INVALID', { file, problems: text })
}

/** Renames replace the file, so its folder is watched. Where that fails the polling remains. */
function watchFolder(path: string, onChange: () => void): () => void {
  try {
    const watcher = watch(dirname(path), { persistent: false }, (_, name) => {
      if (name === null || name === basename(path)) onChange()
    })
    watcher.on('error', () => watcher.close())
    return () => watcher.close()
  } catch {
    return () => {}
  }
}

function revisionOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
