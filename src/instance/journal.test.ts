import { execFileSync } from 'node:child_process'
import { appendFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { describeWith } from '../../test/needs.ts'
import type { Json } from '../model/hop.ts'
import { formatLine, readLines, type JournalEntry, type JournalLine } from './journal-lines.ts'
import { Journal } from './journal.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'naru-journal-'))
  path = join(folder, 'deep', 'journal')
})
afterEach(() => rm(folder, { recursive: true }))

async function expectLive(effects: unknown[]): Promise<void> {
  const journal = await Journal.open(path)
  expect(journal.live().map(({ effect }) => effect)).toEqual(effects)
  await journal.close()
}

const of = { rule: 'web', hop: 'router', member: 'pcp' } as const

describe('the journal', () => {
  it('has an intent on the disk before it answers, and nothing when all is undone', async () => {
    const journal = await Journal.open(path)
    const effect = await journal.recorder(of).intend({ port: 8888 })
    expect(await readFile(path, 'utf8')).toContain('"port":8888')
    await effect.amend({ port: 9999 })
    expect(journal.live()).toMatchObject([{ ...of, effect: { port: 9999 } }])
    await effect.undone()
    await effect.undone()
    expect(journal.live()).toEqual([])
    await journal.close()
    await expectLive([])
  })

  it('is read back after a crash, without the line that was cut short', async () => {
    const journal = await Journal.open(path)
    const recorder = journal.recorder(of)
    await Promise.all([recorder.intend(1), recorder.intend(2), recorder.intend(3)])
    await appendFile(path, '{"op":"intend","id":4,"ru')
    const again = await Journal.open(path)
    expect(again.live().map(({ effect }) => effect)).toEqual([1, 2, 3])
    await again.recorder(of).intend(5)
    await again.close()
    await journal.close()
    await expectLive([1, 2, 3, 5])
  })

  it('stays small however much passes through it', async () => {
    const journal = await Journal.open(path)
    for (let round = 0; round < 30; round++) {
      const effects = await Promise.all(
        Array.from({ length: 50 }, (_, index) => journal.recorder(of).intend(index)),
      )
      await Promise.all(effects.map((effect) => effect.undone()))
    }
    await journal.close()
    expect((await stat(path)).size).toBeLessThan(1000)
  })

  it('cannot be read by others', async () => {
    await (await Journal.open(path)).close()
    if (process.platform !== 'win32') expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  it('says which folder is not writable', async () => {
    await (await Journal.open(path)).close()
    await expect(Journal.open(join(path, 'below a file', 'journal'))).rejects.toMatchObject({
      code: 'STATE_FOLDER',
    })
  })
})

describe('a journal of before', () => {
  const entry = { rule: 'web', hop: 'router', member: 'pcp', at: 0 } as const
  const old = (line: JournalLine): string => `${JSON.stringify(line)}\n`

  it('without checksums is read, and written anew with them', async () => {
    await mkdir(join(folder, 'deep'))
    const lines = [old({ op: 'intend', id: 1, effect: 1, ...entry }), old({ op: 'undone', id: 1 })]
    await writeFile(path, `${lines.join('')}${old({ op: 'intend', id: 2, effect: 2, ...entry })}`)
    await expectLive([2])
    expect(await readFile(path, 'utf8')).toMatch(/^1 [0-9a-f]{8} {"op":"intend","id":2,.*}\n$/)
  })

  it('is no way for a line without a checksum to come after one that has it', () => {
    const lines = formatLine({ op: 'intend', id: 1, effect: 1, ...entry }) + old({ op: 'undone', id: 1 })
    expect(readLines(Buffer.from(lines))).toMatchObject({
      live: new Map([[1, { effect: 1 }]]),
      unreadable: 1,
    })
  })
})

describe('a damaged journal', () => {
  const effects = fc.oneof(fc.integer(), fc.string(), fc.record({ port: fc.nat(65_535), 한: fc.string() }))
  const steps = fc.array(fc.tuple(fc.constantFrom('intend', 'amend', 'undone'), fc.nat(5), effects), {
    minLength: 1,
    maxLength: 12,
  })
  /** @returns the file, and every state that each entry ever had */
  const written = (from: readonly (readonly [string, number, Json])[]): [Buffer, Map<number, Json[]>] => {
    const states = new Map<number, Json[]>()
    const lines = from.map(([op, id, effect]): JournalLine => {
      if (op === 'undone') return { op, id }
      if (op === 'intend' || states.has(id)) states.set(id, [...(states.get(id) ?? []), effect])
      if (op === 'amend') return { op, id, effect }
      return { op: 'intend', id, rule: '규칙', hop: 'router', member: 'pcp', effect, at: 1 }
    })
    return [Buffer.from(lines.map(formatLine).join('')), states]
  }
  const liveIn = (bytes: Buffer): JournalEntry[] => [...readLines(bytes).live.values()]

  it('whose end became zeros is told of', () => {
    const line = formatLine({
      op: 'intend',
      id: 1,
      rule: 'web',
      hop: 'router',
      member: 'pcp',
      effect: 1,
      at: 1,
    })
    const { live, unreadable } = readLines(Buffer.concat([Buffer.from(line), Buffer.alloc(4096)]))
    expect([live.size, unreadable]).toEqual([1, 1])
  })

  it('cut anywhere is the whole lines before the cut, and nobody is told of a crash', () => {
    fc.assert(
      fc.property(steps, (from) => {
        const [bytes] = written(from)
        for (let at = 0; at <= bytes.length; at++) {
          const cut = bytes.subarray(0, at)
          // All of a line but its end says what the line says.
          const whole =
            bytes[at] === 0x0a ? bytes.subarray(0, at + 1) : cut.subarray(0, cut.lastIndexOf(0x0a) + 1)
          expect(liveIn(cut)).toEqual(liveIn(whole))
          expect(readLines(cut).unreadable).toBe(0)
        }
      }),
      { numRuns: 20 },
    )
  })

  it('with any bit flipped holds nothing that was never written, and says what it lost', () => {
    fc.assert(
      fc.property(steps, (from) => {
        const [bytes, states] = written(from)
        const before = liveIn(bytes)
        for (let bit = 0; bit < bytes.length * 8; bit++) {
          const flipped = Buffer.from(bytes)
          flipped[bit >> 3]! ^= 1 << (bit & 7)
          const { live, unreadable } = readLines(flipped)
          for (const { id, rule, hop, effect } of live.values()) {
            expect({ rule, hop }).toEqual({ rule: '규칙', hop: 'router' })
            expect(states.get(id)).toContainEqual(effect)
          }
          if (unreadable === 0) expect([...live.values()]).toEqual(before)
        }
      }),
      { numRuns: 10 },
    )
  })

  it('is told of with a count, kept as it was, and goes on with what can be read', async () => {
    const journal = await Journal.open(path)
    for (const port of [1, 2, 3]) await journal.recorder(of).intend(port)
    await journal.close()
    const bytes = await readFile(path)
    bytes[bytes.indexOf('\n') + 30]! ^= 4
    await writeFile(path, bytes)
    const again = await Journal.open(path)
    expect(again.damage).toEqual({ unreadable: 1, lines: 3, kept: `${path}.damaged` })
    expect(await readFile(`${path}.damaged`)).toEqual(bytes)
    await again.close()
    const third = await Journal.open(path)
    expect(third.damage).toBeNull()
    expect(third.live().map(({ effect }) => effect)).toEqual([1, 3])
    await third.close()
  })
})

describeWith({ root: true, platform: 'linux', commands: ['mount', 'umount'] }, 'a disk without room', () => {
  let disk: string
  beforeEach(async () => {
    disk = await mkdtemp(join(tmpdir(), 'naru-full-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk])
  })
  afterEach(async () => {
    execFileSync('umount', ['-l', disk])
    await rm(disk, { recursive: true })
  })

  it('refuses what it cannot write down, and takes no line along that came before or comes later', async () => {
    path = join(disk, 'journal')
    const journal = await Journal.open(path)
    const recorder = journal.recorder(of)
    const kept = []
    const filler = join(disk, 'filler')
    await writeFile(filler, Buffer.alloc(60 * 1024)).catch(() => {})
    const first = await recorder.intend('first')
    for (let n = 0; n < 200; n++) {
      const effect = `${n}`.padEnd(300, 'x')
      const intended = await recorder.intend(effect).then(
        () => true,
        (error: unknown) => error,
      )
      if (intended === true) kept.push(effect)
      else expect(intended).toMatchObject({ code: 'STATE_FOLDER' })
    }
    expect(kept.length).toBeLessThan(200)
    await first.undone()
    await rm(filler)
    await recorder.intend('later')
    const { live, unreadable } = readLines(await readFile(path))
    expect([...live.values()].map(({ effect }) => effect)).toEqual([...kept, 'later'])
    expect(unreadable).toBe(0)
    await journal.close()
  })
})
