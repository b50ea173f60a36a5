/** Events over a connection that is lost without a word. */
import { describe, expect, it } from 'vitest'
import { HandClock } from '../../../test/fakes/parts.ts'
import type { NaruEvent } from '../../model/naru-api.ts'
import type { NaruClient } from './client.ts'
import { steadyEvents } from './reconnect.ts'

const gap: NaruEvent = { id: 1, at: 0, type: 'gap' }

describe('a connection over which nothing comes any more', () => {
  it('is given up after two signs of life that did not come, and asked for again where it ended', async () => {
    const clock = new HandClock()
    const stop = new AbortController()
    const asked: (string | undefined)[] = []
    const states: string[] = []
    let alive = (): void => {}
    const client: Pick<NaruClient, 'keyedEvents'> = {
      async *keyedEvents({ signal, lastKey, onOpen, onHeard }) {
        asked.push(lastKey)
        onOpen?.()
        alive = () => onHeard?.()
        yield { key: `k${asked.length}`, event: gap }
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      },
    }
    const onState = ({ state }: { state: string }): void => void states.push(state)
    const reading = (async () => {
      for await (const _ of steadyEvents(client, { signal: stop.signal, clock, onState }));
    })()
    await new Promise((resolve) => setImmediate(resolve))
    await clock.advance(30_000)
    alive()
    await clock.advance(30_000)
    expect([asked, states]).toEqual([[undefined], ['live']])
    await clock.advance(7000)
    // And the first wait before it is asked again.
    await clock.advance(300)
    expect([asked, states]).toEqual([
      [undefined, 'k1'],
      ['live', 'lost', 'live'],
    ])
    stop.abort()
    await reading
  })
})
