/**
 * `Naru` spoken from afar. How a request travels is the transport's business: a local socket for the CLI, `fetch`
 * for the web page. Errors come back as the `NaruError` they were.
 */
import { codes, type Code } from '../../base/codes/index.ts'
import { NaruError, type NaruErrorJson, type Param } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import type {
  AddedRules,
  ChangeOptions,
  ChangeResult,
  Happening,
  Naru,
  NaruEvent,
  NewRule,
  RuleInput,
  RuleStatus,
  TrafficMoment,
} from '../../model/naru-api.ts'
import type { Connection } from '../../model/connection.ts'
import { bodyLimitBytes, mostAdded, queryOf, type WebSession } from '../protocol/wire.ts'
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

// oxlint-disable-next-line max-lines-per-function -- a table: one line of it a call
export function createClient(transport: ClientTransport): NaruClient {
  const ask = async <T>(request: TransportRequest): Promise<T> => {
    const { status, body } = await transport.ask(request)
    if (status < 200 || status > 299) throw errorFrom(body, transport.where, status)
    return body as T
  }
  const get = <T>(path: string): Promise<T> => ask<T>({ method: 'GET', path })
  const change = <T = ChangeResult>(
    method: 'POST' | 'PATCH' | 'DELETE',
    path: string,
    options: (ChangeOptions & { now?: boolean }) | undefined,
    body?: unknown,
  ): Promise<T> =>
    ask<T>({
      method,
      path: path + queryOf({ dryRun: options?.dryRun, now: options?.now }),
      ...(options?.revision === undefined ? {} : { headers: { 'if-match': `"${options.revision}"` } }),
      ...(body === undefined ? {} : { body }),
    })
  /** As many as fit into a request at a time. */
  const addAll = async (asked: readonly NewRule[], options: ChangeOptions = {}): Promise<AddedRules> => {
    const answers: AddedRules[] = []
    let seen = options.revision
    for (const rules of inRequests(asked)) {
      const how = { ...options, ...(seen !== undefined && { revision: seen }) }
      const answer = await change<AddedRules>('POST', '/api/rules/all', how, { rules })
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
  const at = (name: string): string => `/api/rules/${encodeURIComponent(name)}`

  async function* keyedEvents({
    signal,
    lastKey,
    since,
    onOpen,
    onHeard,
  }: Parameters<NaruClient['keyedEvents']>[0]): AsyncGenerator<{ key: string; event: NaruEvent }> {
    const path = `/api/events${queryOf({ since })}`
    const headers: Record<string, string> = lastKey === undefined ? {} : { 'last-event-id': lastKey }
    const chunks = announced(transport.stream({ method: 'GET', path, headers, signal }), { onOpen, onHeard })
    for await (const { id, data } of eventsIn(chunks)) yield { key: id, event: JSON.parse(data) as NaruEvent }
  }

  return {
    about: () => get('/api/about'),
    rules: {
      list: async () => (await get<{ rules: readonly RuleStatus[] }>('/api/rules')).rules,
      get: (name) => get(at(name)),
      add: (name: string, rule: RuleInput, options) => change('POST', '/api/rules', options, { name, rule }),
      addAll,
      edit: (name, rule, options) => change('PATCH', at(name), options, rule),
      remove: (name, options) => change('DELETE', at(name), options),
      enable: (name, options) => change('POST', `${at(name)}/enable`, options),
      disable: (name, options) => change('POST', `${at(name)}/disable`, options),
      rename: (name, to, options) => change('POST', `${at(name)}/rename`, options, { to }),
      reopen: (name) => change('POST', `${at(name)}/reopen`, {}),
    },
    plan: (proposed) =>
      proposed === undefined ? get('/api/plan') : ask({ method: 'POST', path: '/api/plan', body: proposed }),
    connections: async (filter = {}) =>
      (await get<{ connections: readonly Connection[] }>(`/api/connections${queryOf({ ...filter })}`))
        .connections,
    traffic: async (options = {}) =>
      (await get<{ moments: readonly TrafficMoment[] }>(`/api/traffic${queryOf({ ...options })}`)).moments,
    happened: async () => (await get<{ happened: readonly Happening[] }>('/api/happened')).happened,
    cut: async (id) => {
      const { status, body } = await transport.ask({
        method: 'DELETE',
        path: `/api/connections/${encodeURIComponent(id)}`,
      })
      if (status === 404) return false
      if (status !== 200) throw errorFrom(body, transport.where, status)
      return true
    },
    async *events(options) {
      for await (const { event } of keyedEvents(options)) yield event
    },
    keyedEvents,
    reload: () => ask({ method: 'POST', path: '/api/reload' }),
    stop: async (options) => {
      await ask({ method: 'POST', path: `/api/stop${queryOf({ drain: options?.drain })}` })
    },
    session: () => get('/api/session'),
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
  if (!isErrorJson(body))
    return new NaruError('API_SILENT', { where, why: say(`HTTP status ${status}`, `HTTP 상태 ${status}`) })
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
