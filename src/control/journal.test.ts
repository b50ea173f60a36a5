import { appendFile, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
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
