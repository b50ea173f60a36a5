import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { everyPort } from '../base/port.ts'
import { listensOverlap, type Listen } from '../model/listen.ts'
import { ListenIndex } from '../model/listen-index.ts'
import { targetPort } from '../model/port-map.ts'
import type { Rule } from '../model/rule.ts'
import { parseRule, readRule } from '../model/rule-file.ts'
import { circleNotes, circlesHere, circlesIn, ownAddress } from './circles.ts'

const isOwn = (address: string): boolean => ['127.0.0.1', '::1', '192.168.1.10'].includes(address)

function circles(rules: Record<string, [listen: string, ...targets: string[]]>): string[] {
  const read = Object.entries(rules).map(([name, [listen, ...targets]]) =>
    parseRule(name, { listen, targets }),
  )
  return circlesIn(read, isOwn).found.map((circle) => circle.map(({ name }) => name).join(' '))
}

it('an address of this machine is its own by whatever interface it is named', () => {
  const addresses = [{ address: 'fe80::1' }, { address: '10.0.0.1' }]
  const own = ownAddress([{ addresses }] as never)
  const named = ['fe80::1%eth0', '10.0.0.1', '127.9.9.9', 'fe80::2%eth0', '10.0.0.2']
  expect(named.map(own)).toEqual([true, true, true, false, false])
})

describe('rules that lead to each other', () => {
  it.each([
    ['two', { a: ['8000', '8001'], b: ['8001', '127.0.0.1:8000'] }, ['a b']],
    [
      'by another of our addresses',
      { a: ['8000', '192.168.1.10:8001'], b: ['0.0.0.0:8001', '8000'] },
      ['a b'],
    ],
    ['under localhost', { a: ['8000', 'app.localhost:8001'], b: ['8001', 'localhost.:8000'] }, ['a b']],
    ['three', { a: ['8000', '8001'], b: ['8001', 'localhost:8002'], c: ['8002', '8000'] }, ['a b c']],
    ['through a Unix socket', { a: ['8000', 'unix:/run/a'], b: ['unix:/run/a', '8000'] }, ['a b']],
    ['by one of several targets', { a: ['8000', '10.0.0.1:80', '8001'], b: ['8001', '8000'] }, ['a b']],
    ['by a port of a range', { a: ['8000-8100', '9000-9100'], b: ['9050', '8050'] }, ['a b']],
    [
      'past a range that leads back to itself',
      { a: ['8002-8004', '8003-8005', '8001-8003'], b: ['8005', '8002'] },
      ['a b'],
    ],
    ['over UDP', { a: ['8000/udp', '8001'], b: ['8001/udp', '8000'] }, ['a b']],
  ] as const)('are found: %s', (_what, rules, found) => {
    expect(circles(rules as never)).toEqual(found)
  })

  it.each([
    ['a chain', { a: ['8000', '8001'], b: ['8001', '8002'], c: ['8002', '10.0.0.1:80'] }],
    ['another machine', { a: ['8000', '10.0.0.1:8001'], b: ['8001', '10.0.0.1:8000'] }],
    [
      'another address of ours',
      { a: ['127.0.0.1:8000', '127.0.0.1:8001'], b: ['192.168.1.10:8001', '8000'] },
    ],
    ['another protocol', { a: ['8000', '8001'], b: ['8001/udp', '8000'] }],
    ['a range that ends', { a: ['8000-8001', '9000-9001'], b: ['9000-9001', '8001-8002'] }],
  ] as const)('are not seen in %s', (_what, rules) => {
    expect(circles(rules as never)).toEqual([])
  })

  it('are named where one of them is new, and not where one is off', () => {
    const a = parseRule('a', { listen: '8000', target: '8001' })
    const b = parseRule('b', { listen: '8001', target: '8000' })
    expect(circleNotes([a, b], [b], isOwn).map(({ en }) => en)).toEqual([
      expect.stringContaining('a → b → a'),
    ])
    expect(circleNotes([a, b], [], isOwn)).toEqual([])
    expect(circleNotes([a, { ...b, enabled: false }], [a], isOwn)).toEqual([])
  })

  it('that only ranges which move in the end make are found', () => {
    const found = circles({ a: ['100-199', '301-400'], b: ['301-400', '99-198'], c: ['99', '100'] })
    expect(found).toEqual(['a b c'])
    expect(circles({ a: ['100-199', '301-400'], b: ['301-400', '101-200'] })).toEqual([])
  })

  it('are those that are found port by port', () => {
    const ports = fc.integer({ min: 1, max: 9 })
    const range = fc.tuple(ports, fc.integer({ min: 0, max: 5 }))
    const rule = fc.record({
      at: fc.nat(3),
      listen: range,
      to: fc.array(fc.tuple(fc.nat(3), ports, fc.boolean()), { minLength: 1, maxLength: 3 }),
    })
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 6 }), (drawn) => {
        const rules = drawn.flatMap(({ at, listen: [first, more], to }, index) => {
          const listen = `127.0.0.${at + 1}:${first}-${first + more}`
          const targets = to.map(
            ([address, port, apart]) => `127.0.0.${address + 1}:${port}${apart ? `-${port + more}` : ''}`,
          )
          return readRule(`r${index}`, { listen, targets }).rule ?? []
        })
        const open = rules.filter(
          (one, index) => !rules.slice(0, index).some((other) => listensOverlap(one.listen, other.listen)),
        )
        const { found, all } = circlesIn(open, () => true)
        expect(all).toBe(true)
        expect(found.length > 0).toBe(anyPortByPort(open))
        for (const rule of open) {
          const from = circlesIn(open, () => true, { from: [rule] }).found
          if (anyPortByPort(open, [rule])) expect(from).not.toEqual([])
          else expect(from.filter((circle) => circle.includes(rule))).toEqual([])
        }
      }),
      { numRuns: 500 },
    )
  })

  it('are those that sockets make, whatever addresses rules listen on and dial', () => {
    const port = fc.integer({ min: 1, max: 3 })
    const rule = fc.record({
      host: fc.constantFrom(...listenHosts),
      port,
      protocol: fc.constantFrom('tcp', 'udp', 'tcp+udp'),
      to: fc.array(fc.tuple(fc.constantFrom(...Object.keys(dialledAt)), port), {
        minLength: 1,
        maxLength: 2,
      }),
    })
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 6 }), (drawn) => {
        const open: { rule: Rule; drawn: (typeof drawn)[number] }[] = []
        for (const [at, one] of drawn.entries()) {
          const listen = `${one.host}${one.port}/${one.protocol}`
          const targets = one.to.map(([host, to]) => `${host}${to}`)
          const { rule } = readRule(`r${at}`, { listen, targets })
          if (rule && !open.some((other) => listensOverlap(other.rule.listen, rule.listen)))
            open.push({ rule, drawn: one })
        }
        const leads = (from: number, protocol: string): number[] =>
          (open[from]?.drawn.to ?? []).flatMap(([host, to]) =>
            (dialledAt[host] ?? []).flatMap((address) =>
              [...open.keys()].filter((at) => {
                const there = open[at]?.drawn
                return (
                  there !== undefined &&
                  there.port === to &&
                  there.protocol.split('+').includes(protocol) &&
                  hears(there.host, address)
                )
              }),
            ),
          )
        const goesRound = open.some(({ drawn: { protocol } }, at) =>
          protocol.split('+').some((one) => reaches(at, (from) => leads(from, one))),
        )
        const rules = open.map((one) => one.rule)
        expect(circlesIn(rules, (address) => ownAddresses.includes(address)).found.length > 0).toBe(goesRound)
      }),
      { numRuns: 500 },
    )
  })

  it.each([
    ['ten thousand rules of a port', chain(10_000, (at) => [`${10_000 + at}`, `${10_001 + at}`])],
    ['ten thousand addresses', chain(10_000, (at) => [`${host(at)}:80`, `${host(at + 1)}:80`])],
    ['two thousand of all ports', chain(2000, (at) => [`${host(at)}:1-65535`, `${host(at + 1)}:1-65535`])],
    [
      'fifty ranges for calls',
      chain(50, (at) => [`${host(at)}:10000-19999/udp`, `${host(at + 1)}:20000-29999`]),
    ],
  ])('cost little, and none is missed, among %s', (_what, rules) => {
    const began = performance.now()
    expect(circlesIn(rules, isLoopback)).toEqual({ found: [], all: true })
    expect(performance.now() - began).toBeLessThan(2000)
  })

  it('are looked for by ports alone where nobody leads to another rule, however many there are', () => {
    const add = vi.spyOn(ListenIndex.prototype, 'add')
    const one = parseRule('one', { listen: '127.0.0.1:1', target: '127.0.0.1:9' })
    const rules = Array.from({ length: 1000 }, (_, at): Rule => ({ ...one, name: `r${at}` }))
    const apart = rules.map((rule, at): Rule => ({ ...rule, listen: listenAt(10_000 + at) }))
    expect(circlesIn(apart, isLoopback)).toEqual({ found: [], all: true })
    expect(add).not.toHaveBeenCalled()
    // Two that go round cost what two do.
    const [a, b] = ['20000 20001', '20001 20000'].map((ports, at) => {
      const [listen = '', target = ''] = ports.split(' ')
      return parseRule(`round${at}`, { listen: `127.0.0.1:${listen}`, target: `127.0.0.1:${target}` })
    }) as [Rule, Rule]
    expect(circlesIn([...apart, a, b], isLoopback).found).toEqual([[a, b]])
    expect(add).toHaveBeenCalledTimes(2)
    add.mockRestore()
  })

  it('are found where ten thousand go round', () => {
    const rules = chain(10_000, (at) => [`${host(at)}:1-65535`, `${host((at + 1) % 10_000)}:1-65535`])
    expect(circlesIn(rules, isLoopback).found[0]).toHaveLength(10_000)
    expect(circleNotes(rules, rules, isLoopback)[0]?.en.length).toBeLessThan(1000)
  })

  it('are looked for no longer than a moment, and that is told', () => {
    // Each port goes a port further, by every other rule: paths beyond number.
    const rules = chain(200, (at) => [
      `${host(at)}:1-65000`,
      ...[1, 7, 31, 101].map((by) => `${host((at + by) % 200)}:${by}-${64_999 + by}`),
    ])
    const began = performance.now()
    const notes = circleNotes(rules, rules, isLoopback)
    expect(performance.now() - began).toBeLessThan(5000)
    expect(notes.at(-1)?.en).toContain('is not known')
  })

  it('are no reason to ask the machine where no rule leads to another', async () => {
    const asked = vi.fn(() => Promise.reject(new Error('not asked')))
    const rules = chain(3, (at) => [`${8000 + at}`, `10.0.0.1:${80 + at}`])
    const host = { network: { interfaces: asked } } as never
    expect(await circlesHere(rules, rules, host, AbortSignal.timeout(1000))).toEqual([])
    expect(asked).not.toHaveBeenCalled()
  })
})

function listenAt(port: number): Listen {
  return { kind: 'inet', address: '127.0.0.1', ports: { first: port, last: port }, protocols: ['tcp'] }
}

function host(at: number): string {
  return `127.1.${at >> 8}.${at & 255}`
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.')
}

function chain(count: number, make: (at: number) => string[]): Rule[] {
  return Array.from({ length: count }, (_, at) => {
    const [listen, ...targets] = make(at)
    return parseRule(`r${at}`, { listen: listen as string, targets })
  })
}

/** Of rules that listen on IPv4 addresses: each port of each of `from` by itself, forth from it and back to it. */
function anyPortByPort(rules: readonly Rule[], from: readonly Rule[] = rules): boolean {
  const next = (at: number, port: number): [number, number][] =>
    rules[at]?.targets.flatMap(({ to }) => {
      const from = rules[at]?.listen
      if (to.kind !== 'inet' || from?.kind !== 'inet') return []
      const ports = {
        first: targetPort(port, from.ports, to.ports),
        last: targetPort(port, from.ports, to.ports),
      }
      const dialled: Listen = { kind: 'inet', address: to.host, ports, protocols: ['tcp'] }
      return rules.flatMap((rule, there): [number, number][] =>
        listensOverlap(rule.listen, dialled) ? [[there, ports.first]] : [],
      )
    }) ?? []
  return rules.some(
    (rule, start) =>
      from.includes(rule) &&
      rule.listen.kind === 'inet' &&
      everyPort(rule.listen.ports).some((port) => {
        const seen = new Set<string>()
        const ways: [number, number, boolean][] = [[start, port, false]]
        for (let way = ways.pop(); way; way = ways.pop())
          for (const [rule, at] of next(way[0], way[1])) {
            const left = way[2] || rule !== start
            if (rule === start && at === port && left) return true
            const key = `${rule} ${at} ${left}`
            if (seen.has(key)) continue
            seen.add(key)
            ways.push([rule, at, left])
          }
        return false
      }),
  )
}

const ownAddresses = ['127.0.0.1', '127.0.0.2', '::1', '192.168.1.10', 'fd00::10']
const listenHosts = [
  '',
  '0.0.0.0:',
  '[::]:',
  ...ownAddresses.map((one) => (one.includes(':') ? `[${one}]:` : `${one}:`)),
]
/** Where a connection to each arrives on this machine. */
const dialledAt: Readonly<Record<string, readonly string[]>> = {
  '': ['127.0.0.1'],
  'localhost:': ['127.0.0.1', '::1'],
  '127.0.0.2:': ['127.0.0.2'],
  '[::1]:': ['::1'],
  '192.168.1.10:': ['192.168.1.10'],
  '[fd00::10]:': ['fd00::10'],
  '0.0.0.0:': ['127.0.0.1'],
  '[::]:': ['::1'],
  '[::ffff:192.168.1.10]:': ['192.168.1.10'],
  '10.0.0.9:': [],
}

function hears(host: string, address: string): boolean {
  if (host === '') return true
  if (host === '0.0.0.0:' || host === '[::]:') return address.includes(':') === (host === '[::]:')
  return host.slice(0, -1).replaceAll(/[[\]]/g, '') === address
}

/** Does a way that leaves a rule for another one come back to it? */
function reaches(start: number, leads: (from: number) => readonly number[]): boolean {
  const seen = new Set<number>()
  const next = leads(start).filter((at) => at !== start)
  for (let at = next.pop(); at !== undefined; at = next.pop()) {
    if (at === start) return true
    if (seen.has(at)) continue
    seen.add(at)
    next.push(...leads(at))
  }
  return false
}
