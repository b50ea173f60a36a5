/** `naru open` as a person leaves it in a terminal: what becomes of it is told, here and in another terminal. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { Scope } from '../../src/base/scope.ts'
import type { Diagnosis } from '../../src/model/diagnosis.ts'
import { built } from '../built.ts'
import { freePort } from '../free-port.ts'
import { Lab } from '../lab/namespaces.ts'
import { doubleNat, homeNetwork, startWebServer } from '../lab/router.ts'
import { describeWith } from '../needs.ts'
import { NaruProcess } from './naru-process.ts'

const main = join(import.meta.dirname, '../../dist/main.js')
/** Looked at every 4 s, twice before it counts. */
const toldWithinMs = 20_000

function stateFolder(scope: Scope): string {
  const state = mkdtempSync(join(tmpdir(), 'naru-open-'))
  scope.defer(() => rmSync(state, { recursive: true, force: true }))
  return state
}

it('says that the service does not run, and that it works again', { timeout: 4 * toldWithinMs }, async () => {
  await built()
  await using scope = new Scope()
  const state = mkdtempSync(join(tmpdir(), 'naru-open-'))
  scope.defer(() => rmSync(state, { recursive: true, force: true }))
  const port = await freePort()
  const door = String(await freePort())
  const listen = `127.0.0.1:${door}`
  const naru = new NaruProcess({ through: ['env'], state }, ['open', listen, `127.0.0.1:${port}`])
  scope.defer(() => naru.end())
  await naru.opened()
  expect(naru.hop('relay')?.state).toBe('ok')

  await naru.until('the service is away', () => naru.hop('service')?.state === 'broken', toldWithinMs)
  expect(naru.hop('service')).toMatchObject({
    problem: 'service-down',
    text: { en: `the service does not run: 127.0.0.1:${port} refuses connections` },
  })
  const listed = async (): Promise<unknown> => JSON.parse(await said(['ls', '--json'], state))
  const held = { listen, state: 'degraded', targets: [`127.0.0.1:${port}`] }
  await vi.waitFor(async () => expect(await listed()).toMatchObject({ running: false, elsewhere: [held] }), {
    timeout: toldWithinMs,
  })

  const name = `open-127.0.0.1-${door}`
  expect(JSON.parse(await said(['ports', door, '--json'], state))).toMatchObject({
    rows: [{ address: '127.0.0.1', belongsTo: { kind: 'rule', name } }],
  })

  const service = createServer((socket) => socket.on('error', () => {})).listen(port, '127.0.0.1')
  await once(service, 'listening')
  scope.defer(() => service.close())
  await naru.until('the service is back', () => naru.works, toldWithinMs)
  const status = async (): Promise<unknown> => JSON.parse(await said(['status', name, '--json'], state))
  // A command takes its time where the machine is busy.
  await vi.waitFor(async () => expect(await status()).toMatchObject({ name, state: 'open' }), {
    timeout: toldWithinMs,
  })
  expect(await naru.interrupt()).toBe(0)
  // Nothing of it is left, and there is no file.
  await expect(listed()).rejects.toThrow('FILE_MISSING')
})

describeWith(
  { root: true, platform: 'linux', commands: ['ip', 'nft', 'miniupnpd', 'curl'] },
  'naru open whose router does nothing',
  () => {
    it('is known to naru doctor PORT in another terminal, while it runs', { timeout: 120_000 }, async () => {
      await built()
      await using scope = new Scope()
      const state = stateFolder(scope)
      const lab = scope.use(new Lab())
      const denied = ['deny 1-65535 0.0.0.0/0 1-65535']
      // By PCP, miniupnpd looks through all ports for one that it may open, and answers nobody meanwhile.
      const { host } = scope.use(await homeNetwork(lab, { pcp: false, permissions: denied }))
      await startWebServer(host, 80)
      const through = ['ip', 'netns', 'exec', host.namespace]
      const wanted = ['8888', '127.0.0.1:80', '--name', 'web', '--router', 'auto', '--keep-partial']
      const naru = new NaruProcess({ through, state }, ['open', ...wanted])
      scope.defer(() => naru.end())
      await naru.opened()
      expect(naru.hop('router')?.state).toBe('broken')

      const doctor = (): Promise<Diagnosis> => diagnosis([...through, process.execPath, main], state)
      const found = await vi.waitFor(async () => {
        const { causes } = await doctor()
        expect(causes).toMatchObject([{ code: 'router-refuses', hop: 'router', rule: 'web' }])
        return causes
      }, 30_000)
      // Nobody can edit or switch on what another terminal holds.
      expect(JSON.stringify(found)).not.toMatch(/naru (?:edit|enable) web/)

      expect(await naru.interrupt()).toBe(3)
      expect(readdirSync(state).filter((name) => name.startsWith('open-'))).toEqual([])
      expect((await doctor()).causes.map(({ code }) => code)).not.toContain('router-refuses')
    })

    it('keeps what works behind two routers, and names what to do', { timeout: 120_000 }, async () => {
      await built()
      await using scope = new Scope()
      const lab = scope.use(new Lab())
      const { host } = scope.use(await doubleNat(lab))
      await startWebServer(host, 80)
      const through = ['ip', 'netns', 'exec', host.namespace]
      const wanted = ['8888', '127.0.0.1:80', '--publish']
      const naru = new NaruProcess({ through, state: stateFolder(scope) }, ['open', ...wanted])
      scope.defer(() => naru.end())
      await naru.opened()
      expect(naru.hop('relay')?.state).toBe('ok')
      expect(naru.hop('router')).toMatchObject({
        problem: 'ROUTER_BEHIND_ROUTER',
        text: { en: expect.stringContaining('192.168.1.1') as string },
        notes: [{ en: expect.stringContaining('naru router check open-8888') as string }],
      })
      expect(await naru.interrupt()).toBe(3)
    })
  },
)

async function diagnosis(naru: readonly string[], state: string): Promise<Diagnosis> {
  return JSON.parse(await said(['doctor', '8888', '--json'], state, naru)) as Diagnosis
}

/** What that command line prints, whatever its exit code: 3 says that something is broken. */
function said(
  line: readonly string[],
  state: string,
  [command, ...before]: readonly string[] = [process.execPath, main],
): Promise<string> {
  const env = { ...process.env, NARU_STATE: state, HOME: state, LANG: 'C' }
  return new Promise((resolve, reject) => {
    execFile(command as string, [...before, ...line], { env }, (error, stdout) => {
      if (stdout === '') reject(error ?? new Error(`${line.join(' ')} said nothing`))
      else resolve(stdout)
    })
  })
}
