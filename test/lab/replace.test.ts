/**
 * `naru up --replace` where a rule is more than a socket: what is in the kernel and in the firewall is handed over as
 * it stands, connections of every engine go on, and the end leaves nothing behind.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { echoes, hostAddress, KernelLab, targetAddress } from './kernel-lab.ts'

const needs = { root: true, platform: 'linux', commands: ['ip', 'nft', 'conntrack'] } as const
const main = join(import.meta.dirname, '../../dist/main.js')
const target = `${targetAddress}:80`
/** A firewall is asked about connections to this machine: the kernel engine is for hosts without one. */
const hosts = {
  'with a firewall': {
    splice: {
      listen: '0.0.0.0:8889',
      target,
      engine: 'splice',
      publish: { firewall: 'nftables' },
    },
    kept: { listen: '0.0.0.0:8890', target, engine: 'splice', source: 'keep' },
    sockets: { listen: '0.0.0.0:8891', target, engine: 'sockets' },
  },
  'without one': {
    kernel: { listen: '0.0.0.0:8888', target, engine: 'kernel' },
    splice: { listen: '0.0.0.0:8889', target, engine: 'splice' },
    kept: { listen: '0.0.0.0:8890', target, engine: 'splice', source: 'keep' },
  },
} as const

describeWith(needs, 'naru up --replace on a host', () => {
  let ports: readonly number[]
  let lab: KernelLab
  let folder: string

  beforeAll(built, 120_000)
  beforeEach(async () => {
    lab = new KernelLab()
    folder = await mkdtemp(join(tmpdir(), 'naru-replace-lab-'))
    lab.serve(lab.target, 80)
    lab.target.ip('route', 'add', '10.1.0.0/24', 'via', '10.2.0.1')
  })

  async function place(kind: keyof typeof hosts): Promise<void> {
    const rules = hosts[kind]
    ports = Object.values(rules).map(({ listen }) => Number(listen.split(':')[1]))
    const wall =
      kind === 'without one'
        ? 'add chain inet filter input { type filter hook input priority 0; policy accept; }'
        : 'add chain inet filter input { type filter hook input priority 0; policy drop; }; ' +
          'add rule inet filter input ct state established,related accept; ' +
          'add rule inet filter input iifname "lo" accept; ' +
          'add rule inet filter input tcp dport { 8890, 8891 } accept'
    lab.host.run(['nft', `add table inet filter; ${wall}`])
    await writeFile(join(folder, 'naru.yaml'), JSON.stringify({ rules }))
  }

  afterEach(async () => {
    await lab[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  function start(...args: string[]): ChildProcess {
    const env = { ...process.env, NARU_STATE: join(folder, 'state'), HOME: folder, LANG: 'C' }
    const argv = ['up', '--config', join(folder, 'naru.yaml'), '--api', 'off', '--json', ...args]
    return lab.host.start([process.execPath, main, ...argv], { env })
  }

  async function up(...args: string[]): Promise<ChildProcess> {
    const child = start(...args)
    let complaints = ''
    child.stderr?.on('data', (text: Buffer) => (complaints += text.toString()))
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
    const ready = await Promise.race([
      once(lines, 'line').then(([line]) => JSON.parse(String(line)) as { failures: unknown[] }),
      once(child, 'exit').then(() => null),
    ])
    if (ready === null) throw new Error(`it ended: ${complaints}`)
    expect(ready.failures).toEqual([])
    return child
  }

  /** Resolves when it has told that. */
  function said(child: ChildProcess, what: string): Promise<void> {
    return new Promise((resolve) => {
      let heard = ''
      child.stderr?.on('data', (text: Buffer) => (heard += text.toString()).includes(what) && resolve())
    })
  }

  async function pidOf(): Promise<number> {
    const [id] = await readdir(join(folder, 'state'))
    const lock = await readFile(join(folder, 'state', id as string, 'lock'), 'utf8')
    return (JSON.parse(lock) as { pid: number }).pid
  }

  /** The firewall's own table, and our accept in it with its handle: the very same rule. */
  const filter = (): string => lab.host.run(['nft', '-a', 'list', 'table', 'inet', 'filter'])
  const ruleset = (): string => lab.host.run(['nft', 'list', 'ruleset'])

  /** One after the other: a test is in one host at a time. */
  async function dialAll(): Promise<Awaited<ReturnType<KernelLab['dial']>>[]> {
    const sockets = []
    for (const port of ports) sockets.push(await lab.dial(lab.client, hostAddress, port))
    return sockets
  }

  async function allTalk(sockets: Awaited<ReturnType<typeof dialAll>>, text: string): Promise<void> {
    for (const socket of sockets) expect(await echoes(socket, text)).toBe(text)
  }

  it.each([['with a firewall'], ['without one']] as const)(
    '%s hands over what is in force, and connections go on',
    { timeout: 240_000 },
    async (kind) => {
      await place(kind)
      const before = ruleset()
      const old = await up()
      const oldExit = once(old, 'exit')
      const sockets = await dialAll()
      await allTalk(sockets, 'before')
      const opened = filter()
      if (kind === 'with a firewall') expect(opened).toContain('naru:splice')
      else expect(ruleset()).toContain('tcp . 8888')

      const next = await up('--replace')
      expect(filter()).toBe(opened)
      expect(await pidOf()).not.toBe(old.pid)
      await allTalk(sockets, 'after')
      const fresh = await dialAll()
      await allTalk(fresh, 'fresh')
      expect(filter()).toBe(opened)

      // One that is killed in the middle: the one before it goes on, and has everything again.
      const begun = said(next, 'a successor takes this place')
      const killed = start('--replace')
      await begun
      killed.kill('SIGKILL')
      await allTalk(fresh, 'still')
      await expect.poll(async () => filter(), { timeout: 20_000 }).toBe(opened)

      for (const socket of sockets) {
        socket.end()
        await once(socket.resume(), 'end')
      }
      await oldExit
      await allTalk(await dialAll(), 'and on')
      const nextExit = once(next, 'exit')
      process.kill(await pidOf(), 'SIGTERM')
      await nextExit
      expect(ruleset()).toBe(before)
      expect(lab.host.ip('rule')).not.toContain('fwmark')
      expect(lab.host.run(['cat', '/proc/sys/net/ipv4/ip_forward'])).toBe('0\n')
    },
  )
})
