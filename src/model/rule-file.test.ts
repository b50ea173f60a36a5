import { describe, expect, it } from 'vitest'
import { parseRule, readRule } from './rule-file.ts'
import { formatRule } from './rule-format.ts'
import { ruleNotes } from './rule-sense.ts'
import { mostProblems } from './schema.ts'

const wrong = (input: unknown): string[] =>
  readRule('web', input).problems.map(({ path, text }) => `${path.join('.')}: ${text.en}`)

describe('a rule as it is written', () => {
  it('needs no more than a listen and a target', () => {
    const rule = parseRule('web', { listen: 8888, target: '192.168.79.128:80' })
    expect(rule.listen).toEqual({
      kind: 'inet',
      address: null,
      ports: { first: 8888, last: 8888 },
      protocols: ['tcp'],
    })
    expect(rule.targets[0]?.to).toEqual({
      kind: 'inet',
      host: '192.168.79.128',
      ports: { first: 80, last: 80 },
    })
    expect(rule.timeouts).toEqual({
      connectMs: 5000,
      idleMs: 0,
      udpMs: 300_000,
      drainMs: 30_000,
      helloMs: 5000,
      keepaliveMs: 60_000,
    })
  })

  it('comes back as it was written', () => {
    const input = {
      listen: '127.0.0.1:8000-8100/tcp+udp',
      targets: [
        { to: 'docker:a:9000-9100', weight: 2 },
        { to: 'b.example.org:9000-9100', backup: true },
      ],
      publish: { firewall: 'auto', router: 'pcp', guest: 'nat', externalPort: 'any' },
      allow: ['192.168.0.0/16', '2001:db8::/32'],
      limits: { connections: 10, bandwidth: '100mbit' },
      timeouts: { idle: '1h30m', drain: '0' },
      until: '2026-12-24T09:00:00.000Z',
      enabled: false,
    }
    expect(formatRule(parseRule('r', input))).toEqual(input)
  })

  it('says everything that is wrong at once, where, and what is allowed', () => {
    expect(
      wrong({ lisen: 1, listen: '0', target: 'x:65536', limits: { connections: -1 }, engine: 'fast' }),
    ).toEqual([
      'lisen: unknown key lisen; did you mean listen?',
      'listen: "0": a port is a number from 1 to 65535',
      'target: "x:65536": a port is a number from 1 to 65535',
      'limits.connections: -1: a whole number from 1 to 10000000 is needed',
      'engine: "fast": allowed are: auto, kernel, splice, sockets',
    ])
  })

  it('opens no hop that it does not name', () => {
    const publish = (wish: unknown): unknown =>
      parseRule('web', { listen: 1, target: 2, publish: wish as never }).publish
    expect(publish({ firewall: 'auto' })).toMatchObject({ firewall: 'auto', router: 'off' })
    expect(publish({ router: 'pcp' })).toMatchObject({ firewall: 'off', router: 'pcp' })
    expect(publish(true)).toMatchObject({ firewall: 'auto', router: 'auto' })
    expect(publish(false)).toMatchObject({ firewall: 'off', router: 'off' })
  })

  it('refuses ranges that do not fit, two kinds of target, and a rule that is its own target', () => {
    expect(wrong({ listen: '8000-8100', target: 'a:9000-9001' })[0]).toContain(
      'a range of 2 ports cannot take 101',
    )
    expect(wrong({ listen: '8100-8000', target: 80 })[0]).toContain('did you mean 8000-8100?')
    // What may be written both ways is told both ways.
    expect(wrong({ listen: 1, target: 2, publish: 'maybe' })).toEqual([
      'publish: "maybe": allowed are: true, false, or a map of firewall, router, guest, externalPort',
    ])
    expect(wrong({ listen: 1, target: 2, publish: { externalPort: 'foo' } })).toEqual([
      'publish.externalPort: "foo": allowed are: any, or a whole number from 1 to 65535',
    ])
    expect(wrong({ listen: 1, target: '192.168.79.128' })).toEqual([
      'target: "192.168.79.128": the port is missing: write 192.168.79.128:80',
    ])
    expect(wrong({ listen: 1, target: 'docker:web' })).toEqual([
      'target: "docker:web": the port is missing: write docker:web:80',
    ])
    expect(wrong({ listen: 1, target: 2, title: 'a\nb' })).toEqual(['title: "a\\nb": write it on one line'])
    expect(wrong({ listen: 1, target: 2, tags: ['', 'a\u202Eb'] })).toHaveLength(2)
    expect(wrong({ listen: 1, target: 2, targets: [3] })[0]).toContain('either target or targets')
    expect(wrong({ listen: 80, target: 80 })[0]).toContain('forward to itself')
    expect(wrong({ listen: '8000-8010', target: 8005 })[0]).toContain('forward to itself')
    expect(wrong({ listen: '10.0.0.1:80', target: 80 })).toEqual([])
  })

  it.each([
    ['239.1.1.1:5000/udp', '10.0.0.1:5000', 'Naru joins none'],
    ['[ff05::5%eth0]:5000/udp', '10.0.0.1:5000', 'Naru joins none'],
    ['5000', '239.1.1.1:5000', 'TCP goes to one host'],
    ['5000/tcp+udp', '255.255.255.255:5000', 'TCP goes to one host'],
    ['unix:/run/a', '[ff02::1%eth0]:5000', 'TCP goes to one host'],
  ])('tells that %s → %s cannot be, as it is for many', (listen, target, why) => {
    expect(wrong({ listen, target })[0]).toContain(why)
  })

  it.each([
    ['5000/udp', '239.1.1.1:5000'],
    ['9/udp', '255.255.255.255:9'],
    ['9/tcp+udp', '192.168.1.255:9'],
  ])('lets UDP go to many, and knows no network’s broadcast address: %s → %s', (listen, target) => {
    expect(wrong({ listen, target })).toEqual([])
  })

  it.each([
    ['80', '0.0.0.0:80'],
    ['80', '[::]:80'],
    ['80', '[::ffff:127.0.0.1]:80'],
    ['80', 'localhost.:80'],
    ['80', 'app.localhost:80'],
    ['[::1]:80', 'app.localhost.:80'],
    ['127.0.0.1:80', '0.0.0.0:80'],
    ['[::1]:80', '[::]:80'],
    ['[::ffff:127.0.0.1]:80', '127.0.0.1:80'],
  ])('tells that what arrives at %s would reach itself by %s', (listen, target) => {
    expect(wrong({ listen, target })[0]).toContain('forward to itself')
  })

  it.each([
    ['[::]:80', '127.0.0.1:80'],
    ['0.0.0.0:80', '[::1]:80'],
    ['0.0.0.0:80', '[::]:80'],
    ['[::1]:80', '0.0.0.0:80'],
    ['80', '0.0.0.0:81'],
  ])('carries %s to %s, which is the other family or another port', (listen, target) => {
    expect(wrong({ listen, target })).toEqual([])
  })

  it('routes by a name in any language as the wire has it', () => {
    const { rule } = readRule('r', { listen: 443, targets: [{ to: '10.0.0.1:443', name: '*.나루.example' }] })
    expect(rule?.targets[0]?.name).toBe('*.xn--910br1n.example')
  })

  it('lets nobody but listed proxies say by UDP who the client is, and says what that is worth', () => {
    const rule = (acceptProxy: unknown, listen: unknown = '53/udp') => ({ listen, target: 2, acceptProxy })
    for (const anybody of ['0.0.0.0/0', ['10.0.0.1', '::/1'], '64.0.0.0/7'])
      expect(wrong(rule(anybody))[0]).toContain('list the proxies')
    expect(wrong(rule('0.0.0.0/0', 53))).toEqual([])
    expect(wrong(rule(['10.0.0.0/8', 'fc00::/7']))).toEqual([])
    const notes = (listen: string): number => ruleNotes(parseRule('r', rule('10.0.0.7', listen))).length
    expect(notes('53/udp')).toBe(1)
    expect(notes('0.0.0.0:53/tcp+udp')).toBe(1)
    expect(notes('127.0.0.1:53/udp')).toBe(0)
    expect(notes('53')).toBe(0)
  })

  it('a well-known port to the outside draws a note that names a high one', () => {
    const notes = (listen: number, publish: object): string[] =>
      ruleNotes(parseRule('web', { listen, target: '10.0.0.7:80', publish })).map(({ en }) => en)
    expect(notes(443, { router: 'auto' })).toEqual([expect.stringContaining('externalPort: 8443')])
    expect(notes(8443, { router: 'auto', externalPort: 443 })).toHaveLength(1)
    expect(notes(443, { router: 'auto', externalPort: 8443 })).toEqual([])
    expect(notes(443, {})).toEqual([])
    expect(notes(1024, { router: 'auto' })).toEqual([])
  })

  it('takes no nonsense for a value', () => {
    for (const value of [null, [], {}, true, '', 'a'.repeat(100_000)])
      expect(wrong({ listen: value, target: 80 })).not.toEqual([])
    for (const value of [null, [], 'x', 3]) expect(readRule('r', value).rule).toBeNull()
  })

  it.each(['connect', 'udp', 'hello'])('takes no %s that is over before it began', (key) => {
    const of = (time: string) => wrong({ listen: 80, target: '10.0.0.1:80', timeouts: { [key]: time } })
    expect(of('0')).toEqual([expect.stringContaining('nothing is done within no time')])
    expect(of('1ms')).toEqual([])
  })

  it.each([
    ['2026-02-29T00:00:00Z', false],
    ['2028-02-29T00:00:00+14:00', true],
    ['2026-04-31T00:00:00Z', false],
    ['2026-13-01T00:00:00Z', false],
    ['9999-12-31T23:59:59Z', true],
    ['9999-12-31T23:59:59-01:00', false],
    ['0000-01-01T00:00:00+01:00', false],
  ])('takes %s for a time that it can write again: %s', (until, isTime) => {
    expect(wrong({ listen: 80, target: '10.0.0.1:80', until }).length === 0).toBe(isTime)
  })
})

describe('rubbish', () => {
  const many = (count: number, of: (at: number) => unknown): unknown[] =>
    Array.from({ length: count }, (_, at) => of(at))

  it.each([
    ['keys', Object.fromEntries(many(60_000, (at) => [`key${at}`, 1]) as [string, number][])],
    ['prefixes', { listen: 1, target: 2, allow: many(10_000, () => 'x'.repeat(50)) }],
    [
      'targets',
      { listen: 1, targets: many(200, () => ({ to: 'no:where:at:all', wieght: 'x'.repeat(10_000) })) },
    ],
    ['depth', { listen: JSON.parse('['.repeat(300_000) + ']'.repeat(300_000)) as unknown }],
  ])('of many %s gets a short answer', (_, input) => {
    const { problems } = readRule('web', input)
    expect(problems.length).toBeGreaterThan(0)
    expect(problems.length).toBeLessThanOrEqual(mostProblems + 3)
    expect(JSON.stringify(problems).length).toBeLessThan(20_000)
  })
})
