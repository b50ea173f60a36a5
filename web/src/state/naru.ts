/**
 * What the page knows of the running Naru. Events keep it true; after a gap, a lost connection or a restart it is
 * read anew. Pages look at the watched values and ask `client` and `machine` for the rest.
 */
import { isNaruError, NaruError, toNaruError, type NaruErrorJson } from '../../../src/base/errors.ts'
import { createClient, errorFrom } from '../../../src/api/client/client.ts'
import { createExchangeClient } from '../../../src/api/client/import-export.ts'
import { fetchTransport } from '../../../src/api/client/fetch.ts'
import { createMachineClient } from '../../../src/api/client/machine-client.ts'
import { steadyEvents } from '../../../src/api/client/reconnect.ts'
import { isPlace, proofOf, type Meeting } from '../../../src/api/protocol/proof.ts'
import { requestOf, routes } from '../../../src/api/protocol/routes.ts'
import type { Access, Login, ReturnOffer } from '../../../src/api/protocol/wire.ts'
import type { About, ChangeResult, NaruEvent, RuleStatus } from '../../../src/model/naru-api.ts'
import { pageClock } from './clock.ts'
import { Happenings } from './happenings.ts'
import { TrafficSamples } from './history.ts'
import { Flurry, Watched } from './watched.ts'

export type Link =
  | { readonly state: 'starting' }
  | { readonly state: 'live' }
  | { readonly state: 'lost'; readonly why: NaruError }
  | { readonly state: 'login'; readonly wrong: boolean }

/** In the storage of this origin: a cookie would go to every other port of this address as well. */
const session = {
  read: (): string | null => localStorage.getItem('naru.session'),
  keep: (value: string): void => localStorage.setItem('naru.session', value),
  forget: (): void => localStorage.removeItem('naru.session'),
}

const transport = fetchTransport({ token: session.read })
export const client = createClient(transport)
export const machine = createMachineClient(transport)
export const exchange = createExchangeClient(transport)

/** An event that tells nothing to act on for this long after a lost stream is no reason to read anew. */
class PageState {
  readonly link = new Watched<Link>({ state: 'starting' })
  readonly access = new Watched<Access>('full')
  readonly about = new Watched<About | null>(null)
  /** In the order of the file; null until first read. */
  readonly rules = new Flurry<readonly RuleStatus[] | null>(null)
  readonly fileProblem = new Watched<NaruErrorJson | null>(null)
  readonly history = new TrafficSamples()
  readonly happenings = new Happenings()
  #stop = new AbortController()
  /** Shows a Naru that was started anew who comes back. Never stored: whoever else holds this port reads its storage. */
  #secret: string | null = null
  /** Events that came while the state was being read: they are newer than it, or say the same. */
  #waiting: NaruEvent[] | null = null
  /** A set for each change on its way: the rules of which an event came since it was asked for. */
  readonly #told = new Set<Set<string>>()

  /** Logs in by the token of a log-in link where there is one, then follows; without a session the page asks for it. */
  start(): void {
    const token = new URLSearchParams(location.search).get('token')
    this.#stop.abort()
    this.#stop = new AbortController()
    void this.#follow(this.#stop.signal, token)
  }

  /** A token typed into the page. @throws NaruError API_SILENT */
  async logIn(token: string): Promise<void> {
    if (!(await this.#takeSession(token))) return this.link.set({ state: 'login', wrong: true })
    this.link.set({ state: 'starting' })
    this.start()
  }

  logOut(): void {
    session.forget()
    this.#secret = null
    this.#stop.abort()
    this.rules.set(null)
    this.about.set(null)
    this.link.set({ state: 'login', wrong: false })
  }

  rule(name: string): RuleStatus | undefined {
    return this.rules.value?.find((rule) => rule.name === name)
  }

  /**
   * Makes a change and shows what it answered at once; the event that says the same may come later. A rule of which
   * an event came meanwhile is left alone: the answer may be the older of the two, and nothing would mend it.
   */
  async change(make: () => Promise<ChangeResult>): Promise<ChangeResult> {
    const told = new Set<string>()
    this.#told.add(told)
    try {
      const result = await make()
      for (const rule of result.rules) if (!told.has(rule.name)) this.#put(rule)
      return result
    } finally {
      this.#told.delete(told)
    }
  }

  /** The order of the file; what it does not name stays behind. */
  sort(names: readonly string[]): void {
    const places = new Map(names.map((name, place) => [name, place]))
    const placeOf = ({ name }: RuleStatus): number => places.get(name) ?? names.length
    this.rules.set((this.rules.value ?? []).toSorted((a, b) => placeOf(a) - placeOf(b)))
  }

  /** @param token or a session @returns whether it is right */
  async #takeSession(token: string): Promise<boolean> {
    const { status, body } = await transport.ask(requestOf(routes.login, { body: { token } }))
    if (status === 401) return false
    if (status !== 200) throw errorFrom(body, transport.where, status)
    this.#keep(body as Login)
    return true
  }

  #keep(login: Login): void {
    session.keep(login.session)
    this.#secret = login.secret
    this.access.set(login.access)
  }

  /**
   * To a Naru that was started anew, which knows no session of before. @returns whether it is that Naru: while it was
   * away anybody of that machine may have taken its port.
   */
  async #comeBack(): Promise<boolean> {
    const secret = this.#secret
    // Browsers have WebCrypto on loopback and over TLS alone.
    if (secret === null || !globalThis.isSecureContext) return false
    const pageNonce = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(24))))
    const ask = (body: object): ReturnType<typeof transport.ask> =>
      transport.ask(requestOf(routes.comeBack, { body }))
    const offered = await ask({ access: this.access.value, pageNonce })
    if (offered.status !== 200) return false
    const { at, naruNonce, proof } = offered.body as ReturnOffer
    const meeting: Meeting = { at, pageNonce, naruNonce }
    if (!isPlace(at, location) || proof !== (await proofOf(secret, 'naru', meeting))) return false
    const taken = await ask({ naruNonce, proof: await proofOf(secret, 'page', meeting) })
    if (taken.status === 200) this.#keep(taken.body as Login)
    return taken.status === 200
  }

  async #follow(signal: AbortSignal, token: string | null): Promise<void> {
    try {
      await this.#session(signal, token)
      const onState = (state: { state: 'live' } | { state: 'lost'; why: NaruError }): void => {
        if (signal.aborted) return
        if (state.state === 'lost') this.link.set(state)
        else void this.#readAnew(signal)
      }
      for await (const event of steadyEvents(client, { signal, clock: pageClock, onState })) this.#take(event)
    } catch (error) {
      if (signal.aborted) return
      if (!isNaruError(error, 'API_NO_TOKEN'))
        return this.link.set({ state: 'lost', why: toNaruError(error) })
      if (await this.#comeBack().catch(() => false)) return this.#follow(signal, null)
      if (!signal.aborted) this.link.set({ state: 'login', wrong: token !== null })
    }
  }

  /**
   * The daemon may be away when the page is opened from a tab that was kept. The token stays in the address bar until
   * it was answered: a page that is loaded anew before that would have neither token nor session.
   */
  async #session(signal: AbortSignal, token: string | null): Promise<void> {
    for (;;) {
      try {
        const known = token ?? session.read()
        const isRight = known !== null && (await this.#takeSession(known))
        if (token !== null) forgetQuery()
        if (isRight) return
        throw new NaruError('API_NO_TOKEN', {})
      } catch (error) {
        if (isNaruError(error, 'API_NO_TOKEN') || signal.aborted) throw error
        this.link.set({ state: 'lost', why: toNaruError(error) })
        await pageClock.sleep(1000, signal)
      }
    }
  }

  async #readAnew(signal: AbortSignal): Promise<void> {
    this.#waiting = []
    try {
      const [about, rules] = await Promise.all([client.about(), client.rules.list()])
      if (signal.aborted) return
      this.about.set(about)
      this.fileProblem.set(about.fileProblem)
      this.rules.set(rules)
      this.link.set({ state: 'live' })
    } catch (error) {
      if (!signal.aborted) this.link.set({ state: 'lost', why: toNaruError(error) })
    } finally {
      const waited: NaruEvent[] = this.#waiting ?? []
      this.#waiting = null
      for (const event of waited) this.#take(event)
    }
    const [moments, happened] = await Promise.all([
      client.traffic().catch(() => []),
      client.happened().catch(() => []),
    ])
    if (signal.aborted) return
    this.history.fill(moments)
    this.happenings.fill(happened)
  }

  #take(event: NaruEvent): void {
    if (this.#waiting !== null && event.type !== 'traffic') {
      this.#waiting.push(event)
      return
    }
    switch (event.type) {
      case 'rule':
        this.#tell(event.rule.name)
        return this.#put(event.rule)
      case 'rule-removed':
        this.#tell(event.name)
        if (event.renamedTo !== undefined) this.happenings.rename(event.name, event.renamedTo)
        return this.rules.set((this.rules.value ?? []).filter(({ name }) => name !== event.name))
      case 'hop':
        this.happenings.take(event)
        this.#tell(event.rule)
        return this.#change(event.rule, (rule) => ({
          ...rule,
          hops: rule.hops.map((hop) => (hop.hop === event.status.hop ? event.status : hop)),
        }))
      case 'traffic':
        return this.#traffic(event)
      case 'file':
        this.happenings.take(event)
        return this.fileProblem.set(event.problem)
      case 'gap':
        return void this.#readAnew(this.#stop.signal)
      default:
        this.happenings.take(event)
    }
  }

  #tell(name: string): void {
    for (const told of this.#told) told.add(name)
  }

  #put(rule: RuleStatus): void {
    const rules = this.rules.value ?? []
    const known = rules.some(({ name }) => name === rule.name)
    this.rules.set(known ? rules.map((one) => (one.name === rule.name ? rule : one)) : [...rules, rule])
  }

  #change(name: string, to: (rule: RuleStatus) => RuleStatus): void {
    this.rules.set((this.rules.value ?? []).map((rule) => (rule.name === name ? to(rule) : rule)))
  }

  /** Rules that are not in the sample did not move. */
  #traffic({ at, rules: moved }: Extract<NaruEvent, { type: 'traffic' }>): void {
    const byName = new Map(moved.map((sample) => [sample.name, sample]))
    let changed = false
    const rules = (this.rules.value ?? []).map((rule) => {
      const sample = byName.get(rule.name)
      if (sample === undefined && rule.rate.toClient + rule.rate.toTarget + rule.counters.open === 0)
        return rule
      changed = true
      if (sample) return { ...rule, counters: sample.counters, rate: sample.rate }
      return { ...rule, counters: { ...rule.counters, open: 0 }, rate: { toTarget: 0, toClient: 0 } }
    })
    if (changed) this.rules.set(rules)
    this.history.add(at, moved)
  }
}

function forgetQuery(): void {
  history.replaceState(null, '', `/${location.hash}`)
}

export const naru = new PageState()
