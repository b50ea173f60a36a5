/** The public address by a real STUN server (coturn) on the internet of the lab, from behind a router that translates. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { askStun } from '../../src/host/stun.ts'
import { describeWith } from '../needs.ts'
import { enter } from './enter.ts'
import { Lab, type LabHost } from './namespaces.ts'
import { homeAddresses, homeNetwork } from './router.ts'

const server = '11.0.0.1'

describeWith(
  { root: true, platform: 'linux', commands: ['turnserver', 'miniupnpd', 'nft', 'ip'] },
  'a STUN server on the internet',
  () => {
    let lab: Lab
    let home: Awaited<ReturnType<typeof homeNetwork>>
    beforeAll(async () => {
      lab = new Lab()
      home = await homeNetwork(lab)
      await startCoturn(home.internet)
    }, 60_000)
    afterAll(async () => {
      await home?.[Symbol.asyncDispose]()
      await lab?.[Symbol.asyncDispose]()
    })

    it('sees the router’s outside address, and a port of its own', async () => {
      const inside = enter(home.host)
      try {
        const answer = await askStun({ signal: AbortSignal.timeout(20_000), servers: [{ host: server }] })
        expect(answer).toMatchObject({ server: `${server}:3478`, address: homeAddresses.wan })
        expect(answer?.port).toBeGreaterThan(0)
      } finally {
        inside[Symbol.dispose]()
      }
    }, 30_000)
  },
)

/** STUN alone, no relaying; ready when it answers somebody beside it. */
async function startCoturn(host: LabHost): Promise<void> {
  host.start(
    [
      'turnserver',
      '--stun-only',
      '--no-tls',
      '--no-dtls',
      '--no-cli',
      '-L',
      server,
      '-n',
      '--log-file',
      'stdout',
      '--pidfile',
      '/dev/null',
    ],
    { stdio: 'ignore' },
  )
  const inside = enter(host)
  try {
    for (let tries = 0; tries < 40; tries++) {
      const answer = await askStun({
        signal: AbortSignal.timeout(5000),
        servers: [{ host: server }],
        limitMs: 500,
      })
      if (answer) return
    }
    throw new Error('coturn does not answer')
  } finally {
    inside[Symbol.dispose]()
  }
}
