/**
 * The user's word decides, and not the engine: whoever reaches a plain listener on this machine, and is let in by the
 * rule, is carried to the target; nobody else is. Random rules in both families beside whatever others may have made of
 * this machine's network (`random-walls.ts`), each tried by clients outside, inside and on this machine, over every
 * engine.
 *
 * `NARU_CASES=1000 NARU_SEED=1 npx vitest run test/lab/engine-verdicts-random.test.ts` runs more of them. `NARU_PATH`, which
 * a failure names, begins with the case that failed.
 */
import { once } from 'node:events'
import { BlockList } from 'node:net'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { NaruClient } from '../../src/api/client/client.ts'
import type { Protocol } from '../../src/base/port.ts'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { Daemon } from '../web/daemon.ts'
import { Knocker } from './knocker.ts'
import { Lab, type LabHost } from './namespaces.ts'
import { anyWall, inFamily, type Family, type Wall } from './random-walls.ts'

const cases = Number(process.env['NARU_CASES'] ?? 25)
const seed = Number(process.env['NARU_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

const plainListener = join(import.meta.dirname, 'plain-listener.mjs')
const plainPort = 8000
/** Ten more for each place after the first. */
const engines = { sockets: 8001, splice: 8002, kernel: 8003, auto: 8004 } as const
type EngineWord = keyof typeof engines
const words = Object.keys(engines) as EngineWord[]
/** Where rules listen. */
const places = ['0.0.0.0', '::', 'fd00:1::1'] as const
type Place = (typeof places)[number]
const familyOf = (place: Place): Family => (place.includes(':') ? 6 : 4)

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
  readonly place: Place
  readonly wall: Wall
  readonly allow: readonly string[]
  readonly deny: readonly string[]
  readonly protocol: Protocol
  readonly source: 'relay' | 'keep'
}

const portOf = (word: EngineWord, place: Place): number => engines[word] + places.indexOf(place) * 10
const nameOf = (word: EngineWord, place: Place): string => `${word}-${portOf(word, place)}`

describeWith(
  {
    root: true,
    platform: 'linux',
    commands: ['ip', 'nft', 'iptables-nft-restore', 'iptables-legacy-restore', 'conntrack'],
  },
  'who reaches a rule',
  () => {
    const lab = new Lab()
    const outside = lab.host('outside')
    const machine = lab.host('machine')
    const inside = lab.host('inside')
    let daemon: Daemon
    let naru: NaruClient
    let outsider: Knocker
    let insider: Knocker
    let local: Knocker
    let undo: (() => void)[] = []
    let inForce: Place = places[0]
    const clients: Client[] = [
      { name: 'outside', from: '10.1.0.2', to: '10.1.0.1', by: () => outsider },
      { name: 'outside, other', from: '10.1.0.3', to: '10.1.0.1', by: () => outsider },
      { name: 'inside', from: '10.2.0.3', to: '10.2.0.1', by: () => insider },
      { name: 'here', from: '10.1.0.1', to: '10.1.0.1', by: () => local },
    ]
    const loopback: Client = {
      name: 'here, by loopback',
      from: '127.0.0.1',
      to: '127.0.0.1',
      by: () => local,
    }
    const in6 = clients.map((one) => ({ ...one, from: inFamily(6, one.from), to: inFamily(6, one.to) }))
    const clientsOf: Readonly<Record<Place, readonly Client[]>> = {
      '0.0.0.0': [...clients, loopback],
      '::': [
        ...in6,
        { ...loopback, from: '::1', to: '::1' },
        { name: 'outside, on the link', from: 'fe80::2%eth0', to: 'fe80::1%eth0', by: () => outsider },
      ],
      'fd00:1::1': in6.map((one) => ({ ...one, to: 'fd00:1::1' })),
    }

    beforeAll(async () => {
      await built()
      const both = (...addresses: string[]): string[] =>
        addresses.flatMap((one) => [`${one}/24`, `${inFamily(6, one)}/64`])
      lab.cable(
        { host: outside, interface: 'eth0', addresses: [...both('10.1.0.2', '10.1.0.3'), 'fe80::2/64'] },
        { host: machine, interface: 'out', addresses: [...both('10.1.0.1'), 'fe80::1/64'] },
      )
      lab.cable(
        { host: inside, interface: 'eth0', addresses: both(target, '10.2.0.3') },
        { host: machine, interface: 'in', addresses: both('10.2.0.1') },
      )
      inside.ip('-6', 'route', 'add', 'fd00:1::/64', 'via', 'fd00:2::1')
      inside.ip('route', 'add', '10.1.0.0/24', 'via', '10.2.0.1')
      // A wall that drops neighbour discovery would let those in alone who have been there.
      introduce(
        { host: outside, name: 'eth0', addresses: ['10.1.0.2', '10.1.0.3', 'fe80::2'] },
        machine,
        'out',
      )
      introduce({ host: machine, name: 'out', addresses: ['10.1.0.1', 'fe80::1'] }, outside, 'eth0')
      introduce({ host: inside, name: 'eth0', addresses: [target, '10.2.0.3'] }, machine, 'in')
      introduce({ host: machine, name: 'in', addresses: ['10.2.0.1'] }, inside, 'eth0')
      machine.sysctl('net/ipv4/ip_forward', '0')
      machine.sysctl('net/ipv6/conf/all/forwarding', '0')
      outsider = new Knocker(outside)
      insider = new Knocker(inside)
      local = new Knocker(machine)
      await listenPlainly(inside, 80, [target, inFamily(6, target)])
      const here = clientsOf['0.0.0.0'].concat(clientsOf['::'])
      const own = here.map(({ to }) => to.replace('%eth0', '%out'))
      await listenPlainly(machine, plainPort, [...new Set(own)])
      const rules = places.flatMap((place) =>
        words.map((word) => {
          const port = portOf(word, place)
          const listen = `${familyOf(place) === 6 ? `[${place}]` : place}:${port}/tcp+udp`
          const to = inFamily(familyOf(place), `${target}:80`)
          return `  ${nameOf(word, place)}: { listen: '${listen}', target: '${to}', engine: ${word}, enabled: false }\n`
        }),
      )
      const through = ['ip', 'netns', 'exec', machine.namespace]
      daemon = await Daemon.start({ through, file: `rules:\n${rules.join('')}` })
      naru = await daemon.client()
    }, 120_000)
    afterAll(async () => {
      await daemon?.[Symbol.asyncDispose]()
      await lab[Symbol.asyncDispose]()
    })

    const all = (work: (word: EngineWord) => Promise<unknown>): Promise<unknown> =>
      Promise.all(words.map(work))

    /** The network as it was, without a rule of ours in force. */
    async function clear(): Promise<void> {
      await all((word) => naru.rules.disable(nameOf(word, inForce), { now: true }))
      for (const step of undo.splice(0)) step()
      machine.run(['nft', 'flush', 'ruleset'])
      machine.run(['conntrack', '-F'])
    }

    function build({ place, wall }: Case): void {
      const family = familyOf(place)
      const load = wall.load.map((word) => (family === 6 ? word.replace(/^iptables/, 'ip6tables') : word))
      const text = inFamily(family, wall.text)
      if (load[0]?.includes('legacy'))
        undo.push(() =>
          machine.run(load, { input: text.replace(/^-A.*\n/gm, '').replace(/ DROP /g, ' ACCEPT ') }),
        )
      machine.run(load, { input: text })
      for (const line of wall.switches) {
        const [name = '', value = ''] = line.split('=')
        const was = machine.run(['cat', `/proc/sys/net/${name}`]).trim()
        machine.sysctl(`net/${name}`, value)
        undo.push(() => machine.sysctl(`net/${name}`, was))
      }
      wall.routing.forEach((line, at) => {
        const [noun = '', ...more] = inFamily(family, line).split(' ')
        const ip = (verb: string, ...rest: string[]): unknown =>
          machine.ip(`-${family}`, noun, ...(noun === 'xfrm' ? ['policy'] : []), verb, ...rest)
        const what = noun === 'xfrm' ? more.slice(1) : more
        const priority = noun === 'rule' ? ['priority', String(100 + at)] : []
        ip('add', ...priority, ...what)
        undo.push(() =>
          noun === 'xfrm' ? ip('flush') : ip('delete', ...(noun === 'rule' ? priority : what)),
        )
      })
    }

    async function tried(one: Case): Promise<void> {
      const { place, allow, deny, source } = one
      await clear()
      inForce = place
      build(one)
      const expected = (ms: number): Promise<string[]> => verdicts(one, plainPort, ms)
      const before = await expected(waitMs)
      const failures: string[] = []
      await all((word) =>
        naru.rules.edit(nameOf(word, place), { allow, deny, source, enabled: true }).then(
          (result) => failures.push(...result.failures.map(({ message }) => message.en)),
          (error: unknown) => failures.push(`${word}: ${String(error)}`),
        ),
      )
      if (source === 'keep') return neverWider(one)
      await all(async (word) => {
        const port = portOf(word, place)
        const seen = await verdicts(one, port, waitMs)
        const nobody = clientsOf[place].map(({ name }) => `${name}: out`)
        // An engine that cannot keep the host's word says no, when it was asked for by name; what it says no to may be
        // gone a second before it hears of that.
        const carried = async (): Promise<{ refused: boolean; engine: string | undefined }> => {
          const { state, engine } = await naru.rules.get(nameOf(word, place))
          return { refused: word === 'kernel' && state === 'failed', engine: engine?.id }
        }
        if (seen.join() === ((await carried()).refused ? nobody : before).join()) return
        const patient = await verdicts(one, port, patienceMs)
        const { refused, engine } = await carried()
        expect([word, engine, failures, patient]).toEqual([
          word,
          engine,
          failures,
          refused ? nobody : await expected(patienceMs),
        ])
      })
    }

    /** A target that sees its clients may not reach them back; whom it serves reaches a plain listener, too. */
    async function neverWider({ place, wall, allow, deny, protocol }: Case): Promise<void> {
      const knocks = (port: number, ms: number): Promise<readonly boolean[]> =>
        answered({ place, protocol, port, waitMs: ms })
      const served = await Promise.all(words.map((word) => knocks(portOf(word, place), waitMs)))
      const plain = await knocks(plainPort, patienceMs)
      const isBare = [wall.text, wall.routing, wall.switches].every(({ length }) => length === 0)
      for (const [at, { name, from }] of clientsOf[place].entries()) {
        const mayCome = plain[at] && isLetIn(from, allow, deny)
        for (const [which, word] of words.entries()) {
          if (!mayCome) expect([word, name, served[which]?.[at]]).toEqual([word, name, false])
          else if (isBare && name === 'outside' && ['splice', 'auto'].includes(word))
            expect([word, name, (await knocks(portOf(word, place), patienceMs))[at]]).toEqual([
              word,
              name,
              true,
            ])
        }
      }
    }

    /** What each client gets at a port. At the plain listener's: what it is to get by a rule. */
    async function verdicts(
      { place, allow, deny, protocol }: Case,
      port: number,
      waitMs: number,
    ): Promise<string[]> {
      const isPlain = port === plainPort
      const to = inFamily(familyOf(place), target)
      const [dials, answers] = await Promise.all([
        isPlain ? local.isAnswered({ protocol, address: to, port: 80, waitMs }) : true,
        answered({ place, protocol, port, waitMs }),
      ])
      return clientsOf[place].map(({ name, from }, at) => {
        const mayCome = !isPlain || (dials && isLetIn(from, allow, deny))
        return `${name}: ${answers[at] && mayCome ? 'in' : 'out'}`
      })
    }

    const answered = ({
      place,
      ...knock
    }: Pick<Case, 'place' | 'protocol'> & { port: number; waitMs: number }): Promise<boolean[]> =>
      Promise.all(
        clientsOf[place].map(({ by, to, from }) => by().isAnswered({ ...knock, address: to, from })),
      )

    it(
      `is the same with every engine as with a plain listener (seed ${seed})`,
      async () => {
        let kernel = 0
        await fc.assert(
          fc.asyncProperty(anyCase, async (one) => {
            await tried(one)
            if ((await naru.rules.get(nameOf('auto', one.place))).engine?.id === 'kernel') kernel++
          }),
          {
            numRuns: cases,
            seed,
            endOnFailure: true,
            ...(process.env['NARU_PATH'] && { path: process.env['NARU_PATH'] }),
          },
        )
        process.stderr.write(`${cases} cases, ${kernel} of them by the kernel under auto, seed ${seed}\n`)
      },
      Math.max(180_000, cases * 5000),
    )
  },
)

/** Tells `host` by which card the other one's addresses, those in IPv6 too, are reached: nobody needs to ask. */
function introduce(
  other: { readonly host: LabHost; readonly name: string; readonly addresses: readonly string[] },
  host: LabHost,
  device: string,
): void {
  const mac = /link\/ether (\S+)/.exec(other.host.ip('link', 'show', other.name))?.[1] ?? ''
  const addresses = new Set(other.addresses.flatMap((one) => [one, inFamily(6, one)]))
  for (const address of addresses)
    host.ip('neighbour', 'replace', address, 'lladdr', mac, 'dev', device, 'nud', 'permanent')
}

async function listenPlainly(host: LabHost, port: number, addresses: readonly string[]): Promise<void> {
  const program = host.start([process.execPath, plainListener, String(port), ...addresses], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(program.stdout as NodeJS.ReadableStream, 'data')
}

/** The longest prefix decides, and at equal length the ban. */
function isLetIn(from: string, allow: readonly string[], deny: readonly string[]): boolean {
  const longest = (list: readonly string[]): number =>
    Math.max(-1, ...list.map((prefix) => bitsShared(prefix, from)))
  const [allowed, denied] = [longest(allow), longest(deny)]
  if (allowed === -1 && denied === -1) return allow.length === 0
  return allowed > denied
}

/** The prefix's length where it holds the address, else -1. */
function bitsShared(prefix: string, from: string): number {
  const [address = '', family] = [from.split('%')[0], from.includes(':') ? 'ipv6' : 'ipv4'] as const
  const mapped = prefix.startsWith('::ffff:')
  const [network = '', bits] = prefix.replace('::ffff:', '').split('/')
  if ((network.includes(':') ? 'ipv6' : 'ipv4') !== family) return -1
  const most = family === 'ipv6' ? 128 : 32
  const length = bits === undefined ? most : Number(bits) - (mapped ? 96 : 0)
  const list = new BlockList()
  list.addSubnet(network, length, family)
  return list.check(address, family) ? length : -1
}

const prefixes = [
  '10.1.0.2',
  '10.1.0.3',
  '10.1.0.0/24',
  '10.2.0.0/24',
  '10.0.0.0/8',
  '10.1.0.2/31',
  '127.0.0.0/8',
  '::ffff:10.1.0.3',
  '::ffff:10.1.0.0/120',
  'fe80::/10',
  '::1',
  'fd00:1::2',
]

const anyCase: fc.Arbitrary<Case> = fc
  .record({
    place: fc.constantFrom(...places),
    wall: anyWall,
    allow: fc.oneof(fc.constant([]), fc.subarray(prefixes, { maxLength: 3 })),
    deny: fc.oneof(fc.constant([]), fc.subarray(prefixes, { maxLength: 2 })),
    protocol: fc.constantFrom('tcp', 'udp'),
    source: fc.constantFrom('relay', 'relay', 'relay', 'keep'),
  })
  .map((one) => ({ ...one, allow: listed(one.place, one.allow), deny: listed(one.place, one.deny) }))

/** The same list for clients of one family; what is mapped stays, and holds nobody of IPv6. */
function listed(place: Place, list: readonly string[]): readonly string[] {
  const said = list.map((one) => (one.startsWith('::ffff:') ? one : inFamily(familyOf(place), one)))
  return [...new Set(said)]
}
