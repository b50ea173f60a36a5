import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { beforeAll, expect, it } from 'vitest'
import { built } from '../../../../test/built.ts'
import { describeWith } from '../../../../test/needs.ts'
import { echo, readSome, World } from '../../../../test/conformance/engine/world.ts'
import { prestart, dismissPrestarted, takePrestarted } from './prestart.ts'
import { SpliceEngine } from './engine.ts'

const main = new URL('../../../../dist/main.js', import.meta.url).pathname

describeWith({ platform: 'linux' }, 'a thread that was begun before anyone asked for it', () => {
  beforeAll(built, 120_000)

  it('carries what comes first', async () => {
    prestart()
    await using world = new World((tools) => new SpliceEngine(tools, { threads: 1 }))
    const target = await world.target(echo)
    const { port } = await world.forward(target.at)
    expect(takePrestarted(), 'somebody took it').toBeNull()
    const client = await world.dial(port)
    client.write('hello')
    expect(String(await readSome(client, 5))).toBe('hello')
  })

  it('ends where another engine carries the rule', async () => {
    prestart()
    await dismissPrestarted()
    expect(takePrestarted()).toBeNull()
  })

  it('ends with a process that has no use for it, whatever it is doing by then', async () => {
    const run = promisify(execFile)
    for (let times = 0; times < 5; times++) {
      const ended = run(process.execPath, [main, 'open', '8888'])
      await expect(ended).rejects.toMatchObject({ code: 2, signal: null })
    }
  })
})
