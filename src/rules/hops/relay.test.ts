import { expect, it } from 'vitest'
import { NaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import type { Engine } from '../../engines/contract.ts'
import type { Facts } from '../../model/facts.ts'
import { parseRule } from '../../model/rule-file.ts'
import { desireRelay } from './relay.ts'

const refusing: Engine = {
  id: 'sockets',
  supports: () => ({ ok: true, why: say('always', '항상') }),
  open: () => Promise.reject(new NaruError('LISTEN_PRIVILEGED', { listen: '80', first: 1024, command: 'x' })),
} as Partial<Engine> as Engine

async function refusal(listen: string, firstUnprivilegedPort: number): Promise<unknown> {
  const wanted = await desireRelay(parseRule('web', { listen, target: '10.0.0.2:80' }), {
    engines: [refusing],
    facts: { firstUnprivilegedPort, privileged: false, capabilities: [] } as Partial<Facts> as Facts,
    resolve: () => Promise.reject(new Error('nobody asks')),
    onEvent: () => {},
    failed: new Map(),
  })
  const record = { intent: () => Promise.reject(new Error('nobody notes')) } as never
  return wanted
    .open({ signal: new AbortController().signal, record, inner: new Map() })
    .then(() => null)
    .catch((error: unknown) => error)
}

it('a port that needs a right is refused with the first one that needs none here', async () => {
  expect(await refusal('79', 80)).toMatchObject({ code: 'LISTEN_PRIVILEGED', params: { first: 80 } })
  expect(await refusal('80', 1024)).toMatchObject({ code: 'LISTEN_PRIVILEGED', params: { first: 1024 } })
})

it.each(['auto', 'kernel'])(
  'what only lacks a right says so, with the command that has it (engine: %s)',
  async (engine) => {
    const kernel: Engine = {
      ...refusing,
      id: 'kernel',
      supports: (_rule, { capabilities }) =>
        capabilities.includes('CAP_NET_ADMIN')
          ? { ok: true, why: say('always', '항상') }
          : { ok: false, why: say('it needs a right', '권한이 필요합니다') },
    }
    const refused = async (facts: Partial<Facts>): Promise<unknown> => {
      const wanted = await desireRelay(parseRule('web', { listen: 8888, target: '10.0.0.2:80', engine }), {
        engines: [{ ...kernel, ...(facts.platform === 'darwin' && { supports: never }) }],
        facts: { capabilities: [], privileged: false, ...facts } as Partial<Facts> as Facts,
        resolve: () => Promise.reject(new Error('nobody asks')),
        onEvent: () => {},
        failed: new Map(),
      })
      const opening = wanted.open({
        signal: new AbortController().signal,
        record: null as never,
        inner: new Map(),
      })
      return opening.catch((error: unknown) => error)
    }
    const never: Engine['supports'] = () => ({ ok: false, why: say('never', '안 됨') })
    expect(await refused({ platform: 'linux' })).toMatchObject({
      code: 'ENGINE_NO_RIGHT',
      exitCode: 4,
      fix: { en: expect.stringContaining('sudo') as string },
    })
    expect(await refused({ platform: 'darwin' })).not.toMatchObject({ code: 'ENGINE_NO_RIGHT' })
  },
)

it('a guest behind its hypervisor’s NAT is dialled on loopback, and the engine is asked about that', async () => {
  const choosy: Engine = {
    ...refusing,
    id: 'kernel',
    supports: ({ targets }) =>
      targets.some(({ to }) => to.kind === 'inet' && to.host === '127.0.0.1')
        ? { ok: false, why: say('its target is on loopback', '대상이 루프백입니다') }
        : { ok: true, why: say('always', '항상') },
    open: () => Promise.reject(new Error('it was opened')),
  }
  const wanted = await desireRelay(parseRule('web', { listen: '0.0.0.0:8888', target: 'qemu:web:80' }), {
    engines: [choosy],
    facts: { firstUnprivilegedPort: 1024 } as Partial<Facts> as Facts,
    resolve: () => Promise.reject(new Error('nobody asks')),
    onEvent: () => {},
    failed: new Map(),
  })
  const forward = {
    leadsTo: { kind: 'qemu', name: 'web' },
    host: { address: '127.0.0.1', ports: { first: 40_000, last: 40_000 } },
  }
  const inner = new Map([['guest', forward as never]] as const)
  const opening = wanted.open({ signal: new AbortController().signal, record: null as never, inner })
  await expect(opening).rejects.toMatchObject({ code: 'ENGINE_UNFIT', params: { engine: 'kernel' } })
})

it('a port that needs none, and is not permitted all the same, is not said to need one', async () => {
  expect(await refusal('8080', 1024)).toMatchObject({ code: 'LISTEN_FAILED' })
})

it('when a rule is over is news to an engine that keeps its end, and to no other', async () => {
  const keyWith = async (keepsEnd: boolean, until: string): Promise<string> => {
    const rule = parseRule('web', { listen: '8888', target: '10.0.0.2:80', until })
    const { key } = await desireRelay(rule, {
      engines: [{ ...refusing, keepsEnd }],
      facts: { firstUnprivilegedPort: 1024 } as Facts,
      resolve: () => Promise.reject(new Error('nobody asks')),
      onEvent: () => {},
      failed: new Map(),
    })
    return key
  }
  const [sooner, later] = ['2126-12-24T18:00:00Z', '2126-12-25T18:00:00Z']
  expect(await keyWith(false, sooner)).toBe(await keyWith(false, later))
  expect(await keyWith(true, sooner)).not.toBe(await keyWith(true, later))
})

it('of an engine that opens together what is asked together, rules wait in its line and keep no place', async () => {
  for (const opensTogether of [true, false]) {
    const wanted = await desireRelay(parseRule('web', { listen: '8888', target: '10.0.0.2:80' }), {
      engines: [{ ...refusing, opensTogether }],
      facts: { firstUnprivilegedPort: 1024 } as Facts,
      resolve: () => Promise.reject(new Error('nobody asks')),
      onEvent: () => {},
      failed: new Map(),
    })
    expect(wanted.waitsInLine).toBe(opensTogether)
  }
})
