/**
 * A thread of the engine. It is born with a bell and a number, does what it is told through its message port, and
 * turns its loop until it is told to stop. Its own event loop never runs: messages are taken when the bell rings.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import type { Target } from '../../../model/target.ts'
import { RuleOnThread } from './rule-revision.ts'
import { epollIn } from '../../../linux/epoll.ts'
import { Descriptor, keepFdOwners, loadFfi, silenceBell } from '../../../linux/libc.ts'
import { EventBatch } from './event-batch.ts'
import { Loop, Watcher } from './loop.ts'
import {
  addOn,
  type WorkerAnswer,
  type EarlyData,
  type FromThread,
  type ListenerData,
  type ThreadData,
  type ToThread,
} from '../shared/messages.ts'
import { ResolveCache } from './resolve-cache.ts'
import { Records } from '../shared/records.ts'
import { TcpConnection, TcpListener } from './tcp.ts'
import { TcpSide } from './tcp-side.ts'
import { Thread } from './thread.ts'
import { UdpListener, UdpSession } from './udp.ts'
import { UdpUpstream } from './udp-upstream.ts'

class Bell extends Watcher {
  readonly #bell: Descriptor
  readonly #answer: () => void

  constructor(bell: Descriptor, answer: () => void) {
    super()
    this.#bell = bell
    this.#answer = answer
  }

  onEvents(): void {
    silenceBell(this.#bell)
    this.#answer()
  }
}

class Worker {
  readonly #thread: Thread
  readonly #loop: Loop
  readonly #happenings: EventBatch
  readonly #asked = new Map<number, (answer: WorkerAnswer, now: number) => void>()
  /** Those who stop accepting when descriptors are short. */
  readonly #registered = new Map<number, Disposable>()
  #asks = 0
  #running = true

  constructor(data: ThreadData) {
    keepFdOwners(new Uint8Array(data.ledger), data.thread + 1)
    this.#loop = new Loop((watcher, thrown) => this.#fault(watcher, thrown), data.thresholds.busyPollMs)
    const records = new Records(data.firstSerial, (memory) => post({ type: 'block', memory }))
    this.#happenings = new EventBatch(records, (batch, count) =>
      post({ type: 'happened', batch, count }, [batch]),
    )
    this.#thread = new Thread({
      number: data.thread,
      loop: this.#loop,
      records,
      happenings: this.#happenings,
      descriptorLimit: data.descriptorLimit,
      dials: data.dials,
      place: data.place,
      thresholds: data.thresholds,
      report: (lease, state) => post({ type: 'state', lease, state }),
      askOffload: () => post({ type: 'offload' }),
      holdOffload: (device) => post({ type: 'hold', device }),
    })
    const bell = Descriptor.borrow(data.bell)
    this.#loop.watch(new Bell(bell, () => this.#takeMessages()), bell, epollIn)
    this.#loop.afterTurn(() => {
      try {
        this.#thread.flushAnswers()
      } catch (thrown) {
        this.#fault(this.#thread, thrown)
      }
      this.#thread.offloading.sentOn()
      return this.#happenings.flush(this.#loop.now)
    })
  }

  run(): void {
    post({ type: 'ready' })
    while (this.#running) this.#loop.turn()
    this.#loop.close()
    post({ type: 'stopped' })
  }

  #takeMessages(): void {
    if (!parentPort) return
    for (;;) {
      const received = receiveMessageOnPort(parentPort)
      if (!received) return
      try {
        this.#handle(received.message as ToThread)
      } catch (thrown) {
        this.#fault(this, thrown)
      }
    }
  }

  #handle(message: ToThread): void {
    switch (message.type) {
      case 'open':
        return this.#open(message)
      case 'update':
        return this.#thread.carriages
          .get(message.lease)
          ?.update(message.edition, message.rule, message.memory, message.slots)
      case 'unlisten':
        return this.#unlisten(message)
      case 'yield':
        return this.#yield(message.lease)
      case 'let-go':
        return this.#letGo(message.lease)
      case 'resume':
        for (const listening of this.#thread.carriages.get(message.lease)?.listeners ?? [])
          listening.takeBack?.()
        return
      case 'cut':
        return this.#cut(message)
      case 'forget':
        this.#thread.carriages.delete(message.lease)
        return
      case 'resolved':
        this.#asked.get(message.asked)?.(message.answer, this.#loop.now)
        this.#asked.delete(message.asked)
        return
      case 'offload':
        return this.#thread.offloading.told(message.share)
      case 'stop':
        return this.#stop()
    }
  }

  /** Told again where the rule was opened while this thread was starting, and once a predecessor has let go. */
  #open(message: Extract<ToThread, { type: 'open' }>): void {
    const { lease, listeners } = message
    const { carriages, descriptors } = this.#thread
    const carriage = carriages.get(lease) ?? this.#carriage(message)
    carriages.set(lease, carriage)
    if (listeners.length === 0 || this.#registered.has(lease)) return
    for (const data of listeners) this.#listen(carriage, data)
    this.#registered.set(lease, descriptors.register(carriage))
  }

  #carriage({ lease, edition, rule, memory, slots }: Extract<ToThread, { type: 'open' }>): RuleOnThread {
    const thread = this.#thread
    return new RuleOnThread({
      id: lease,
      thread: thread.number,
      edition,
      rule,
      memory,
      slots,
      names: new ResolveCache((target, answer) => this.#ask(lease, target, answer)),
      clock: thread.clock,
      onPaused: (paused) =>
        thread.report(lease, paused ? { state: 'paused', why: 'out-of-descriptors' } : { state: 'carrying' }),
    })
  }

  #listen(carriage: RuleOnThread, data: ListenerData): void {
    const Kind = data.protocol === 'udp' ? UdpListener : TcpListener
    carriage.listeners.add(new Kind(this.#thread, carriage, data))
  }

  #ask(lease: number, target: Target, answer: (answer: WorkerAnswer, now: number) => void): void {
    const asked = this.#asks++
    this.#asked.set(asked, answer)
    post({ type: 'resolve', asked, lease, target })
  }

  #yield(lease: number): void {
    for (const listening of this.#thread.carriages.get(lease)?.listeners ?? []) listening.yield?.()
    post({ type: 'yielded', lease })
  }

  #letGo(lease: number): void {
    for (const carried of this.#thread.carriages.get(lease)?.carried.all() ?? [])
      if (carried instanceof UdpSession) carried.end('shutdown')
    this.#happenings.flushNow()
    post({ type: 'yielded', lease })
  }

  #unlisten({ lease, queued, apart }: Extract<ToThread, { type: 'unlisten' }>): void {
    const carriage = this.#thread.carriages.get(lease)
    this.#registered.get(lease)?.[Symbol.dispose]()
    this.#registered.delete(lease)
    // A Set may lose what was visited while it is walked.
    for (const listening of carriage?.listeners ?? []) listening.stop(queued, apart)
    this.#happenings.flushNow()
    post({ type: 'unlistened', lease })
  }

  #cut({ lease, serial, reason }: Extract<ToThread, { type: 'cut' }>): void {
    for (const carried of this.#thread.carriages.get(lease)?.carried.all() ?? [])
      if (serial === null || carried.serial === serial) carried.end(reason)
    this.#happenings.flushNow()
  }

  #stop(): void {
    this.#running = false
    for (const carriage of this.#thread.carriages.values())
      for (const carried of carriage.carried.all()) carried.end('shutdown')
    this.#happenings.flushNow()
  }

  /** One connection's failure is its own end, not the thread's. */
  #fault(watcher: object, thrown: unknown): void {
    const message = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
    post({ type: 'fault', where: watcher.constructor.name, message })
    if (watcher instanceof TcpSide) watcher.connection.end('engine-error')
    else if (watcher instanceof TcpConnection || watcher instanceof UdpSession) watcher.end('engine-error')
    else if (watcher instanceof UdpUpstream) watcher.session.end('engine-error')
  }
}

function post(message: FromThread, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer)
}

/** Nobody has asked for this thread yet: it makes itself ready, and waits to be told who it is, or to end. */
function waitForData({ gate: memory }: EarlyData): void {
  const gate = new Int32Array(memory)
  if (Atomics.compareExchange(gate, 0, addOn.unloaded, addOn.loading) !== addOn.unloaded) return
  try {
    loadFfi()
  } finally {
    Atomics.store(gate, 0, addOn.loaded)
    Atomics.notify(gate, 0)
  }
  parentPort?.once('message', (data: ThreadData | null) => {
    if (data) new Worker(data).run()
  })
}

if (parentPort) {
  const data = workerData as ThreadData | EarlyData
  if ('gate' in data) waitForData(data)
  else {
    loadFfi()
    new Worker(data).run()
  }
}
