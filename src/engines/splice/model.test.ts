/**
 * Connections whose two ends do as chance tells them: speak, fall silent, stop reading, half-close, reset, be cut,
 * while the rule is edited under them. A model says which bytes arrive, how each end hears of the end, and why.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, expect, it } from 'vitest'
import { parseCidr } from '../../base/address.ts'
import type { CloseReason } from '../../model/connection.ts'
import { built } from '../../../test/built.ts'
import { describeWith } from '../../../test/needs.ts'
import { World } from '../../../test/conformance/engine/world.ts'
import { SpliceEngine } from './main/engine.ts'

/** NARU_MODEL=5000 runs that many; NARU_SEED repeats a run. */
const connections = Number(process.env.NARU_MODEL ?? 400)
const seed = Number(process.env.NARU_SEED ?? Date.now() % 1_000_000)
const atOnce = 40

/** Mulberry32: the same numbers for the same seed. */
function dice(start: number): (sides: number) => number {
  let state = start | 0
  return (sides) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * sides)
  }
}

const patternBytes = 1 << 16
const roll = dice(1)
const pattern = Buffer.from(Array.from({ length: patternBytes }, () => roll(256)))
const endless = Buffer.concat([pattern, pattern, pattern, pattern, pattern, pattern])

/** What a stream says from byte `at` on; each stream begins elsewhere in the pattern. */
function said(stream: number, at: number, length: number): Buffer {
  const from = (stream * 7919 + at) % patternBytes
  return endless.subarray(from, from + length)
}

const shortBytes = 300

type Act =
  | { readonly do: 'say'; readonly bytes: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'stall'; readonly ms: number }

interface Script {
  readonly acts: readonly Act[]
  readonly last: 'end' | 'reset'
}

function script(roll: (sides: number) => number): Script {
  const acts = Array.from({ length: roll(12) }, (): Act => {
    const kind = roll(10)
    if (kind < 5) return { do: 'say', bytes: 1 + roll(shortBytes) }
    if (kind < 8) return { do: 'say', bytes: 1 + roll(300_000) }
    return kind === 8 ? { do: 'wait', ms: roll(10) } : { do: 'stall', ms: roll(30) }
  })
  return { acts, last: roll(5) === 0 ? 'reset' : 'end' }
}

/** One end: plays its script, and remembers what it heard. */
class End {
  readonly socket: Socket
  readonly stream: number
  readonly hears: number
  heard = 0
  spoke = 0
  intact = true
  /** `end`, or an error's code. */
  readonly over: Promise<string>

  constructor(socket: Socket, stream: number, hears: number) {
    this.socket = socket
    this.stream = stream
    this.hears = hears
    this.over = new Promise((resolve) => {
      socket.once('end', () => resolve('end'))
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'))
      socket.once('close', () => resolve('closed'))
    })
    socket.on('data', (chunk: Buffer) => this.#hear(chunk))
  }

  #hear(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; at += patternBytes) {
      const part = chunk.subarray(at, at + patternBytes)
      if (!part.equals(said(this.hears, this.heard, part.length))) this.intact = false
      this.heard += part.length
    }
  }

  async play({ acts, last }: Script): Promise<void> {
    for (const act of acts) {
      if (this.socket.destroyed) return
      if (act.do === 'say') await this.#say(act.bytes)
      else if (act.do === 'stall') await this.#stall(act.ms)
      else await sleep(act.ms)
    }
    if (last === 'end') this.socket.end()
    else this.socket.resetAndDestroy()
  }

  /** What is short goes as a message of its own. */
  async #say(bytes: number): Promise<void> {
    this.socket.write(said(this.stream, this.spoke, bytes))
    this.spoke += bytes
    if (bytes <= shortBytes) await nextTurn()
  }

  async #stall(ms: number): Promise<void> {
    this.socket.pause()
    await sleep(ms)
    this.socket.resume()
  }
}

describeWith({ platform: 'linux' }, 'a model of what may happen to a connection', () => {
  beforeAll(built, 120_000)

  const ways = [
    { way: 'as it comes' },
    { way: 'in the ring wherever it may be', messagesBeforeRing: 1, eventsBeforeRing: 0 },
    { way: 'without a ring', messagesBeforeRing: Number.POSITIVE_INFINITY },
    { way: 'with any bulk gathering', gatherFrom: 0 },
  ]
  it.each(ways)(
    `holds for ${connections} connections $way (NARU_SEED=${seed})`,
    async ({ messagesBeforeRing, eventsBeforeRing, gatherFrom }) => {
      const options = { threads: 2, messagesBeforeRing, eventsBeforeRing, gatherFrom }
      await using world = new World((tools) => new SpliceEngine(tools, options))
      const waiting = new Map<number, (socket: Socket) => void>()
      // The target's end is told apart by the client's port, which a PROXY header says.
      const target = await world.target((socket) => {
        socket.once('readable', () => {
          const line = String(socket.read(socket.readableLength))
          const end = line.indexOf('\r\n')
          const port = Number(line.split(' ')[4])
          socket.unshift(Buffer.from(line.slice(end + 2), 'latin1'))
          waiting.get(port)?.(socket)
        })
      })
      const { lease, port, rule } = await world.forward(target.at, { source: 'proxy-v1' })
      const random = dice(seed)

      const one = async (
        index: number,
        cutAfterMs: number | null,
        plays: [Script, Script],
      ): Promise<string | null> => {
        const socket = connect({ port, host: world.host, allowHalfOpen: true, noDelay: true })
        await once(socket, 'connect')
        const own = socket.localPort ?? 0
        const other = await new Promise<Socket>((resolve) => waiting.set(own, resolve))
        const client = new End(socket, index * 2, index * 2 + 1)
        const server = new End(other, index * 2 + 1, index * 2)
        const cut = cutAfterMs === null ? null : sleep(cutAfterMs).then(() => cutNow(own))
        const playing = [client.play(plays[0]), server.play(plays[1])]
        const [clientHeard, serverHeard] = await Promise.all([client.over, server.over])
        await Promise.all(playing)
        const wasCut = (await cut) ?? false
        const { closeReason, bytesToTarget, bytesToClient } = await world.closed(
          (connection) => connection.client === `${world.host}:${own}`,
        )
        socket.destroy()
        other.destroy()
        const reason = closeReason as CloseReason
        const story = JSON.stringify({ plays, cutAfterMs, wasCut, reason, clientHeard, serverHeard })
        if (!client.intact || !server.intact) return `other bytes than were said: ${story}`
        if (client.heard > server.spoke || server.heard > client.spoke)
          return `more bytes than were said: ${story}`
        const resets = [
          plays[0].last === 'reset' && 'client-reset',
          plays[1].last === 'reset' && 'target-reset',
        ]
        const possible = [...resets, wasCut && 'cut'].filter(Boolean)
        if (possible.length > 0) {
          if (reason === 'finished' ? !wasCut || resets.some(Boolean) : !possible.includes(reason))
            return `another reason than ${possible.join(' or ')}: ${story}`
          return null
        }
        if (reason !== 'finished') return `not finished: ${story}`
        if (clientHeard !== 'end' || serverHeard !== 'end') return `no clean end: ${story}`
        const exact = client.heard === server.spoke && server.heard === client.spoke
        const counted = bytesToTarget === client.spoke && bytesToClient === server.spoke
        return exact && counted ? null : `bytes are missing: ${story}`
      }

      const cutNow = (own: number): boolean => {
        const found = lease.connections().find(({ client }) => client === `${world.host}:${own}`)
        return found ? lease.cut(found.id, 'cut') : false
      }

      const wrong: string[] = []
      for (let first = 0; first < connections; first += atOnce) {
        const batch = Array.from({ length: Math.min(atOnce, connections - first) }, (_, at) =>
          one(first + at, random(8) === 0 ? random(20) : null, [script(random), script(random)]),
        )
        lease.update({ ...rule, deny: [parseCidr(`10.${first % 256}.0.0/16`)] })
        wrong.push(...(await Promise.all(batch)).filter((story) => story !== null))
        // Each record is looked for among the events; those of the last batch are enough.
        world.events.length = 0
      }
      expect(wrong).toEqual([])
      expect(lease.counters()).toMatchObject({ open: 0, opened: connections })
    },
    600_000,
  )
})
