/**
 * The user's word decides, and not the engine: whoever reaches a plain listener on this machine, and is let in by the
 * rule, is carried to the target; nobody else is. Random rules and random rulesets of others (bans, policies, limits,
 * their own DNAT, policy routing), each tried by clients outside, inside and on this machine, over every engine.
 *
 * `NARU_CASES=1000 NARU_SEED=1 npx vitest run test/lab/engine-verdicts-random.test.ts` runs more of them.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { NaruClient } from '../../src/api/client/client.ts'
import type { Protocol } from '../../src/base/port.ts'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { Daemon } from '../web/daemon.ts'
import { Lab } from './namespaces.ts'
import { Knocker } from './knocker.ts'
import { answering } from './packets.ts'

const cases = Number(process.env['NARU_CASES'] ?? 25)
const seed = Number(process.env['NARU_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

const plainPort = 8000
const engines = { sockets: 8001, splice: 8002, kernel: 8003, auto: 8004 } as const
type EngineWord = keyof typeof engines
const words = Object.keys(engines) as EngineWord[]

const host = { out: '10.1.0.1', in: '10.2.0.1' }
const target = '10.2.0.2'
/** Who is carried is answered at once. Where the engines seem to differ, a busy machine is given more time. */
const waitMs = 400
const patienceMs = 4000

interface Client {
  readonly name: string
  readonly from: string
  readonly to: string
  readonly by: () => Knocker
}

interface Case {
  readonly ruleset: Ruleset
  readonly routing: readonly string[]
  readonly allow: readonly string[]
  readonly deny: readonly string[]
  readonly protocol: Protocol
}

interface Ruleset {
  readonly load: readonly string[]
  readonly text: string
}

describeWith(
  { root: true, platform: 'linux', commands: ['ip', 'nft', 'iptables-nft-restore', 'conntrack'] },
  'who reaches a rule',
  () => {
    const lab = new Lab()
    const outside = lab.host('outside')
    const machine = lab.host('machine')
    const inside = lab.host('inside')
    const servers: AsyncDisposable[] = []
    let daemon: Daemon
    let naru: NaruClient
    let outsider: Knocker
    let insider: Knocker
    let local: Knocker
    const clients: Client[] = [
      { name: 'outside', from: '10.1.0.2', to: host.out, by: () => outsider },
      { name: 'outside, other', from: '10.1.0.3', to: host.out, by: () => outsider },
      { name: 'inside', from: '10.2.0.3', to: host.in, by: () => insider },
      { name: 'here', from: host.out, to: host.out, by: () => local },
    ]

    beforeAll(async () => {
      await built()
      lab.cable(
        { host: outside, interface: 'eth0', addresses: ['10.1.0.2/24', '10.1.0.3/24'] },
        { host: machine, interface: 'out', addresses: [`${host.out}/24`] },
      )
      lab.cable(
        { host: inside, interface: 'eth0', addresses: [`${target}/24`, '10.2.0.3/24'] },
        { host: machine, interface: 'in', addresses: [`${host.in}/24`] },
      )
      machine.sysctl('net/ipv4/ip_forward', '0')
      outsider = new Knocker(outside)
      insider = new Knocker(inside)
      local = new Knocker(machine)
      for (const protocol of ['tcp', 'udp'] as const) {
        servers.push(await answering(inside, protocol, 80))
        servers.push(await answering(machine, protocol, plainPort))
      }
      const rules = words.map(
        (word) =>
          `  ${word}: { listen: '0.0.0.0:${engines[word]}/tcp+udp', target: '${target}:80', engine: ${word} }\n`,
      )
      const through = ['ip', 'netns', 'exec', machine.namespace]
      daemon = await Daemon.start({ through, file: `rules:\n${rules.join('')}` })
      naru = await daemon.client()
    }, 120_000)
    afterAll(async () => {
      await daemon?.[Symbol.asyncDispose]()
      for (const server of servers) await server[Symbol.asyncDispose]()
      await lab[Symbol.asyncDispose]()
    })

    const all = (work: (word: EngineWord) => Promise<unknown>): Promise<unknown> =>
      Promise.all(words.map(work))

    /** The network as others have made it, without a rule of ours in force. */
    async function clear(): Promise<void> {
      await all((word) => naru.rules.disable(word, { now: true }))
      machine.run(['nft', 'flush', 'ruleset'])
      for (const line of machine
        .ip('rule')
        .split('\n')
        .filter((text) => /^1\d\d:/.test(text)))
        machine.ip('rule', 'delete', 'priority', line.slice(0, 3))
      machine.run(['conntrack', '-F'])
    }

    async function tried(one: Case): Promise<void> {
      const { ruleset, routing, allow, deny } = one
      await clear()
      machine.run(ruleset.load, { input: ruleset.text })
      for (const [at, line] of routing.entries())
        machine.ip('rule', 'add', 'priority', String(100 + at), ...line.split(' '))
      const expected = (ms: number): Promise<string[]> => verdicts(one, plainPort, ms)
      const before = await expected(waitMs)
      const failures: string[] = []
      await all((word) =>
        naru.rules.edit(word, { allow, deny, enabled: true }).then(
          (result) => failures.push(...result.failures.map(({ message }) => message.en)),
          (error: unknown) => failures.push(`${word}: ${String(error)}`),
        ),
      )
      for (const word of words) {
        const seen = await verdicts(one, engines[word], waitMs)
        const { state, engine } = await naru.rules.get(word)
        // An engine that cannot keep the host's word says no, when it was asked for by name.
        const refused = word === 'kernel' && state === 'failed'
        const wanted = refused ? clients.map(({ name }) => `${name}: out`) : before
        if (seen.join() === wanted.join()) continue
        expect([word, engine?.id, failures, await verdicts(one, engines[word], patienceMs)]).toEqual([
          word,
          engine?.id,
          failures,
          refused ? wanted : await expected(patienceMs),
        ])
      }
    }

    /** What each client gets at a port. At the plain listener's: what it is to get by a rule. */
    async function verdicts(
      { allow, deny, protocol }: Case,
      port: number,
      waitMs: number,
    ): Promise<string[]> {
      const isPlain = port === plainPort
      const [dials, ...answers] = await Promise.all([
        isPlain ? local.isAnswered({ protocol, address: target, port: 80, waitMs }) : true,
        ...clients.map(({ by, to, from }) => by().isAnswered({ protocol, address: to, port, from, waitMs })),
      ])
      return clients.map(({ name, from }, at) => {
        const mayCome = !isPlain || (dials && isLetIn(from, allow, deny))
        return `${name}: ${answers[at] && mayCome ? 'in' : 'out'}`
      })
    }

    it(
      `is the same with every engine as with a plain listener (seed ${seed})`,
      async () => {
        let kernel = 0
        await fc.assert(
          fc.asyncProperty(anyCase, async (one) => {
            await tried(one)
            if ((await naru.rules.get('auto')).engine?.id === 'kernel') kernel++
          }),
          { numRuns: cases, seed, endOnFailure: true },
        )
        process.stderr.write(`${cases} cases, ${kernel} of them by the kernel under auto, seed ${seed}\n`)
      },
      Math.max(180_000, cases * 5000),
    )
  },
)

/** The longest prefix decides, and at equal length the ban. */
function isLetIn(from: string, allow: readonly string[], deny: readonly string[]): boolean {
  const longest = (list: readonly string[]): number =>
    Math.max(
      -1,
      ...list.filter((prefix) => holds(prefix, from)).map((prefix) => Number(prefix.split('/')[1] ?? 32)),
    )
  const [allowed, denied] = [longest(allow), longest(deny)]
  if (allowed === -1 && denied === -1) return allow.length === 0
  return allowed > denied
}

function holds(prefix: string, address: string): boolean {
  const [network = '', bits = '32'] = prefix.split('/')
  const number = (text: string): number => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  const size = 2 ** (32 - Number(bits))
  return Math.floor(number(network) / size) === Math.floor(number(address) / size)
}

const prefixes = ['10.1.0.2', '10.1.0.3', '10.1.0.0/24', '10.2.0.0/24', '10.0.0.0/8', '10.1.0.2/31']
const ports = `${plainPort}-8004`

const verdict = fc.constantFrom('accept', 'drop', 'reject', 'counter accept', 'counter', 'return')
const inputMatch = fc.constantFrom(
  '',
  `tcp dport ${ports}`,
  `udp dport ${ports}`,
  `meta l4proto { tcp, udp } th dport ${ports}`,
  `ip saddr 10.1.0.3 tcp dport ${ports}`,
  'ip saddr 10.1.0.3',
  'ip saddr @bans',
  'iifname "out" ip saddr @bans',
  'ip saddr != 10.1.0.2',
  'iifname "out"',
  'iifname "in"',
  'iifname "lo"',
  'ct state new',
  'ip daddr 10.1.0.1',
  'limit rate over 10000/second',
  'quota over 1000 mbytes',
  'meta mark 7',
)
const forwardMatch = fc.constantFrom(
  '',
  `ip daddr ${target}`,
  'iifname "out" oifname "in"',
  'iifname "out" ip saddr @bans',
  'ip saddr 10.1.0.3',
  'ct status dnat',
  'ct state new',
  'tcp dport 80',
  'udp dport 80',
)
const outputMatch = fc.constantFrom(
  '',
  `ip daddr ${target}`,
  `ip daddr ${target} tcp dport 80`,
  'oifname "in"',
  'udp dport 80',
)
const rulesOf = (match: fc.Arbitrary<string>, what: fc.Arbitrary<string>, maxLength: number) =>
  fc
    .array(
      fc.tuple(match, what).map((parts) => parts.join(' ')),
      { maxLength },
    )
    .map((lines) => lines.join('\n    '))
const policy = fc.constantFrom('accept', 'accept', 'drop')

const natRules = fc.constantFrom(
  '',
  '',
  '',
  `ip saddr 10.1.0.3 tcp dport ${ports} redirect to :9`,
  `tcp dport ${ports} dnat ip to 10.2.0.3:81`,
  `udp dport ${ports} ip saddr 10.1.0.2 dnat ip to 10.2.0.3:81`,
)
const rawRules = fc.constantFrom(
  '',
  '',
  'ip saddr 10.1.0.3 drop',
  'ip saddr 10.1.0.3 meta mark set 7',
  'counter',
)

const chain = (name: string, hook: string, policy: string, rules: string, established: boolean): string =>
  `  chain ${name} {\n    type filter hook ${hook} priority 0; policy ${policy};\n    ${
    established ? 'ct state established,related accept' : ''
  }\n    ${rules}\n  }\n`

const nftRuleset: fc.Arbitrary<Ruleset> = fc
  .record({
    input: fc.option(fc.tuple(policy, rulesOf(inputMatch, verdict, 4)), { nil: null }),
    forward: fc.option(fc.tuple(policy, rulesOf(forwardMatch, verdict, 3)), { nil: null, freq: 1 }),
    output: fc.option(fc.tuple(fc.constant('accept'), rulesOf(outputMatch, outputVerdict(), 2)), {
      nil: null,
      freq: 1,
    }),
    established: fc.boolean(),
    nat: natRules,
    raw: rawRules,
  })
  .map(({ input, forward, output, established, nat, raw }) => ({
    load: ['nft', '-f', '-'],
    text: [
      'table inet theirs {\n  set bans { type ipv4_addr; flags interval; elements = { 10.1.0.3, 10.9.0.0/16 }; }\n',
      input && chain('input', 'input', ...input, established),
      forward && chain('forward', 'forward', ...forward, established),
      output && chain('output', 'output', ...output, false),
      raw && `  chain raw {\n    type filter hook prerouting priority -300;\n    ${raw}\n  }\n`,
      nat && `  chain nat {\n    type nat hook prerouting priority -100;\n    ${nat}\n  }\n`,
      '}\n',
    ]
      .filter(Boolean)
      .join(''),
  }))

function outputVerdict(): fc.Arbitrary<string> {
  return fc.constantFrom('accept', 'drop', 'reject', 'counter', 'meta mark set 7')
}

const xtInput = fc.constantFrom(
  '-p tcp -m tcp --dport 8000:8004 -j ACCEPT',
  '-s 10.1.0.3/32 -j DROP',
  '-s 10.1.0.3/32 -p tcp -m tcp --dport 8000:8004 -j REJECT',
  '-i out -j DROP',
  '-i lo -j ACCEPT',
  '-p udp -j DROP',
  '-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
  '-p tcp -m tcp --dport 8000:8004 -m limit --limit 9999/sec --limit-burst 9999 -j ACCEPT',
)
const xtForward = fc.constantFrom(
  '-j DROP',
  '-i out -o in -j ACCEPT',
  '-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
  '-s 10.1.0.3/32 -j DROP',
)
const xtPolicy = fc.constantFrom('ACCEPT', 'ACCEPT', 'DROP')
const iptablesRuleset: fc.Arbitrary<Ruleset> = fc
  .tuple(xtPolicy, xtPolicy, fc.array(xtInput, { maxLength: 4 }), fc.array(xtForward, { maxLength: 2 }))
  .map(([input, forward, inputs, forwards]) => ({
    load: ['iptables-nft-restore'],
    text: `*filter
:INPUT ${input} [0:0]
:FORWARD ${forward} [0:0]
:OUTPUT ACCEPT [0:0]
${inputs.map((line) => `-A INPUT ${line}\n`).join('')}${forwards.map((line) => `-A FORWARD ${line}\n`).join('')}COMMIT
`,
  }))

const nothing: Ruleset = { load: ['true'], text: '' }

const routingRule = fc.constantFrom(
  'iif out to 10.2.0.0/24 prohibit',
  `to ${target} ipproto tcp dport 80 blackhole`,
  `to ${target} ipproto udp dport 80 prohibit`,
  'fwmark 7 prohibit',
  'from 10.1.0.3 to 10.2.0.0/24 unreachable',
)

const anyCase: fc.Arbitrary<Case> = fc.record({
  ruleset: fc.oneof(
    { arbitrary: nftRuleset, weight: 4 },
    { arbitrary: iptablesRuleset, weight: 2 },
    { arbitrary: fc.constant(nothing), weight: 3 },
  ),
  routing: fc.oneof(
    { arbitrary: fc.constant([]), weight: 3 },
    { arbitrary: fc.array(routingRule, { minLength: 1, maxLength: 2 }), weight: 1 },
  ),
  allow: fc.oneof(fc.constant([]), fc.subarray(prefixes, { maxLength: 2 })),
  deny: fc.oneof(fc.constant([]), fc.subarray(prefixes, { maxLength: 1 })),
  protocol: fc.constantFrom('tcp', 'udp'),
})
