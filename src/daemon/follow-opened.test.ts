import { expect, it } from 'vitest'
import { systemClock } from '../base/clock.ts'
import type { Naru, NaruEvent } from '../model/naru-api.ts'
import { followOpened } from './follow-opened.ts'

const opened = (id: number, at: number, rule: string, client: string): NaruEvent =>
  ({ id, at, type: 'opened', connection: { rule, client } }) as unknown as NaruEvent

it('tells of a connection that came before the daemon began to tell, and of none that came before it was asked', async () => {
  const now = systemClock.now()
  const all = [
    opened(7, now - 60_000, 'web', 'earlier'),
    opened(8, now + 1000, 'other', 'of another rule'),
    opened(9, now + 1000, 'web', 'the phone'),
  ]
  const naru = {
    happened: () => Promise.resolve([{ id: 6 }]),
    async *events({ since }: { since: number }) {
      yield* all.filter(({ id }) => id > since)
    },
  } as unknown as Naru
  const told: string[] = []
  const following = { rule: 'web', told: (client: string) => void told.push(client), clock: systemClock }
  using _following = followOpened({ ...following, find: () => Promise.resolve(naru) })
  await expect.poll(() => told).toEqual(['the phone'])
})
