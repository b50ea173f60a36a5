/** This process's place, given to a successor that asks for it. */
import { systemClock, withLimit } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Forwarder } from '../../rules/forwarder.ts'
import type { HandOver } from '../../rules/hand-over.ts'
import { mustBeOurUser, pidAtPeer, sendTo } from '../../linux/fd-passing.ts'
import { socketMaker } from '../../linux/udp-connected-twin.ts'
import { intakeOf, openDoor, speaks, doorOf, type Channel, type Page } from './channel.ts'

export interface HandoverOptions {
  readonly forwarder: Forwarder
  /** This Naru's API socket: the door is beside it. */
  readonly apiSocket: string
  readonly page: (Omit<Page, 'sockets'> & { readonly fds: readonly number[] }) | null
  readonly log: Log
  /** Ends what this process serves beside the rules. */
  readonly onPassedOn: (to: { pid: number; connections: number }) => Promise<void>
  /** This one goes on, and is to be found again: the successor may have ended after it had said that it is the one. */
  readonly onTakenBack: () => Promise<void>
}

/** Opening all rules anew, routers and hypervisors included. */
const readyWithinMs = 120_000
const answerWithinMs = 30_000
const takeBackWithinMs = 30_000

/** Answers successors until it is disposed. */
export function offerHandover(options: HandoverOptions): Promise<AsyncDisposable> {
  let busy = false
  return openDoor(doorOf(options.apiSocket), (channel) => {
    if (busy) return refuse(channel, 'another one takes its place already')
    busy = true
    void give(channel, options)
      .catch((error: unknown) => options.log.warn({}, `the place was not passed on: ${messageOf(error)}`))
      .finally(() => (busy = false))
  })
}

function refuse(channel: Channel, why: string): void {
  channel.say({ type: 'no', why })
  channel.close()
}

async function give(channel: Channel, options: HandoverOptions): Promise<void> {
  const { forwarder, log, onPassedOn, onTakenBack } = options
  mustBeOurUser(channel.fd)
  // The pid that it says may be counted in another namespace.
  const peer = pidAtPeer(channel.fd)
  const { pid, speaks: theirs } = await channel.next('hello', { limitMs: answerWithinMs })
  if (theirs !== speaks) return refuse(channel, 'it is of a version that passes its place on otherwise')
  const handOver = await forwarder.succession.offer().catch((error: unknown) => {
    refuse(channel, messageOf(error))
    throw error
  })
  log.info({ pid }, 'a successor takes this place')
  try {
    await lend(channel, pid, handOver, options)
  } catch (error) {
    refuse(channel, messageOf(error))
    try {
      await handOver.takeBack(pid, withLimit(forwarder.stopping, takeBackWithinMs))
    } finally {
      await onTakenBack()
    }
    log.warn({ pid }, `a successor did not come up, so this one goes on: ${messageOf(error)}`)
    return
  }
  // Whoever asked this one to stop while it passed its place on meant the rules.
  const stop = forwarder.stopping.aborted
  const connections = await forwarder.succession.leave(handOver)
  log.info({ pid, connections }, 'passed on to a successor; connections go on here until they end')
  await onPassedOn({ pid, connections })
  channel.say({ type: 'left', connections })
  channel.close()
  if (stop && peer !== null) endSuccessor(peer)
}

function endSuccessor(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM')
  } catch {
    // It ended by itself.
  }
}

/** Aborts after `ms` ms: a rule is over then, and to be closed, which nobody does while a place is passed on. */
function soon(ms: number): { readonly signal: AbortSignal } & Disposable {
  const over = new AbortController()
  const why = 'a rule is over by its `until`, and was closed: try again'
  const timer = ms === Infinity ? null : systemClock.after(ms, () => over.abort(new Error(why)))
  return { signal: over.signal, [Symbol.dispose]: () => timer?.[Symbol.dispose]() }
}

/**
 * Resolves when the successor serves. A stop calls it off, and so does the end of a rule, until the successor is told
 * that it may begin.
 */
async function lend(
  channel: Channel,
  pid: number,
  handOver: HandOver,
  { apiSocket, page, forwarder }: HandoverOptions,
): Promise<void> {
  const { offer, standsForMs } = handOver
  using isOver = soon(standsForMs)
  const signal = AbortSignal.any([withLimit(forwarder.stopping, readyWithinMs), isOver.signal])
  channel.say({
    type: 'offer',
    offer,
    page: page && { address: page.address, port: page.port, key: page.key, sockets: page.fds.length },
  })
  const fds = [...offer.sockets.map(({ fd }) => fd), ...(page?.fds ?? [])]
  if (fds.length > 0) await sendTo(intakeOf(apiSocket, pid), fds, { signal })
  await channel.next('ready', { limitMs: readyWithinMs, signal })
  await handOver.yieldDatagrams(socketMaker)
  signal.throwIfAborted()
  channel.say({ type: 'yours' })
  await channel.next('serving', { limitMs: answerWithinMs })
}
