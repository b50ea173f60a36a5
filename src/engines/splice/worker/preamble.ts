/**
 * What is looked at before a client's bytes may pass: a PROXY header of a trusted proxy, that there is none of
 * anyone else, the name that TLS or HTTP asks for. Bytes are peeked at and stay in the socket, so that what is the
 * target's goes there untouched.
 */
import { unmapped } from '../../../base/address.ts'
import { AskedName } from '../../../relay/asked-name.ts'
import { beginsLikeProxy, type Peer } from '../../../relay/proxy/header.ts'
import { readProxyHeader } from '../../../relay/proxy/read.ts'
import { EAGAIN, peek, receive, send, shutdownWrite } from '../../../linux/libc.ts'
import type { TcpFlow, TcpSide } from './tcp-side.ts'
import { copyBytes } from './thread.ts'

/** A refused client that does not hang up is hung up on. */
const hangUpMs = 1000

/** Of 64 KiB each. */
const mostThrownReads = 16
const nothing = Buffer.alloc(0)

type Phase = 'proxy' | 'admission' | 'name' | 'watch' | 'refusing' | 'done'

/** What is asked of the connection that is looked at. */
export interface PreambleFlow extends TcpFlow {
  readonly client: TcpSide
  calledBy(source: Peer, destination: Peer | null): void
  /** Goes on with `then` once whom a trusted proxy named is let in; else the connection ends. */
  admitLate(then: () => void): void
  /** @returns false where nobody serves the name. */
  dial(name: string | null): boolean
}

export class Preamble {
  readonly #connection: PreambleFlow
  readonly #duty: 'required' | 'refused' | 'ignored'
  #phase: Phase = 'done'
  #asked: AskedName | null = null

  constructor(connection: PreambleFlow, duty: 'required' | 'refused' | 'ignored') {
    this.#connection = connection
    this.#duty = duty
  }

  /** The client's bytes stay where they are. */
  get holds(): boolean {
    return this.#phase !== 'done'
  }

  begin(): void {
    if (this.#duty === 'required') this.#wait('proxy')
    else this.#choose()
  }

  /** There are new bytes, or FIN. */
  look(): void {
    const { thread, client } = this.#connection
    const count = peek(client.descriptor, thread.buffer, 0, copyBytes)
    if (count === -EAGAIN) return
    if (count < 0) return this.#connection.broke(client, -count)
    const bytes = thread.buffer.bytes.subarray(0, count)
    const ended = client.finSeen || count === 0
    if (this.#phase === 'proxy') this.#readProxy(bytes, ended)
    else if (this.#phase === 'name') this.#readName(bytes, ended)
    else if (this.#phase === 'watch') this.#watch(bytes, ended)
    else if (this.#phase === 'refusing') this.#throwAway(ended)
  }

  onDeadline(): void {
    if (this.#phase === 'name') this.#chooseBy(null, nothing)
    else this.#connection.end(this.#phase === 'proxy' ? 'proxy-header' : 'no-such-name')
  }

  get waits(): boolean {
    return this.#phase === 'proxy' || this.#phase === 'name' || this.#phase === 'refusing'
  }

  #wait(phase: 'proxy' | 'name'): void {
    this.#phase = phase
    const { thread, revision, deadline } = this.#connection
    thread.loop.deadlines.arm(deadline, revision.timeouts.helloMs, thread.loop.now)
  }

  /** A trusted proxy must say who calls before anything else; whom it names is who is admitted. */
  #readProxy(bytes: Uint8Array, ended: boolean): void {
    const read = readProxyHeader(bytes)
    if (read.state === 'bad' || (read.state === 'more' && ended)) return this.#connection.end('proxy-header')
    if (read.state === 'more') return
    const { thread, client } = this.#connection
    receive(client.descriptor, thread.buffer, 0, read.length)
    const { source, destination } = read.header
    if (source) this.#connection.calledBy(plain(source), destination && plain(destination))
    this.#phase = 'admission'
    thread.loop.deadlines.drop(this.#connection.deadline)
    this.#connection.admitLate(() => this.#choose())
  }

  #choose(): void {
    const { revision } = this.#connection
    if (revision.targets.byName) {
      this.#wait('name')
      return this.look()
    }
    this.#phase = this.#duty === 'refused' ? 'watch' : 'done'
    this.#connection.dial(null)
    if (!this.#connection.ended && this.#phase === 'watch') this.look()
  }

  /**
   * The name decides among the targets. What is no TLS and no HTTP, names nobody or says nothing in time, as where the
   * server speaks first, gets those without a name.
   */
  #readName(bytes: Uint8Array, ended: boolean): void {
    const like = this.#duty === 'refused' ? beginsLikeProxy(bytes) : 'no'
    if (like === 'yes') return this.#connection.end('proxy-header')
    if (like === 'maybe' && !ended) return
    this.#asked ??= new AskedName()
    const answer = this.#asked.look(bytes)
    if (answer.state === 'refused') this.#refuse(answer.refusal)
    else if (answer.state === 'asked') this.#chooseBy(answer.name, answer.refusal)
    else if (ended) this.#chooseBy(null, nothing)
  }

  /** @param refusal what a client understands whose name nobody serves. */
  #chooseBy(name: string | null, refusal: Buffer): void {
    this.#phase = 'done'
    if (!this.#connection.dial(name)) this.#refuse(refusal)
  }

  /** A last word (a TLS alert, an HTTP answer) and a clean end. */
  #refuse(lastWord: Buffer): void {
    this.#phase = 'refusing'
    const { thread, client, deadline } = this.#connection
    this.#throwAway(false)
    if (this.#connection.ended) return
    if (lastWord.length === 0) return this.#connection.end('no-such-name')
    thread.buffer.bytes.set(lastWord)
    send(client.descriptor, thread.buffer, 0, lastWord.length)
    shutdownWrite(client.descriptor)
    thread.loop.deadlines.arm(deadline, hangUpMs, thread.loop.now)
    if (client.finSeen) this.#connection.end('no-such-name')
  }

  /** Unread bytes would turn the clean end into a reset. */
  #throwAway(ended: boolean): void {
    const { thread, client } = this.#connection
    let count = 1
    for (let reads = 0; count > 0 && reads < mostThrownReads; reads++)
      count = receive(client.descriptor, thread.buffer, 0, copyBytes)
    // Whoever goes on and on does not read either.
    if (ended || (count !== 0 && count !== -EAGAIN)) this.#connection.end('no-such-name')
  }

  /** Only what the client says is held until its first bytes show that they are no header: the target may speak first. */
  #watch(bytes: Uint8Array, ended: boolean): void {
    const like = beginsLikeProxy(bytes)
    if (like === 'yes') return this.#connection.end('proxy-header')
    if (like === 'maybe' && !ended) return
    this.#phase = 'done'
    if (this.#connection.established) this.#connection.client.pump()
  }
}

function plain({ address, port }: Peer): Peer {
  return { address: unmapped(address), port }
}
