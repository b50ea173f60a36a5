import { describe, expect, it } from 'vitest'
import { FakeRunner, type Answer } from '../../../test/fakes/host.ts'
import { systemClock } from '../../base/clock.ts'
import type { OnSockets } from '../../linux/bpf/own-group.ts'
import { Others, whoElseDecides } from './others.ts'

const rules4 = '0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n'
const rules6 = '0:\tfrom all lookup local\n32766:\tfrom all lookup main\n'
/** Debian's /etc/nftables.conf as it comes: three chains, nothing in them. */
const empty = chains(
  ['inet', 'filter', 'input', 'input', 'accept'],
  ['inet', 'filter', 'forward', 'forward', 'accept'],
  ['inet', 'filter', 'output', 'output', 'accept'],
)
const save = (...lines: string[]): string =>
  ['*filter', ':INPUT ACCEPT [0:0]', ...lines, 'COMMIT', ''].join('\n')

function chains(
  ...all: [family: string, table: string, name: string, hook: string, policy: string][]
): string {
  return JSON.stringify({
    nftables: all.map(([family, table, name, hook, policy]) => ({
      chain: { family, table, name, type: 'filter', hook, prio: 0, policy },
    })),
  })
}

function rulesIn(family: string, table: string, ...names: string[]): string {
  return JSON.stringify({ nftables: names.map((chain) => ({ rule: { family, table, chain, expr: [] } })) })
}

function machine(answers: Readonly<Record<string, Answer>> = {}): FakeRunner {
  const plain: Record<string, Answer> = {
    'nft -j list chains': chains(),
    'cat /proc/net/ip_tables_names /proc/net/ip6_tables_names': { exit: 1 },
    'ip -4 rule show': rules4,
    'ip -6 rule show': rules6,
    'ip xfrm policy': { exit: 1, stderr: 'Cannot open netlink socket: Protocol not supported' },
    ...answers,
  }
  return new FakeRunner((argv) => plain[argv.join(' ')])
}

async function who(
  answers: Readonly<Record<string, Answer>> = {},
  onSockets: OnSockets = 'none',
): Promise<string> {
  const why = await whoElseDecides(
    { runner: machine(answers), signal: AbortSignal.timeout(5000) },
    () => onSockets,
  )
  return why?.en ?? 'nobody'
}

describe('nobody else decides', () => {
  it.each([
    ['on a bare machine', {}],
    [
      'with empty chains that accept',
      { 'nft -j list chains': empty, 'nft -j -t list table inet filter': rulesIn('inet', 'filter') },
    ],
    [
      'with tables of ours, and a routing rule of ours',
      {
        'nft -j list chains': chains(
          ['inet', 'naru', 'loopback', 'input', 'drop'],
          ['inet', 'naru_keep_812_77_4026531836', 'answers', 'prerouting', 'accept'],
        ),
        'ip -4 rule show': `${rules4}6278:\tfrom all fwmark 0x6e00032c lookup 1845494572\n`,
      },
    ],
    [
      'with legacy tables that are loaded and empty',
      {
        'cat /proc/net/ip_tables_names /proc/net/ip6_tables_names': 'filter\n',
        'iptables-legacy-save': save(
          ':FORWARD ACCEPT [0:0]',
          ':ufw-user-input - [0:0]',
          '-A ufw-user-input -j DROP',
        ),
        'ip6tables-legacy-save': '',
      },
    ],
    ['without IPv6', { 'ip -6 rule show': { exit: 2, stderr: 'Address family not supported by protocol' } }],
    [
      'with routing tables that have no names',
      { 'ip -6 rule show': '0:\tfrom all lookup 255\n32766:\tfrom all lookup 254\n' },
    ],
  ])('%s', async (_, answers) => {
    expect(await who(answers)).toBe('nobody')
  })
})

describe('somebody else decides', () => {
  it.each([
    [
      'a policy that drops',
      'inet filter forward',
      { 'nft -j list chains': chains(['inet', 'filter', 'forward', 'forward', 'drop']) },
    ],
    [
      'any rule, and what is asked of connections to this machine is told first',
      'inet filter input',
      {
        'nft -j list chains': chains(
          ['bridge', 'wall', 'pass', 'forward', 'accept'],
          ['inet', 'filter', 'forward', 'forward', 'accept'],
          ['inet', 'filter', 'input', 'input', 'accept'],
        ),
        'nft -j -t list table inet filter': rulesIn('inet', 'filter', 'forward', 'input'),
        'nft -j -t list table bridge wall': rulesIn('bridge', 'wall', 'pass'),
      },
    ],
    [
      'a destination that somebody else rewrites',
      'ip nat PREROUTING',
      {
        'nft -j list chains': chains(['ip', 'nat', 'PREROUTING', 'prerouting', 'accept']),
        'nft -j -t list table ip nat': rulesIn('ip', 'nat', 'PREROUTING'),
      },
    ],
    [
      'iptables-legacy',
      'iptables-legacy INPUT',
      {
        'cat /proc/net/ip_tables_names /proc/net/ip6_tables_names': 'filter\n',
        'iptables-legacy-save': save('-A FORWARD -j LOG', '-A INPUT -s 10.0.0.7/32 -j DROP'),
      },
    ],
    [
      'a policy of ip6tables-legacy',
      'ip6tables-legacy FORWARD',
      {
        'cat /proc/net/ip_tables_names /proc/net/ip6_tables_names': 'filter\n',
        'iptables-legacy-save': save(),
        'ip6tables-legacy-save': save(':FORWARD DROP [0:0]'),
      },
    ],
    [
      'legacy tables that no tool here can read',
      'iptables-legacy',
      { 'cat /proc/net/ip_tables_names /proc/net/ip6_tables_names': 'filter\n' },
    ],
    [
      'a routing rule',
      'ip rule 100: from all ipproto udp lookup 51820',
      { 'ip -4 rule show': `${rules4}100:\tfrom all ipproto udp lookup 51820\n` },
    ],
    [
      'a routing rule in place of an ordinary one',
      'ip rule 32766: from 10.0.0.0/8 lookup main',
      { 'ip -6 rule show': '32766:\tfrom 10.0.0.0/8 lookup main\n' },
    ],
    [
      'somebody who has our priority',
      'ip rule 6278: from all lookup 7',
      { 'ip -4 rule show': '6278:\tfrom all lookup 7\n' },
    ],
    [
      'IPsec',
      'ip xfrm policy',
      { 'ip xfrm policy': 'src 10.0.0.0/8 dst 10.1.0.0/16\n\tdir out priority 0\n' },
    ],
  ] as const)('by %s', async (_, word, answers) => {
    expect(await who(answers)).toContain(`(${word})`)
  })
})

it.each([
  ['naru-bans', 'input'],
  ['naru_bans', 'input'],
  ['naru', 'input'],
  ['narubans', 'input'],
  ['naru_guard_1_2_3', 'input'],
  ['naru_guard_1_2', 'passing'],
  ['naru_keep_812_77_4026531836x', 'answers'],
])('a table %s of an administrator’s with a chain %s is somebody else’s', async (table, chain) => {
  const answers = { 'nft -j list chains': chains(['inet', table, chain, 'input', 'drop']) }
  expect(await who(answers)).toContain(`(inet ${table} ${chain})`)
})

it('a table of our name in another family is somebody else’s', async () => {
  const answers = { 'nft -j list chains': chains(['ip', 'naru', 'passing', 'forward', 'drop']) }
  expect(await who(answers)).toContain('(ip naru passing)')
})

it('a program on our sockets decides, and one that cannot be asked for may be there', async () => {
  expect(await who({}, 'some')).toContain('IPAddressDeny=')
  expect(await who({}, 'unknown')).toContain('cannot be told')
})

it('what cannot be read is no answer', async () => {
  const denied = { exit: 1, stderr: 'netlink: Error: Operation not permitted' }
  await expect(who({ 'nft -j list chains': denied })).rejects.toMatchObject({ code: 'COMMAND_FAILED' })
  await expect(who({ 'nft -j list chains': undefined })).rejects.toMatchObject({ code: 'COMMAND_MISSING' })
  await expect(who({ 'ip -4 rule show': undefined })).rejects.toMatchObject({ code: 'COMMAND_MISSING' })
})

it('asks again where nft cut off what it printed; what it cuts off each time may say anything', async () => {
  const whole = chains(['inet', 'theirs', 'input', 'input', 'drop'])
  const lookAt = (outputs: readonly string[]): Promise<string> => {
    let at = 0
    const plain = machine()
    const runner = new FakeRunner(async (argv, options) =>
      argv.join(' ') === 'nft -j list chains'
        ? outputs[Math.min(at++, outputs.length - 1)]
        : plain.run(argv as [string], options),
    )
    const options = { runner, signal: AbortSignal.timeout(5000) }
    return whoElseDecides(options, () => 'none').then((why) => why?.en ?? 'nobody')
  }
  expect(await lookAt([whole.slice(0, -9), '', whole])).toContain('inet theirs input')
  await expect(lookAt([whole.slice(0, -9)])).rejects.toMatchObject({ code: 'COMMAND_FAILED' })
})

it('many who ask at once are one look, and whoever saw a change looks again', async () => {
  const runner = machine()
  const others = new Others(runner, systemClock)
  await Promise.all(Array.from({ length: 50 }, () => others.ask()))
  const once = runner.ran.length
  expect(once).toBeLessThan(7)
  others.forget()
  await others.ask()
  expect(runner.ran).toHaveLength(2 * once)
})
