/**
 * `naru doctor` as a person types it, on the whole way of four hops: internet — router — host with an nft that drops —
 * relay — a QEMU guest's forward — its web server, with the daemon that holds them all.
 */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { Scope } from '../../src/base/scope.ts'
import type { Diagnosis } from '../../src/model/diagnosis.ts'
import type { RuleStatus } from '../../src/model/naru-api.ts'
import { built } from '../built.ts'
import { nftFirewall } from '../lab/firewalls.ts'
import { Lab, type LabHost } from '../lab/namespaces.ts'
import { guestNeeds, startGuest } from '../lab/qemu.ts'
import { homeNetwork } from '../lab/router.ts'
import { describeWith } from '../needs.ts'

const main = join(import.meta.dirname, '../../dist/main.js')
const commands = [...(guestNeeds.commands ?? []), 'ip', 'nft', 'miniupnpd']
const turns = Number(process.env.NARU_TURNS ?? 5)

/** A diagnosis of a healthy rule takes at most 3 s, on a machine whose processors are not shared with more than they can do. */
const healthyMs = (): number => 3000 * Math.max(1, (loadavg()[0] as number) / availableParallelism())

describeWith({ ...guestNeeds, commands }, 'naru doctor on the whole way', () => {
  let scope: Scope
  let host: LabHost
  let folder: string

  beforeAll(async () => {
    await built()
    await using made = new Scope()
    folder = mkdtempSync(join(tmpdir(), 'naru-doctor-'))
    made.defer(() => rmSync(folder, { recursive: true, force: true }))
    const home = await homeNetwork(made.use(new Lab()))
    host = home.host
    made.use(nftFirewall(host, ['tcp dport 22 accept']))
    await startGuest(host, { name: 'web', forwards: ['tcp:127.0.0.1:2222-:22'] })
    writeFileSync(
      join(folder, 'naru.yaml'),
      'rules:\n  web: { listen: 8888, target: "qemu:web:80", publish: { firewall: auto, router: auto, guest: nat } }\n',
    )
    const daemon = host.start([process.execPath, main, 'up', '--config', join(folder, 'naru.yaml')], {
      env: environment(),
      stdio: 'ignore',
    })
    const gone = once(daemon, 'exit')
    made.defer(async () => {
      daemon.kill('SIGTERM')
      await gone
    })
    await vi.waitFor(() => expect(ruleState()).toBe('open'), { timeout: 60_000, interval: 200 })
    scope = made.move()
  }, 180_000)
  afterAll(async () => scope?.[Symbol.asyncDispose]())

  const environment = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
    ...process.env,
    NARU_STATE: folder,
    HOME: folder,
    LANG: 'C.UTF-8',
    NO_COLOR: '1',
    ...more,
  })

  function naru(...words: string[]): { code: number; text: string } {
    const inside = ['netns', 'exec', host.namespace, process.execPath, main]
    const config = ['--config', join(folder, 'naru.yaml')]
    try {
      const text = execFileSync('ip', [...inside, ...words, ...config], {
        env: environment(),
        encoding: 'utf8',
      })
      return { code: 0, text }
    } catch (error) {
      const { status, stdout } = error as { status: number; stdout: string }
      return { code: status, text: stdout }
    }
  }

  function ruleState(): string | undefined {
    const { rules } = JSON.parse(naru('ls', '--json').text) as { rules: RuleStatus[] }
    return rules[0]?.state
  }

  it(
    `finds nothing wrong, ${turns} times, and within 3 s where it is let`,
    { timeout: 30_000 * turns },
    () => {
      const tookMs: number[] = []
      for (let turn = 0; turn < turns; turn++) {
        const began = performance.now()
        const { code, text } = naru('doctor', 'web', '--json')
        const diagnosis = JSON.parse(text) as Diagnosis
        if (process.env.NARU_SHOW) process.stderr.write(shown(diagnosis, performance.now() - began))
        expect(diagnosis.causes).toEqual([])
        expect(code).toBe(0)
        tookMs.push(diagnosis.tookMs)
      }
      // Of several, the one that was disturbed least tells what a diagnosis takes.
      expect(Math.min(...tookMs)).toBeLessThan(healthyMs())
    },
  )

  it('says so in words, of a rule by name and by port, and in Korean', { timeout: 120_000 }, () => {
    // A machine with too much to do leaves a check or two unmade, which is said too.
    const well = /^nothing (is wrong as far as can be seen from here|wrong was found, but \d+ checks)/
    expect(naru('doctor', 'web').text).toMatch(well)
    expect(naru('doctor', '8888').text).toMatch(well)
    expect(naru('doctor', '--lang', 'ko').text).toMatch(
      /^(여기서 볼 수 있는 한 문제가 없습니다|발견된 문제는 없지만)/,
    )
  })
})

function shown({ tookMs, checks }: Diagnosis, wholeMs: number): string {
  const slowest = checks.toSorted((a, b) => b.tookMs - a.tookMs).slice(0, 8)
  const words = slowest.map((one) => `${one.code} ${one.tookMs}`).join(', ')
  return `${tookMs} ms of ${Math.round(wholeMs)}: ${words}\n`
}
