/**
 * `Naru` spoken from afar. How a request travels is the transport's business: a local socket for the CLI, `fetch`
 * for the web page. Errors come back as the `NaruError` they were.
 */
import { codes, type Code } from '../../base/codes/index.ts'
import { NaruError, type NaruErrorJson, type Param } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import type { AddedRules, ChangeOptions, Naru, NaruEvent, NewRule, RuleInput } from '../../model/naru-api.ts'
import { requestOf, routes, type AnswerOf, type AskOf, type ApiRoute } from '../protocol/routes.ts'
import { bodyLimitBytes, mostAdded, type WebSession } from '../protocol/wire.ts'
import { eventsIn } from './sse.ts'

export interface TransportRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** With its query. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON. */
  readonly body?: unknown
  readonly signal?: AbortSignal
}

export interface ClientTransport {
  /** Named in errors. */
  readonly where: string
  /** @throws NaruError NOT_RUNNING, API_SILENT */
  ask(request: TransportRequest): Promise<{ readonly status: number; readonly body: unknown }>
  /** The body as it comes. @throws NaruError as `ask`, and what the server answered where it was no stream. */
  stream(request: TransportRequest): AsyncIterable<Uint8Array>
}

/** What the API offers beyond `Naru`. */
export interface NaruClient extends Naru {
  session(): Promise<WebSession>
  /** As `events`, with the key to resume at after a restart of the daemon: hand it back as `lastKey`. */
  keyedEvents(options: {
    signal: AbortSignal
    lastKey?: string
    since?: number
    /** The stream stands: what happens from now on arrives. */
    onOpen?: () => void
    /** Bytes came, an event or a sign of life. */
    onHeard?: () => void
  }): AsyncIterable<{ readonly key: string; readonly event: NaruEvent }>
}

export type Ask = <R extends ApiRoute>(route: R, ...asked: Asked<R>) => Promise<AnswerOf<R>>
/** May be left out where a route needs nothing to be said. */
type Asked<R extends ApiRoute> = object extends AskOf<R> ? [asked?: AskOf<R>] : [asked: AskOf<R>]

/** Answers what the route answers. @throws NaruError what the server said */
export function askerOf(transport: ClientTransport): Ask {
  return async <R extends ApiRoute>(route: R, ...[asked]: Asked<R>): Promise<AnswerOf<R>> => {
    const { status, body } = await transport.ask(requestOf(route, (asked ?? {}) as AskOf<R>))
    if (status < 200 || status > 299) throw errorFrom(body, transport.where, status)
    return body as AnswerOf<R>
  }
}

/** What a change is asked with. */
function how(options: (ChangeOptions & { now?: boolean }) | undefined): {
  readonly query: { readonly dryRun?: boolean | undefined; readonly now?: boolean | undefined }
  readonly headers?: Readonly<Record<string, string>>
} {
  return {
    query: { dryRun: options?.dryRun, now: options?.now },
    ...(options?.revision === undefined ? {} : { headers: { 'if-match': `"${options.revision}"` } }),
  }
}

// oxlint-disable-next-line max-lines-per-function -- a table: one line of it a call
export function createClient(transport: ClientTransport): NaruClient {
  const ask = askerOf(transport)
  /** As many as fit into a request at a time. */
  const addAll = async (asked: readonly NewRule[], options: ChangeOptions = {}): Promise<AddedRules> => {
    const answers: AddedRules[] = []
    let seen = options.revision
    for (const rules of inRequests(asked)) {
      const next = { ...options, ...(seen !== undefined && { revision: seen }) }
      const answer = await ask(routes.addAll, { ...how(next), body: { rules } })
      answers.push(answer)
      // What this one made of the file is what the next one saw.
      if (seen !== undefined) seen = answer.revision
    }
    return {
      rules: answers.flatMap(({ rules }) => rules),
      notes: answers.flatMap(({ notes }) => notes),
      revision: answers.at(-1)?.revision ?? '',
    }
  }
  const at = (name: string) => ({ parts: { name } })

  async function* keyedEvents({
    signal,
    lastKey,
    since,
    onOpen,
    onHeard,
  }: Parameters<NaruClient['keyedEvents']>[0]): AsyncGenerator<{ key: string; event: NaruEvent }> {
    const headers: Record<string, string> = lastKey === undefined ? {} : { 'last-event-id': lastKey }
    const request = requestOf(routes.events, { query: { since }, headers, signal })
    const chunks = announced(transport.stream(request), { onOpen, onHeard })
    for await (const { id, data } of eventsIn(chunks)) yield { key: id, event: JSON.parse(data) as NaruEvent }
  }

  return {
    about: () => ask(routes.about),
    rules: {
      list: async () => (await ask(routes.rules)).rules,
      get: (name) => ask(routes.rule, at(name)),
      add: (name: string, rule: RuleInput, options) =>
        ask(routes.add, { ...how(options), body: { name, rule } }),
      addAll,
      edit: (name, rule, options) => ask(routes.edit, { ...at(name), ...how(options), body: rule }),
      remove: (name, options) => ask(routes.remove, { ...at(name), ...how(options) }),
      enable: (name, options) => ask(routes.enable, { ...at(name), ...how(options) }),
      disable: (name, options) => ask(routes.disable, { ...at(name), ...how(options) }),
      rename: (name, to, options) => ask(routes.rename, { ...at(name), ...how(options), body: { to } }),
      reopen: (name) => ask(routes.reopen, at(name)),
    },
    plan: (proposed) =>
      proposed === undefined ? ask(routes.planOfFile) : ask(routes.planOf, { body: proposed }),
    connections: async (query = {}) => (await ask(routes.connections, { query })).connections,
    traffic: async (query = {}) => (await ask(routes.traffic, { query })).moments,
    happened: async () => (await ask(routes.happened)).happened,
    cut: async (id) => {
      const { status, body } = await transport.ask(requestOf(routes.cut, { parts: { id } }))
      if (status === 404) return false
      if (status !== 200) throw errorFrom(body, transport.where, status)
      return true
    },
    async *events(options) {
      for await (const { event } of keyedEvents(options)) yield event
    },
    keyedEvents,
    reload: () => ask(routes.reload),
    stop: async (options) => {
      await ask(routes.stop, { query: { drain: options?.drain } })
    },
    session: () => ask(routes.session),
  }
}

/** At least one, which may be empty. */
function inRequests(rules: readonly NewRule[]): NewRule[][] {
  const requests: NewRule[][] = [[]]
  let bytes = 0
  for (const rule of rules) {
    // Three bytes a character at the most.
    const size = 3 * JSON.stringify(rule).length
    const last = requests.at(-1) as NewRule[]
    const fits = last.length < mostAdded && bytes + size < bodyLimitBytes
    if (fits || last.length === 0) last.push(rule)
    else requests.push([rule])
    bytes = fits ? bytes + size : size
  }
  return requests
}

/** The server's first bytes come at once, long before the first event. */
async function* announced(
  chunks: AsyncIterable<Uint8Array>,
  { onOpen, onHeard }: { onOpen: (() => void) | undefined; onHeard: (() => void) | undefined },
): AsyncGenerator<Uint8Array> {
  let open = false
  for await (const chunk of chunks) {
    onHeard?.()
    if (!open) onOpen?.()
    open = true
    yield chunk
  }
}

/** The error that the far side threw; anything else is an answer that makes no sense. */
export function errorFrom(body: unknown, where: string, status: number): NaruError {
  if (!isErrorJson(body)) return new NaruError('API_SILENT', { where, why: say`HTTP status ${status}` })
  return body.code in codes
    ? new NaruError(body.code as Code, body.details as never, {
        problems: body.problems ?? [],
        left: body.left ?? [],
      })
    : new NaruError('API_SILENT', { where, why: body.message })
}

function isErrorJson(body: unknown): body is NaruErrorJson & { details: Record<string, Param> } {
  const error = body as Partial<NaruErrorJson> | null
  return (
    typeof error?.code === 'string' && typeof error.details === 'object' && typeof error.message === 'object'
  )
}
