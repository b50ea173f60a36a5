import { expect, it } from 'vitest'
import { NaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import type { Engine } from '../../engines/contract.ts'
import type { Facts } from '../../model/facts.ts'
import { parseRule } from '../../model/rule-file.ts'
import { wantRelay } from './relay.ts'

const refusing: Engine = {
  id: 'sockets',
  supports: () => ({ ok: true, why: say('always', '항상') }),
  open: () => Promise.reject(new NaruError('LISTEN_PRIVILEGED', { listen: '80', first: 1024 })),
} as Partial<Engine> as Engine

function refusal(listen: string, firstUnprivilegedPort: number): Promise<unknown> {
  const wanted = wantRelay(parseRule('web', { listen, target: '10.0.0.2:80' }), {
    engines: [refusing],
    facts: { firstUnprivilegedPort, privileged: false, capabilities: [] } as Partial<Facts> as Facts,
    resolve: () => Promise.reject(new Error('nobody asks')),
    onEvent: () => {},
    failed: new Set(),
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

it('a port that needs none, and is not permitted all the same, is not said to need one', async () => {
  expect(await refusal('8080', 1024)).toMatchObject({ code: 'LISTEN_FAILED' })
})
