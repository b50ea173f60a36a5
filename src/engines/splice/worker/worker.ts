/**
 * A thread of the engine. It is born with a wakeup and a number, does what it is told through its message port, and
 * turns its loop until it is told to stop. Its own event loop never runs: messages are taken when it is signalled.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import type { Target } from '../../../model/target.ts'
import { RuleOnThread } from './rule-revision.ts'
import { epollIn } from '../../../linux/epoll.ts'
import { Descriptor, keepFdOwners, loadFfi, clearWakeup } from '../../../linux/libc.ts'
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
import { UdpListener } from './udp.ts'
import { UdpSession } from './udp-session.ts'
import { UdpUpstream } from './udp-upstream.ts'

class WakeupWatcher extends Watcher {
  readonly #wakeup: Descriptor
  readonly #answer: () => void

  constructor(wakeup: Descriptor, answer: () => void) {
    super()
    this.#wakeup = wakeup
    this.#answer = answer
  }

  onEvents(): void {
    clearWakeup(this.#wakeup)
    this.#answer()
  }
}

class Worker {
  readonly #thread: Thread
  readonly #loop: Loop
  readonly #eventBatch: EventBatch
  readonly #asked = new Map<number, (answer: WorkerAnswer, now: number) => void>()
  /** Those who stop accepting when descriptors are short. */
  readonly #registered = new Map<number, Disposable>()
  #asks = 0
  #running = true

  constructor(data: ThreadData) {
    keepFdOwners(new Uint8Array(data.fdOwners), data.thread + 1)
    this.#loop = new Loop((watcher, thrown) => this.#fault(watcher, thrown), data.thresholds.busyPollMs)
    const records = new Records(data.firstSerial, (memory) => post({ type: 'block', memory }))
    this.#eventBatch = new EventBatch(records, (batch, count) =>
      post({ type: 'happened', batch, count }, [batch]),
    )
    this.#thread = new Thread({
      number: data.thread,
      loop: this.#loop,
      records,
      eventBatch: this.#eventBatch,
      descriptorLimit: data.descriptorLimit,
      dials: data.dials,
      place: data.place,
      thresholds: data.thresholds,
      report: (lease, state) => post({ type: 'state', lease, state }),
      askOffload: () => post({ type: 'offload' }),
      holdOffload: (device) => post({ type: 'hold', device }),
    })
    const wakeup = Descriptor.borrow(data.wakeup)
    this.#loop.watch(new WakeupWatcher(wakeup, () => this.#takeMessages()), wakeup, epollIn)
    this.#loop.afterTurn(() => {
      try {
        this.#thread.flushAnswers()
      } catch (thrown) {
        this.#fault(this.#thread, thrown)
      }
      this.#thread.offloading.sentOn()
      return this.#eventBatch.flush(this.#loop.now)
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
        return this.#thread.rulesOnThread
          .get(message.lease)
          ?.update(message.revision, message.rule, message.memory, message.slots)
      case 'unlisten':
        return this.#unlisten(message)
      case 'yield':
        return this.#yield(message.lease)
      case 'let-go':
        return this.#letGo(message.lease)
      case 'resume':
        for (const listening of this.#thread.rulesOnThread.get(message.lease)?.listeners ?? [])
          listening.takeBack?.()
        return
      case 'cut':
        return this.#cut(message)
      case 'forget':
        this.#thread.rulesOnThread.delete(message.lease)
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
    const { rulesOnThread, descriptors } = this.#thread
    const ruleOnThread = rulesOnThread.get(lease) ?? this.#ruleOnThread(message)
    rulesOnThread.set(lease, ruleOnThread)
    if (listeners.length === 0 || this.#registered.has(lease)) return
    for (const data of listeners) this.#listen(ruleOnThread, data)
    this.#registered.set(lease, descriptors.register(ruleOnThread))
  }

  #ruleOnThread({ lease, revision, rule, memory, slots }: Extract<ToThread, { type: 'open' }>): RuleOnThread {
    const thread = this.#thread
    return new RuleOnThread({
      id: lease,
      thread: thread.number,
      revision,
      rule,
      memory,
      slots,
      names: new ResolveCache((target, answer) => this.#ask(lease, target, answer)),
      clock: thread.clock,
      onPaused: (paused) =>
        thread.report(lease, paused ? { state: 'paused', why: 'out-of-descriptors' } : { state: 'carrying' }),
    })
  }

  #listen(ruleOnThread: RuleOnThread, data: ListenerData): void {
    const Kind = data.protocol === 'udp' ? UdpListener : TcpListener
    ruleOnThread.listeners.add(new Kind(this.#thread, ruleOnThread, data))
  }

  #ask(lease: number, target: Target, answer: (answer: WorkerAnswer, now: number) => void): void {
    const asked = this.#asks++
    this.#asked.set(asked, answer)
    post({ type: 'resolve', asked, lease, target })
  }

  #yield(lease: number): void {
    for (const listening of this.#thread.rulesOnThread.get(lease)?.listeners ?? []) listening.yield?.()
    post({ type: 'yielded', lease })
  }

  #letGo(lease: number): void {
    for (const carried of this.#thread.rulesOnThread.get(lease)?.carried.all() ?? [])
      if (carried instanceof UdpSession) carried.end('shutdown')
    this.#eventBatch.flushNow()
    post({ type: 'yielded', lease })
  }

  #unlisten({ lease, queued, apart }: Extract<ToThread, { type: 'unlisten' }>): void {
    const ruleOnThread = this.#thread.rulesOnThread.get(lease)
    this.#registered.get(lease)?.[Symbol.dispose]()
    this.#registered.delete(lease)
    // A Set may lose what was visited while it is walked.
    for (const listening of ruleOnThread?.listeners ?? []) listening.stop(queued, apart)
    this.#eventBatch.flushNow()
    post({ type: 'unlistened', lease })
  }

  #cut({ lease, serial, reason }: Extract<ToThread, { type: 'cut' }>): void {
    for (const carried of this.#thread.rulesOnThread.get(lease)?.carried.all() ?? [])
      if (serial === null || carried.serial === serial) carried.end(reason)
    this.#eventBatch.flushNow()
  }

  #stop(): void {
    this.#running = false
    for (const ruleOnThread of this.#thread.rulesOnThread.values())
      for (const carried of ruleOnThread.carried.all()) carried.end('shutdown')
    this.#eventBatch.flushNow()
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
