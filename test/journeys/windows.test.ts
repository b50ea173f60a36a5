/** The same commands on Windows: Node for Windows under wine runs the built Naru; we are its client and its target. */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { built } from '../built.ts'
import { freePort } from '../free-port.ts'
import { startWindows, Windows, wineNeeds } from '../lab/wine.ts'
import { describeWith } from '../needs.ts'

const main = join(process.cwd(), 'dist/main.js')

describeWith(wineNeeds, 'Naru on Windows', () => {
  const folder = mkdtempSync(join(tmpdir(), 'naru-windows-'))
  const target = createServer((socket) => socket.on('error', () => {}).end('from the target'))
  const env = {
    NARU_STATE: Windows.path(join(folder, 'state')),
    NARU_CONFIG: Windows.path(join(folder, 'naru.yaml')),
    LANG: 'en',
  }
  let windows: Windows
  let port: number

  beforeAll(async () => {
    await built()
    windows = await startWindows()
    target.listen(0, '127.0.0.1')
    await once(target, 'listening')
    port = (target.address() as AddressInfo).port
  }, 300_000)

  afterAll(async () => {
    await windows[Symbol.asyncDispose]()
    target.close()
    rmSync(folder, { recursive: true, force: true })
  })

  async function listed(): Promise<string[]> {
    const { stdout } = await windows.node(main, ['ls', '--json'], { env, limitMs: 60_000 })
    const { rules } = JSON.parse(stdout) as { rules: { name: string; state: string }[] }
    return rules.map(({ name, state }) => `${name} ${state}`)
  }

  it('open forwards until Ctrl-C and then frees the port', { timeout: 120_000 }, async () => {
    const listen = await freePort()
    const open = windows.startNode(main, ['open', `127.0.0.1:${listen}`, `127.0.0.1:${port}`], { env })
    await vi.waitFor(async () => expect(await heard(listen)).toBe('from the target'), {
      timeout: 60_000,
      interval: 300,
    })
    open.interrupt()
    expect((await open.ended()).exit).toBe(0)
    await expect(heard(listen)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it(
    'up runs the file, ls lists it, rm takes a rule out, and all is undone at the end',
    { timeout: 180_000 },
    async () => {
      const listen = await freePort()
      writeFileSync(
        join(folder, 'naru.yaml'),
        `# mine\nrules:\n  web: { listen: "127.0.0.1:${listen}", target: "127.0.0.1:${port}" }\n  off: { listen: 1, target: 2, enabled: false }\n`,
      )
      const up = windows.startNode(main, ['up', '--api', 'off'], { env })
      await vi.waitFor(async () => expect(await heard(listen)).toBe('from the target'), {
        timeout: 60_000,
        interval: 300,
      })
      // The rules open first, the door for other commands after them.
      await vi.waitFor(async () => expect(await listed()).toEqual(['web open', 'off disabled']), {
        timeout: 60_000,
        interval: 300,
      })
      expect((await windows.node(main, ['rm', 'web', '--now'], { env, limitMs: 60_000 })).exit).toBe(0)
      await expect(heard(listen)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
      up.interrupt()
      expect((await up.ended()).exit).toBe(0)
    },
  )
})

async function heard(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    connect(port, '127.0.0.1')
      .on('data', (data) => (text += data.toString()))
      .once('end', () => resolve(text))
      .once('error', reject)
  })
}
