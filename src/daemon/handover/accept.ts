/** The place of the Naru that runs on a file, taken by this process. */
import { closeSync } from 'node:fs'
import { messageOf, NaruError } from '../../base/errors.ts'
import { say, verbatim } from '../../base/text.ts'
import { mustBeTrusted } from '../../base/trust.ts'
import type { Predecessor } from '../../rules/hand-over.ts'
import { succeed, type Holder, type Instance } from '../../instance/instance.ts'
import { whyFfiCannot } from '../../engines/splice/main/probe.ts'
import { DescriptorIntake, mustBeOurUser } from '../../linux/fd-passing.ts'
import { socketMaker } from '../../linux/udp-connected-twin.ts'
import { serveHeld } from '../../host/linux/held-port.ts'
import { heldPart, type LentSocket } from '../../model/handover-sockets.ts'
import { Channel, doorOf, intakeOf, speaks, sweepIntakes, type Page } from './channel.ts'

const offerWithinMs = 60_000
const answerWithinMs = 30_000
/** One a loopback address. */
const mostOfPage = 2

export interface AcceptedHandover extends AsyncDisposable {
  readonly instance: Instance
  readonly predecessor: Predecessor
  /** Where the predecessor's page is; null where it has none. */
  readonly page: Page | null
  /** Its sockets, closed from then on by who took them. */
  takePage(): readonly number[]
  /** Everything is open: accept from now on. `announce` makes this one the Naru that is found. @throws NaruError HANDOVER_FAILED */
  begin(announce: () => Promise<void>): Promise<void>
}

const startAnew = say('stop the one that runs, then start it anew')

/** @throws NaruError HANDOVER_FAILED; the one that runs then goes on as before */
export async function acceptHandover(
  root: string,
  id: string,
  holder: Holder,
  { signal }: { signal: AbortSignal },
): Promise<AcceptedHandover> {
  const cannot = whyFfiCannot()
  if (cannot) throw new NaruError('HANDOVER_FAILED', { pid: holder.pid, why: cannot })
  try {
    return await take(root, id, holder, signal)
  } catch (error) {
    throw failed(holder, error)
  }
}

function failed({ pid }: Holder, error: unknown): NaruError {
  return new NaruError('HANDOVER_FAILED', { pid, why: verbatim(messageOf(error)) }, { cause: error })
}

async function take(
  root: string,
  id: string,
  holder: Holder,
  signal: AbortSignal,
): Promise<AcceptedHandover> {
  mustBeTrusted(holder.socket, startAnew)
  await sweepIntakes(holder.socket)
  await using intake = await DescriptorIntake.open(intakeOf(holder.socket, process.pid))
  const channel = await Channel.to(doorOf(holder.socket))
  try {
    mustBeOurUser(channel.fd)
    channel.say({ type: 'hello', pid: process.pid, speaks })
    const { offer, page } = await channel.next('offer', { limitMs: offerWithinMs, signal })
    const sockets = [...offer.sockets, ...pageSockets(page)]
    const fds = sockets.length === 0 ? [] : await intake.take(sockets.length, { signal })
    const left = new Left(sockets, fds)
    return placeOf({ root, id, holder, channel, left, offer, page })
  } catch (error) {
    channel.close()
    throw error
  }
}

function placeOf(taken: {
  readonly root: string
  readonly id: string
  readonly holder: Holder
  readonly channel: Channel
  readonly left: Left
  readonly offer: Omit<Predecessor, 'inherit'>
  readonly page: AcceptedHandover['page']
}): AcceptedHandover {
  const { root, id, holder, channel, left, offer, page } = taken
  let letGo = (): void => {}
  const begun = new Promise<void>((resolve) => (letGo = resolve))
  const inherit = {
    begun,
    sockets: socketMaker,
    take: (socket: Omit<LentSocket, 'fd'>) => left.take(socket) ?? left.takeHeld(socket),
  }
  return {
    instance: succeed(root, id, holder),
    predecessor: { pid: offer.pid, rules: offer.rules, inherit },
    page,
    takePage: () => pageSockets(page).map((socket) => left.take(socket) as number),
    async begin(announce) {
      try {
        channel.say({ type: 'ready' })
        await channel.next('yours', { limitMs: answerWithinMs })
      } catch (error) {
        throw failed(holder, error)
      }
      letGo()
      await announce()
      channel.say({ type: 'serving' })
      left.close()
      // Whether it lives or not: its place is this one's now.
      await channel.next('left', { limitMs: answerWithinMs }).catch(() => {})
      channel.close()
    },
    [Symbol.asyncDispose]() {
      channel.close()
      left.close()
      return Promise.resolve()
    },
  }
}

/** No rule's. */
function pageSockets(page: Page | null): Omit<LentSocket, 'fd'>[] {
  const length = page === null ? 0 : Math.min(page.sockets ?? 1, mostOfPage)
  return Array.from({ length }, (_, part) => ({ protocol: 'tcp', address: 'page', port: 0, part }))
}

/** Sockets that nobody has taken yet. */
class Left {
  readonly #byKey: Map<string, number>

  constructor(sockets: readonly Omit<LentSocket, 'fd'>[], fds: readonly number[]) {
    this.#byKey = new Map(sockets.map((socket, at) => [keyOf(socket), fds[at] as number]))
  }

  take(socket: Omit<LentSocket, 'fd'>): number | null {
    const key = keyOf(socket)
    const fd = this.#byKey.get(key) ?? null
    this.#byKey.delete(key)
    return fd
  }

  /** One that kept its port, for whoever wants to serve it. */
  takeHeld(socket: Omit<LentSocket, 'fd'>): number | null {
    if (socket.part !== 0 || socket.protocol === 'unix') return null
    const fd = this.take({ ...socket, part: heldPart })
    if (fd !== null) serveHeld(socket.protocol, fd)
    return fd
  }

  close(): void {
    for (const fd of this.#byKey.values()) closeSync(fd)
    this.#byKey.clear()
  }
}

function keyOf({ protocol, address, port, part }: Omit<LentSocket, 'fd'>): string {
  return `${protocol} ${address} ${port} ${part}`
}
