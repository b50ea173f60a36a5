/**
 * Who reaches a rule does not depend on what carries it: behind each firewall and beside each routing rule here the
 * clients of every engine fare as those of a plain program do that listens and dials. What the kernel redirects meets
 * other hooks, so there it is carried by another engine, or refused with the reason.
 */
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { spawn, type ChildProcess } from 'node:child_process'
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { ufwFirewall } from './firewalls.ts'
import { echoes, hostAddress, KernelLab, targetAddress } from './kernel-lab.ts'
import { end } from './namespaces.ts'

const needs = {
  root: true,
  platform: 'linux',
  commands: ['ip', 'nft', 'conntrack', 'iptables-nft', 'iptables-legacy'],
} as const
const main = join(import.meta.dirname, '../../dist/main.js')
const engines = { sockets: 7001, splice: 7002, kernel: 7003, auto: 7004 } as const
const plain = 7000
/** One whom the walls do not name, and one whom they do. */
const [guest, banned] = ['10.1.0.2', '10.1.0.3']
const silenceMs = 700

interface Wall {
  readonly name: string
  readonly commands: readonly (readonly string[])[]
  /** Whether the two clients get in. */
  readonly verdict: readonly [guest: boolean, banned: boolean]
  /** Part of the reason why it is not the kernel; null where it is. */
  readonly why: string | null
}

const chain = (hook: string, policy: string): string =>
  `add table inet wall; add chain inet wall ${hook} { type filter hook ${hook} priority filter; policy ${policy}; }`
const nft = (...lines: string[]): readonly string[] => ['nft', lines.join('; ')]

const walls: readonly Wall[] = [
  { name: 'nobody', commands: [], verdict: [true, true], why: null },
  {
    name: 'empty chains that let everything pass',
    commands: [nft(chain('input', 'accept'), chain('forward', 'accept')), ['iptables-legacy', '-L']],
    verdict: [true, true],
    why: null,
  },
  {
    name: 'an input that drops',
    commands: [
      nft(
        chain('input', 'drop'),
        'add rule inet wall input ct state established,related accept',
        `add rule inet wall input ip saddr ${guest} accept`,
      ),
    ],
    verdict: [true, false],
    why: 'inet wall input',
  },
  {
    name: 'bans in a table whose name begins as ours do',
    commands: [
      nft(chain('input', 'accept'), `add rule inet wall input ip saddr ${banned} drop`).map((word) =>
        word.replaceAll('inet wall', 'inet naru-bans'),
      ),
    ],
    verdict: [true, false],
    why: 'inet naru-bans input',
  },
  {
    name: 'a ban by source, on one interface, from a set',
    commands: [
      nft(
        chain('input', 'accept'),
        'add set inet wall bad { type ipv4_addr; }',
        `add element inet wall bad { ${banned} }`,
        'add rule inet wall input iifname "eth0" ip saddr @bad drop',
      ),
    ],
    verdict: [true, false],
    why: 'inet wall input',
  },
  {
    name: 'a limit that is used up',
    commands: [
      nft(
        chain('input', 'accept'),
        `add rule inet wall input ip saddr ${banned} tcp dport 7000-7004 quota over 1 bytes drop`,
      ),
    ],
    verdict: [true, false],
    why: 'inet wall input',
  },
  {
    name: 'a forward that drops, which no listener meets',
    commands: [nft(chain('forward', 'drop'))],
    verdict: [true, true],
    why: 'inet wall forward',
  },
  {
    name: 'a forward that bans a source',
    commands: [nft(chain('forward', 'accept'), `add rule inet wall forward ip saddr ${banned} drop`)],
    verdict: [true, true],
    why: 'inet wall forward',
  },
  {
    name: 'an output that keeps this machine from the target',
    commands: [nft(chain('output', 'accept'), `add rule inet wall output ip daddr ${targetAddress} drop`)],
    verdict: [false, false],
    why: 'inet wall output',
  },
  {
    name: 'a destination that somebody else rewrites',
    commands: [
      nft(
        'add table ip nat',
        'add chain ip nat before { type nat hook prerouting priority -101; }',
        `add rule ip nat before ip saddr ${banned} tcp dport 7000-7004 redirect to :9`,
      ),
    ],
    verdict: [true, false],
    why: 'ip nat before',
  },
  {
    name: 'iptables over nftables that bans a source',
    commands: [['iptables-nft', '-A', 'INPUT', '-s', banned, '-j', 'DROP']],
    verdict: [true, false],
    why: 'ip filter INPUT',
  },
  {
    name: 'legacy iptables that bans a source',
    commands: [['iptables-legacy', '-A', 'INPUT', '-s', banned, '-j', 'REJECT']],
    verdict: [true, false],
    why: 'iptables-legacy INPUT',
  },
  {
    name: 'legacy iptables that forwards nothing',
    commands: [['iptables-legacy', '-P', 'FORWARD', 'DROP']],
    verdict: [true, true],
    why: 'iptables-legacy FORWARD',
  },
  {
    name: 'a routing rule for what this machine sends',
    commands: [['ip', 'rule', 'add', 'iif', 'lo', 'to', targetAddress, 'unreachable', 'priority', '100']],
    verdict: [false, false],
    why: 'ip rule 100',
  },
  {
    name: 'a routing rule for what comes from one source',
    commands: [['ip', 'rule', 'add', 'from', banned, 'to', targetAddress, 'blackhole', 'priority', '100']],
    verdict: [true, true],
    why: 'ip rule 100',
  },
]

describeWith(needs, 'a client fares as those of a plain listener do', () => {
  let lab: KernelLab
  let folder: string
  const children: ChildProcess[] = []

  beforeAll(built, 120_000)
  beforeEach(async () => {
    lab = new KernelLab()
    folder = await mkdtemp(join(tmpdir(), 'naru-verdicts-'))
    lab.serve(lab.target, 80)
  })
  afterEach(async () => {
    await Promise.all(children.splice(0).map(end))
    await lab[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  /** What a plain program does: it listens, dials and passes bytes on. */
  async function listenPlainly(): Promise<void> {
    const program = `const { connect, createServer } = require('node:net')
      createServer((client) => {
        const target = connect(80, '${targetAddress}')
        for (const socket of [client, target]) socket.on('error', () => (client.destroy(), target.destroy()))
        client.pipe(target).pipe(client)
      }).listen(${plain}, '0.0.0.0', () => console.log('ready'))`
    const child = lab.host.start([process.execPath, '-e', program])
    await once(child.stdout as NodeJS.ReadableStream, 'data')
  }

  /** `naru up` with a rule an engine. @returns the error of each rule that did not open. */
  async function up(through = ['ip', 'netns', 'exec', lab.host.namespace]): Promise<Up> {
    const rules = Object.fromEntries(
      Object.entries(engines).map(([engine, port]) => [
        engine,
        { listen: `0.0.0.0:${port}`, target: `${targetAddress}:80`, engine, timeouts: { connect: '500ms' } },
      ]),
    )
    await writeFile(join(folder, 'naru.yaml'), JSON.stringify({ rules }))
    const env = { ...process.env, NARU_STATE: join(folder, 'state'), HOME: folder, LANG: 'C', NO_COLOR: '1' }
    const config = ['--config', join(folder, 'naru.yaml')]
    const argv = [...through.slice(1), process.execPath, main, 'up', ...config, '--api', 'off', '--json']
    const child = spawn(through[0] ?? '', argv, { env })
    children.push(child)
    let log = ''
    child.stderr.on('data', (text: Buffer) => (log += text.toString()))
    const lines = createInterface({ input: child.stdout })
    const [line] = (await Promise.race([
      once(lines, 'line'),
      once(child, 'exit').then(() => Promise.reject(new Error(log))),
    ])) as [string]
    const { failures } = JSON.parse(line) as { failures: unknown[] }
    return { failures: failures.map((one) => JSON.stringify(one)), log: () => log }
  }

  async function getsIn(port: number, source: string): Promise<boolean> {
    const socket = await lab.dial(lab.client, hostAddress, port, source, silenceMs).catch(() => null)
    if (!socket) return false
    const answer = await echoes(socket, 'ferry', silenceMs).catch(() => null)
    socket.destroy()
    return answer === 'ferry'
  }

  async function verdicts(port: number): Promise<readonly boolean[]> {
    return [await getsIn(port, guest), await getsIn(port, banned)]
  }

  it.each(walls)('beside $name', async ({ commands, verdict, why }) => {
    for (const argv of commands) lab.host.run(argv)
    await listenPlainly()
    const naru = await up()
    const before = lab.host.run(['nft', '-s', 'list', 'ruleset'])
    expect(await verdicts(plain)).toEqual(verdict)
    for (const engine of ['sockets', 'splice', 'auto'] as const)
      expect([engine, ...(await verdicts(engines[engine]))]).toEqual([engine, ...verdict])
    if (why === null) {
      expect(naru.failures).toEqual([])
      expect(await verdicts(engines.kernel)).toEqual(verdict)
      expect(before).toContain('tcp . 7004')
    } else {
      expect(naru.failures).toHaveLength(1)
      expect(naru.failures[0]).toContain('ENGINE_UNFIT')
      expect(naru.failures[0]).toContain(why)
      expect(await verdicts(engines.kernel)).toEqual([false, false])
      expect(before).not.toMatch(/^table inet naru[_ ]/m)
    }
  })

  it('beside ufw', async () => {
    await using firewall = await ufwFirewall(lab.host)
    firewall.run(['ufw', 'deny', 'from', banned])
    firewall.run(['ufw', 'allow', '7000:7004/tcp'])
    await listenPlainly()
    const before = firewall.snapshot()
    const naru = await up([...firewall.through])
    expect(naru.failures[0]).toContain('ENGINE_UNFIT')
    for (const port of [plain, engines.sockets, engines.splice, engines.auto])
      expect([port, ...(await verdicts(port))]).toEqual([port, true, false])
    expect(await verdicts(engines.kernel)).toEqual([false, false])
    expect(firewall.snapshot()).toBe(before)
  })

  it.each([
    [
      'a firewall is loaded',
      nft(chain('input', 'accept'), `add rule inet wall input ip saddr ${banned} drop`),
      [true, false],
      nft('delete table inet wall'),
    ],
    [
      'a routing rule is added',
      ['ip', 'rule', 'add', 'iif', 'lo', 'to', targetAddress, 'unreachable', 'priority', '100'],
      [false, false],
      ['ip', 'rule', 'del', 'priority', '100'],
    ],
  ] as const)('also when %s later', { timeout: 60_000 }, async (_, later, verdict, over) => {
    const naru = await up()
    expect(naru.failures).toEqual([])
    for (const engine of ['kernel', 'auto'] as const)
      expect(await verdicts(engines[engine])).toEqual([true, true])
    const there = await lab.dial(lab.client, hostAddress, engines.auto)
    expect(await echoes(there, 'before')).toBe('before')

    lab.host.run(later)
    await expect
      .poll(() => naru.log(), { timeout: 15_000 })
      .toContain('engine kernel cannot carry it, taking another')
    await expect.poll(() => verdicts(engines.auto), { timeout: 15_000 }).toEqual(verdict)
    expect(await verdicts(engines.kernel)).toEqual([false, false])
    expect(await echoes(there, 'goes on')).toBe('goes on')
    expect(naru.log()).toContain('the engine kernel cannot carry kernel')

    // By hand it waits for the kernel; `auto` stays where it is.
    lab.host.run(over)
    await expect.poll(() => verdicts(engines.kernel), { timeout: 35_000 }).toEqual([true, true])
    expect(await verdicts(engines.auto)).toEqual([true, true])
  })
})

interface Up {
  readonly failures: readonly string[]
  readonly log: () => string
}
