import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemClock, type Clock } from '../base/clock.ts'
import { interleaved } from './eyeballs.ts'
import { HostsFile, parseHosts } from './hosts-file.ts'
import { NameResolver, type NameSources } from './resolve.ts'

/** DNS by hand: what is not there rejects with its code. */
class FakeNames implements NameSources {
  readonly four = new Map<string, [address: string, ttl: number][] | string>()
  readonly six = new Map<string, [address: string, ttl: number][] | string>()
  readonly system = new Map<string, string[]>()
  readonly inHosts = new Map<string, string[]>()
  asked = 0

  resolve4 = (name: string) => this.#answer(this.four, name)
  resolve6 = (name: string) => this.#answer(this.six, name)
  lookup = (name: string) => {
    const found = this.system.get(name)
    return found ? Promise.resolve(found) : Promise.reject(failure('ENOTFOUND'))
  }
  hosts = (name: string) => Promise.resolve(this.inHosts.get(name) ?? [])

  #answer(from: Map<string, [string, number][] | string>, name: string) {
    this.asked++
    const found = from.get(name) ?? 'ENOTFOUND'
    if (typeof found === 'string') return Promise.reject(failure(found))
    return Promise.resolve(found.map(([address, ttl]) => ({ address, ttl })))
  }
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code })
}

function world(): { names: FakeNames; resolver: NameResolver; pass: (ms: number) => void } {
  const names = new FakeNames()
  let now = 0
  const clock: Clock = { ...systemClock, monotonic: () => now }
  return {
    names,
    resolver: new NameResolver({ sources: names, clock, limitMs: 200 }),
    pass: (ms) => void (now += ms),
  }
}

describe('where others answer than before', () => {
  it('names are asked for again within ten seconds, whatever their TTL', async () => {
    const { names, resolver, pass } = world()
    const origins = ['10.0.0.53']
    const asking = Object.assign(names, { origin: () => Promise.resolve(origins[0] as string) })
    names.four.set('a.test', [['10.0.0.1', 3600]])
    const first = await resolver.resolve('a.test')
    expect(first.ttlMs).toBeLessThanOrEqual(5000)
    names.four.set('a.test', [['10.8.0.1', 3600]])

    pass(first.ttlMs + 1)
    expect((await resolver.resolve('a.test')).addresses).toEqual(['10.0.0.1'])
    expect(asking.asked).toBe(2)

    origins[0] = '10.8.0.53'
    pass(5000)
    await resolver.resolve('a.test')
    pass(4999)
    await expect.poll(async () => (await resolver.resolve('a.test')).addresses).toEqual(['10.8.0.1'])
  })

  it('the last good answer serves as long as the new ones are silent', async () => {
    const { names, resolver, pass } = world()
    const origins = ['one']
    Object.assign(names, { origin: () => Promise.resolve(origins[0] as string) })
    names.four.set('a.test', [['10.0.0.1', 3600]])
    await resolver.resolve('a.test')
    origins[0] = 'two'
    names.four.set('a.test', 'ETIMEOUT')
    names.six.set('a.test', 'ETIMEOUT')
    pass(5001)
    await resolver.resolve('a.test')
    pass(4000)
    expect((await resolver.resolve('a.test')).addresses).toEqual(['10.0.0.1'])
  })

  it('a line more in the hosts file is another word', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'naru-hosts-'))
    try {
      const file = new HostsFile(join(folder, 'hosts'))
      expect(await file.version()).toBe('')
      await writeFile(join(folder, 'hosts'), '10.0.0.1 nas\n')
      const before = await file.version()
      expect(await file.addresses('nas.')).toEqual(['10.0.0.1'])
      await writeFile(join(folder, 'hosts'), '10.0.0.1 nas\n10.0.0.2 tv\n')
      expect(await file.version()).not.toBe(before)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('a name', () => {
  it('keeps its addresses for its TTL, and is asked for again after', async () => {
    const { names, resolver, pass } = world()
    names.four.set('a.test', [['10.0.0.1', 30]])
    expect(await resolver.resolve('a.test')).toMatchObject({ addresses: ['10.0.0.1'], ttlMs: 30_000 })
    names.four.set('a.test', [['10.0.0.2', 30]])
    pass(29_999)
    expect((await resolver.resolve('a.test')).addresses).toEqual(['10.0.0.1'])
    pass(2)
    expect((await resolver.resolve('a.test')).addresses).toEqual(['10.0.0.2'])
  })

  it.each(['ESERVFAIL', 'ETIMEOUT', 'EREFUSED'])(
    'keeps the last good address while DNS says %s',
    async (code) => {
      const { names, resolver, pass } = world()
      names.four.set('a.test', [['10.0.0.1', 1]])
      await resolver.resolve('a.test')
      names.four.set('a.test', code)
      names.six.set('a.test', code)
      pass(5000)
      expect((await resolver.resolve('a.test')).addresses).toEqual(['10.0.0.1'])
      names.four.set('a.test', [['10.0.0.2', 1]])
      pass(5001)
      // Who asks first does not wait for an answer that lately failed; it is there for the next.
      expect((await resolver.resolve('a.test')).addresses).toEqual(['10.0.0.1'])
      await expect.poll(async () => (await resolver.resolve('a.test')).addresses).toEqual(['10.0.0.2'])
    },
  )

  it('keeps the last good address while DNS does not answer at all, and nobody waits for it', async () => {
    const { names, resolver, pass } = world()
    names.four.set('a.test', [['10.0.0.1', 1]])
    await resolver.resolve('a.test')
    let asked = 0
    names.resolve4 = names.resolve6 = () => (asked++, new Promise(() => {}))
    for (let round = 0; round < 20; round++) {
      pass(5000)
      expect(await resolver.resolve('a.test')).toEqual({ addresses: ['10.0.0.1'], ttlMs: 1000 })
    }
    // One question is under way for all of them.
    expect(asked).toBe(2)
  })

  it('is served by the last good address for three days, and no longer', async () => {
    const { names, resolver, pass } = world()
    names.four.set('a.test', [['10.0.0.1', 1]])
    await resolver.resolve('a.test')
    names.four.set('a.test', 'ESERVFAIL')
    names.six.set('a.test', 'ESERVFAIL')
    for (let hour = 0; hour < 71; hour++) {
      pass(3_600_000)
      expect((await resolver.resolve('a.test')).addresses).toEqual(['10.0.0.1'])
    }
    pass(7_200_000)
    await expect(resolver.resolve('a.test')).rejects.toMatchObject({ code: 'NAME_NOT_FOUND' })
  })

  it.each([
    ['AAAA', 'resolve6', ['10.0.0.1'], ['2001:db8::1', '10.0.0.1']],
    ['A', 'resolve4', ['2001:db8::1'], ['2001:db8::1', '10.0.0.1']],
  ] as const)('does not wait for a late %s, and has it once it comes', async (_type, late, now, then) => {
    const { names, resolver } = world()
    names.four.set('a.test', [['10.0.0.1', 30]])
    names.six.set('a.test', [['2001:db8::1', 30]])
    const answer = names[late]
    let release = (): void => {}
    const released = new Promise<void>((resolve) => (release = resolve))
    names[late] = (name) => released.then(() => answer(name))
    expect(await resolver.resolve('a.test')).toEqual({ addresses: now, ttlMs: 1000 })
    expect(await resolver.resolve('a.test')).toEqual({ addresses: now, ttlMs: 1000 })
    release()
    await expect.poll(async () => (await resolver.resolve('a.test')).addresses).toEqual(then)
    expect((await resolver.resolve('a.test')).ttlMs).toBe(30_000)
  })

  it('keeps a family that answered though the other fails long after', async () => {
    const { names, resolver } = world()
    names.four.set('a.test', [['10.0.0.1', 30]])
    let fail = (): void => {}
    names.resolve6 = () => new Promise((_resolve, reject) => (fail = () => reject(failure('ETIMEOUT'))))
    await resolver.resolve('a.test')
    fail()
    await expect.poll(() => resolver.resolve('a.test')).toEqual({ addresses: ['10.0.0.1'], ttlMs: 30_000 })
  })

  it('is asked for as before where one family has nothing and the other is silent', async () => {
    const { names, resolver } = world()
    names.four.set('a.test', 'ENODATA')
    names.resolve6 = () => new Promise(() => {})
    await expect(resolver.resolve('a.test')).rejects.toMatchObject({ code: 'NAME_NOT_FOUND' })
  })

  it('that is gone is gone, and is not asked for with each datagram', async () => {
    const { names, resolver, pass } = world()
    names.four.set('a.test', [['10.0.0.1', 1]])
    await resolver.resolve('a.test')
    names.four.delete('a.test')
    pass(5000)
    await expect(resolver.resolve('a.test')).rejects.toMatchObject({ code: 'NAME_NOT_FOUND' })
    const { asked } = names
    await expect(resolver.resolve('a.test')).rejects.toMatchObject({ code: 'NAME_NOT_FOUND' })
    expect(names.asked).toBe(asked)
    pass(1001)
    names.four.set('a.test', [['10.0.0.3', 1]])
    expect((await resolver.resolve('a.test')).addresses).toEqual(['10.0.0.3'])
  })

  it('is asked for once by all who wait', async () => {
    const { names, resolver } = world()
    names.four.set('a.test', [['10.0.0.1', 30]])
    await Promise.all(Array.from({ length: 20 }, () => resolver.resolve('a.test')))
    expect(names.asked).toBe(2)
  })

  it('has addresses of both families, IPv6 first, and one family is enough', async () => {
    const { names, resolver } = world()
    names.four.set('both.test', [
      ['10.0.0.1', 60],
      ['10.0.0.2', 60],
    ])
    names.six.set('both.test', [['2001:db8::1', 9]])
    expect(await resolver.resolve('both.test')).toMatchObject({
      addresses: ['2001:db8::1', '10.0.0.1', '10.0.0.2'],
      ttlMs: 9000,
    })
    names.six.set('half.test', 'ESERVFAIL')
    names.four.set('half.test', [['10.0.0.9', 60]])
    expect((await resolver.resolve('half.test')).addresses).toEqual(['10.0.0.9'])
  })

  it('is looked for in the hosts file first, and where only the system knows it last', async () => {
    const { names, resolver } = world()
    names.inHosts.set('a.test', ['10.9.9.9'])
    names.four.set('a.test', [['10.0.0.1', 1]])
    names.system.set('printer.office', ['10.0.0.7'])
    expect((await resolver.resolve('a.test')).addresses).toEqual(['10.9.9.9'])
    expect((await resolver.resolve('printer.office')).addresses).toEqual(['10.0.0.7'])
  })

  it('is asked for again after half a minute, however long its answer may be kept', async () => {
    const { names, resolver, pass } = world()
    names.four.set('web.containers', [['172.18.0.2', 600]])
    expect((await resolver.resolve('web.containers')).ttlMs).toBe(30_000)
    names.four.set('web.containers', [['172.18.0.5', 600]])
    pass(30_001)
    expect((await resolver.resolve('web.containers')).addresses).toEqual(['172.18.0.5'])
  })

  it('without a dot is completed by the system, and is no top-level domain to a name server', async () => {
    const { names, resolver } = world()
    names.four.set('ai', [['203.0.113.66', 3600]])
    names.system.set('ai', ['10.0.0.8'])
    const { addresses, ttlMs } = await resolver.resolve('ai')
    expect([addresses, ttlMs, names.asked]).toEqual([['10.0.0.8'], 10_000, 0])
    names.four.set('ai.', [['203.0.113.66', 20]])
    expect((await resolver.resolve('ai.')).addresses).toEqual(['203.0.113.66'])
    names.four.set('web', [['172.18.0.2', 600]])
    expect((await resolver.resolve('web')).addresses).toEqual(['172.18.0.2'])
  })

  it.each(['localhost', 'localhost.', 'app.localhost', 'a.b.localhost.'])(
    'such as %s is this machine, and no name server hears of it',
    async (name) => {
      const { names, resolver } = world()
      names.four.set(name, [['203.0.113.66', 60]])
      names.system.set(name, ['203.0.113.66'])
      expect((await resolver.resolve(name)).addresses).toEqual(['127.0.0.1', '::1'])
      expect(names.asked).toBe(0)
    },
  )

  it('under localhost goes where the hosts file has it, or localhost itself', async () => {
    const { names, resolver } = world()
    names.inHosts.set('localhost', ['127.0.0.1'])
    names.inHosts.set('own.localhost', ['127.0.0.5'])
    expect((await resolver.resolve('app.localhost')).addresses).toEqual(['127.0.0.1'])
    expect((await resolver.resolve('own.localhost')).addresses).toEqual(['127.0.0.5'])
  })

  it('under local is asked of the system, which knows who has it, and of no name server that answers for all', async () => {
    const { names, resolver } = world()
    names.four.set('nas.local', [['203.0.113.66', 60]])
    names.four.set('gone.local', [['203.0.113.66', 60]])
    names.system.set('nas.local', ['10.0.0.7'])
    expect((await resolver.resolve('nas.local')).addresses).toEqual(['10.0.0.7'])
    await expect(resolver.resolve('gone.local')).rejects.toMatchObject({ code: 'NAME_NOT_FOUND' })
    expect(names.asked).toBe(0)
  })

  it('that is an address is asked of nobody', async () => {
    const { names, resolver } = world()
    for (const [written, address] of [
      ['127.0.0.1', '127.0.0.1'],
      ['FE80:0::1', 'fe80::1'],
    ] as const)
      expect((await resolver.resolve(written)).addresses).toEqual([address])
    expect(names.asked).toBe(0)
  })

  it('is no longer waited for by who left', async () => {
    const { names, resolver } = world()
    names.resolve4 = names.resolve6 = () => new Promise(() => {})
    const leaving = new AbortController()
    const waiting = resolver.resolve('a.test', { signal: leaving.signal })
    leaving.abort(new Error('left'))
    await expect(waiting).rejects.toThrow('left')
    await expect(resolver.resolve('a.test', { signal: leaving.signal })).rejects.toThrow('left')
  })
})

describe('the hosts file', () => {
  it('is read as hosts(5) says', () => {
    const entries = parseHosts(
      '127.0.0.1\tlocalhost\n# 1.2.3.4 not\n::1 LocalHost ip6-localhost # yes\nbroken x\n10.0.0.1 nas nas.home\r\n',
    )
    expect(Object.fromEntries(entries)).toEqual({
      localhost: ['127.0.0.1', '::1'],
      'ip6-localhost': ['::1'],
      nas: ['10.0.0.1'],
      'nas.home': ['10.0.0.1'],
    })
  })

  it('is read again when it changed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'naru-hosts-'))
    const path = join(folder, 'hosts')
    const hosts = new HostsFile(path)
    expect(await hosts.addresses('nas')).toEqual([])
    await writeFile(path, '10.0.0.1 nas\n')
    expect(await hosts.addresses('NAS')).toEqual(['10.0.0.1'])
    await writeFile(path, '10.0.0.22 nas\n')
    expect(await hosts.addresses('nas')).toEqual(['10.0.0.22'])
    await rm(folder, { recursive: true })
  })
})

it('families take turns, the first one leads (RFC 8305 §4)', () => {
  expect(interleaved(['::1', '::2', '::3', '1.1.1.1', '2.2.2.2'])).toEqual([
    '::1',
    '1.1.1.1',
    '::2',
    '2.2.2.2',
    '::3',
  ])
  expect(interleaved(['1.1.1.1', '::1'])).toEqual(['1.1.1.1', '::1'])
  expect(interleaved([])).toEqual([])
})
