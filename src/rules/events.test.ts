import { expect, it } from 'vitest'
import { systemClock } from '../base/clock.ts'
import type { NaruEvent, RuleStatus } from '../model/naru-api.ts'
import { Events } from './events.ts'

const status = (name: string, state: RuleStatus['state']): RuleStatus =>
  ({ name, state, service: 'answers' }) as unknown as RuleStatus

/** What one who comes back with `since` is told at once. */
async function told(events: Events, since: number): Promise<NaruEvent[]> {
  const stop = new AbortController()
  const all: NaruEvent[] = []
  for await (const event of events.listen({ signal: stop.signal, since })) {
    all.push(event)
    // What is kept is handed over in one go, whatever becomes of the listener meanwhile.
    stop.abort()
  }
  return all
}

it('keeps what happened however often rules are looked at', async () => {
  const events = new Events(systemClock)
  events.emit({ type: 'log', level: 'warn', rule: 'a', text: { en: 'the port is taken', ko: '' } })
  for (let look = 0; look < 5000; look++)
    for (const name of ['a', 'b']) events.emit({ type: 'rule', rule: status(name, 'open') })
  const kinds = (await told(events, 0)).map(({ type }) => type)
  expect(kinds[0]).toBe('log')
  expect(kinds).not.toContain('gap')
  expect(kinds.length).toBeLessThan(10)
})

it('tells each change of a state, and the last word of every rule in order', async () => {
  const events = new Events(systemClock)
  for (const state of ['open', 'open', 'failed', 'failed', 'open', 'open'] as const)
    events.emit({ type: 'rule', rule: status('a', state) })
  events.emit({ type: 'rule', rule: status('b', 'open') })
  const all = (await told(events, 0)) as Extract<NaruEvent, { type: 'rule' }>[]
  expect(all.map(({ id, rule }) => `${id} ${rule.name} ${rule.state}`)).toEqual([
    '1 a open',
    '3 a failed',
    '5 a open',
    '6 a open',
    '7 b open',
  ])
})

it('remembers of hops what opened, and no number of them washes away what was said', () => {
  const events = new Events(systemClock)
  events.emit({ type: 'log', level: 'warn', rule: 'a', text: { en: 'the port is taken', ko: '' } })
  const hop = (state: 'ok' | 'opening' | 'broken', en: string): void =>
    events.emit({
      type: 'hop',
      rule: 'a',
      status: {
        hop: 'relay',
        member: null,
        state,
        text: { en, ko: '' },
        notes: [],
        data: null,
        checkedAt: null,
      },
    })
  hop('opening', 'is to open')
  hop('broken', 'is told by the log')
  for (let count = 0; count < 2000; count++) hop('ok', `open ${count}`)
  const told = events.happened.map((one) => (one.type === 'hop' ? one.status.text.en : one.type))
  expect(told[0]).toBe('log')
  expect(told.at(-1)).toBe('open 1999')
  expect(told.join()).not.toMatch(/is to open|is told/)
  expect(told.length).toBeLessThan(1000)
})

it('says that events were lost only to whom one is missing', async () => {
  const events = new Events(systemClock)
  for (let count = 0; count < 1001; count++) events.emit({ type: 'rule-removed', name: `r${count}` })
  expect((await told(events, 0))[0]?.type).toBe('gap')
  expect((await told(events, 1))[0]).toMatchObject({ type: 'rule-removed', id: 2 })
})
