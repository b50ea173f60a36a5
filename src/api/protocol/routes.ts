/**
 * The API, a row a route: how it is asked, who may, what travels, and a sentence. The server, the client, the OpenAPI
 * document and docs/api.md go by this table. Plain data, so that the CLI and the page do not pay for the schemas; what
 * `is` says is for the compiler alone, which holds both ends to it.
 */
import type { Connection } from '../../model/connection.ts'
import type { Exported, ImportFormat, Imported, NamedRule } from '../../model/import-export.ts'
import type { FirewallReport, GuestsReport, LanNeighbour } from '../../model/machine-api.ts'
import type { FirewallAnswer } from '../../model/firewall.ts'
import type { MachineAddresses, MachinePorts, PortsOptions } from '../../model/machine.ts'
import type {
  About,
  AddedRules,
  ChangeResult,
  Happening,
  NewRule,
  RuleInput,
  RuleStatus,
  TrafficMoment,
} from '../../model/naru-api.ts'
import type { Plan } from '../../model/plan.ts'
import type {
  RouterAdd,
  RouterAdded,
  RouterCheck,
  RouterCheckWish,
  RouterEntry,
  RouterView,
} from '../../model/router.ts'
import { queryOf, type Login, type ReturnOffer, type WebSession } from './wire.ts'

export interface ApiRoute {
  readonly method: 'get' | 'post' | 'patch' | 'delete'
  /** `{name}` is a part that is filled in. */
  readonly path: string
  /** `look`: the look-only token will do; `none`: it is how one logs in. */
  readonly right: 'look' | 'full' | 'none'
  readonly summary: string
  readonly query?: object
  readonly body?: unknown
  readonly answer?: unknown
}

/** What travels: a type in a place for values. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the type is all that it says
const is = <T>(): T => undefined as T

interface Dry {
  readonly dryRun?: boolean | undefined
}
interface DryOrNow extends Dry {
  readonly now?: boolean | undefined
}

interface DoctorQuery {
  readonly about?: string | undefined
  readonly internet?: boolean | undefined
  /** With commas. */
  readonly names?: string | undefined
}

export const routes = {
  session: {
    method: 'get',
    path: '/api/session',
    right: 'look',
    summary: 'What the token that was sent may do; over the local socket, the links to log in',
    answer: is<WebSession>(),
  },
  login: {
    method: 'post',
    path: '/api/session',
    right: 'none',
    summary: 'A session for a token',
    body: is<{ token: string }>(),
    answer: is<Login>(),
  },
  comeBack: {
    method: 'post',
    path: '/api/session/return',
    right: 'none',
    summary: 'A session for a page that stayed open, once both sides have shown who they are',
    body: is<object>(),
    answer: is<ReturnOffer | Login>(),
  },
  document: {
    method: 'get',
    path: '/api/openapi.json',
    right: 'look',
    summary: 'The OpenAPI document of every route and shape',
  },
  about: {
    method: 'get',
    path: '/api/about',
    right: 'look',
    summary: 'This Naru: version, file, revision',
    answer: is<About>(),
  },
  planOfFile: {
    method: 'get',
    path: '/api/plan',
    right: 'look',
    summary: 'What would be done for the file as it is now',
    answer: is<Plan>(),
  },
  planOf: {
    method: 'post',
    path: '/api/plan',
    right: 'full',
    summary: 'What a change would do; nothing is done',
    body: is<{ name: string; rule: RuleInput | null }>(),
    answer: is<Plan>(),
  },
  reload: {
    method: 'post',
    path: '/api/reload',
    right: 'full',
    summary: 'Re-reads the file now',
    answer: is<ChangeResult>(),
  },
  stop: {
    method: 'post',
    path: '/api/stop',
    right: 'full',
    summary: 'Undoes everything and ends; with drain, once connections have finished',
    query: is<{ drain?: boolean | undefined }>(),
    answer: is<{ stopping: boolean }>(),
  },
  rules: {
    method: 'get',
    path: '/api/rules',
    right: 'look',
    summary: 'All rules with the state of each hop',
    answer: is<{ rules: readonly RuleStatus[] }>(),
  },
  rule: {
    method: 'get',
    path: '/api/rules/{name}',
    right: 'look',
    summary: 'One rule',
    answer: is<RuleStatus>(),
  },
  add: {
    method: 'post',
    path: '/api/rules',
    right: 'full',
    summary: 'Adds a rule to the file and opens it',
    query: is<Dry>(),
    body: is<NewRule>(),
    answer: is<ChangeResult>(),
  },
  addAll: {
    method: 'post',
    path: '/api/rules/all',
    right: 'full',
    summary: 'Adds many rules, of which the file is written once; one that may not be is refused by itself',
    query: is<Dry>(),
    body: is<{ rules: readonly NewRule[] }>(),
    answer: is<AddedRules>(),
  },
  edit: {
    method: 'patch',
    path: '/api/rules/{name}',
    right: 'full',
    summary: 'Merges keys into a rule; null takes a key out',
    query: is<Dry>(),
    body: is<RuleInput>(),
    answer: is<ChangeResult>(),
  },
  remove: {
    method: 'delete',
    path: '/api/rules/{name}',
    right: 'full',
    summary: 'Takes a rule out of the file and closes it; with now, its connections are cut',
    query: is<DryOrNow>(),
    answer: is<ChangeResult>(),
  },
  enable: {
    method: 'post',
    path: '/api/rules/{name}/enable',
    right: 'full',
    summary: 'Opens a rule that is disabled',
    query: is<Dry>(),
    answer: is<ChangeResult>(),
  },
  disable: {
    method: 'post',
    path: '/api/rules/{name}/disable',
    right: 'full',
    summary: 'Closes a rule and keeps it in the file; with now, its connections are cut',
    query: is<DryOrNow>(),
    answer: is<ChangeResult>(),
  },
  rename: {
    method: 'post',
    path: '/api/rules/{name}/rename',
    right: 'full',
    summary: 'Gives a rule another name; nothing is opened or closed, and its connections go on',
    query: is<Dry>(),
    body: is<{ to: string }>(),
    answer: is<ChangeResult>(),
  },
  reopen: {
    method: 'post',
    path: '/api/rules/{name}/reopen',
    right: 'full',
    summary: 'Opens again what a rule has lost, and renews the rest; its connections go on',
    answer: is<ChangeResult>(),
  },
  traffic: {
    method: 'get',
    path: '/api/traffic',
    right: 'look',
    summary: 'What flowed, oldest first: 15 minutes, five seconds a moment, or a day, a minute a moment',
    query: is<{ span?: 'quarter' | 'day' | undefined; rule?: string | undefined }>(),
    answer: is<{ moments: readonly TrafficMoment[] }>(),
  },
  happened: {
    method: 'get',
    path: '/api/happened',
    right: 'look',
    summary:
      'What Naru said, which hops opened and whom it refused lately, oldest first: events of type log, hop, refused and file',
    answer: is<{ happened: readonly Happening[] }>(),
  },
  connections: {
    method: 'get',
    path: '/api/connections',
    right: 'look',
    summary: 'Open connections, newest first, and those that ended lately',
    query: is<{ rule?: string | undefined; limit?: number | undefined }>(),
    answer: is<{ connections: readonly Connection[] }>(),
  },
  cut: {
    method: 'delete',
    path: '/api/connections/{id}',
    right: 'full',
    summary: 'Cuts a connection',
    answer: is<{ cut: boolean }>(),
  },
  events: {
    method: 'get',
    path: '/api/events',
    right: 'look',
    summary: 'Server-Sent Events: each `data` is one event of the schema Event',
    query: is<{ since?: number | undefined }>(),
  },
  metrics: { method: 'get', path: '/metrics', right: 'look', summary: 'For Prometheus' },
  addresses: {
    method: 'get',
    path: '/api/machine/addresses',
    right: 'look',
    summary: 'Interfaces, gateways, public addresses and what NAT is above (naru ip)',
    query: is<{ internet?: boolean | undefined }>(),
    answer: is<MachineAddresses>(),
  },
  ports: {
    method: 'get',
    path: '/api/machine/ports',
    right: 'look',
    summary: 'Listening sockets, with process and service (naru ports)',
    query: is<PortsOptions>(),
    answer: is<MachinePorts>(),
  },
  firewall: {
    method: 'get',
    path: '/api/machine/firewall',
    right: 'look',
    summary: 'The host firewall: which one, what is open, what of it is ours (naru firewall)',
    answer: is<FirewallReport>(),
  },
  explain: {
    method: 'get',
    path: '/api/machine/firewall/explain',
    right: 'look',
    summary: 'Would a packet to this port get in, and by which rule?',
    query: is<{ protocol: string; port: number; from?: string | undefined }>(),
    answer: is<FirewallAnswer>(),
  },
  guests: {
    method: 'get',
    path: '/api/machine/guests',
    right: 'look',
    summary: 'VMs and containers (naru guests)',
    answer: is<GuestsReport>(),
  },
  neighbours: {
    method: 'get',
    path: '/api/machine/neighbours',
    right: 'look',
    summary: 'Machines of the LAN that answered ARP or NDP lately',
    answer: is<{ neighbours: readonly LanNeighbour[] }>(),
  },
  routers: {
    method: 'get',
    path: '/api/machine/routers',
    right: 'look',
    summary: 'Routers, by every protocol they speak (naru router)',
    answer: is<{ routers: readonly RouterView[] }>(),
  },
  mappings: {
    method: 'get',
    path: '/api/machine/mappings',
    right: 'look',
    summary: 'Every mapping on the router, ours marked (naru router ls)',
    answer: is<{ mappings: readonly RouterEntry[] }>(),
  },
  addMapping: {
    method: 'post',
    path: '/api/machine/mappings',
    right: 'full',
    summary: 'Opens a port on the router by hand; nobody renews it, nobody undoes it',
    body: is<RouterAdd>(),
    answer: is<{ added: readonly RouterAdded[] }>(),
  },
  removeMapping: {
    method: 'delete',
    path: '/api/machine/mappings/{protocol}/{port}',
    right: 'full',
    summary: 'Takes a mapping off the router; someone else’s only with force',
    query: is<{ force?: boolean | undefined }>(),
  },
  checkMapping: {
    method: 'post',
    path: '/api/machine/routers/check',
    right: 'look',
    summary: 'Is that port open on the router? If not: the rows to type, in its maker’s words',
    body: is<Omit<RouterCheckWish, 'allow'>>(),
    answer: is<RouterCheck>(),
  },
  doctor: {
    method: 'get',
    path: '/api/doctor',
    right: 'look',
    summary: 'Which hop blocks, by evidence, live: `check` events, then one `diagnosis` or `failed` (SSE)',
    query: is<DoctorQuery>(),
  },
  phone: {
    method: 'post',
    path: '/api/doctor/phone',
    right: 'full',
    summary:
      'As /api/doctor, after a phone has opened the link that the first event tells (at most two minutes)',
    query: is<DoctorQuery>(),
  },
  import: {
    method: 'post',
    path: '/api/import',
    right: 'full',
    summary: 'What a file of another program would come to as rules, and what is lost; nothing is added',
    body: is<{ text: string; file?: string; from?: ImportFormat }>(),
    answer: is<Omit<Imported, 'rules'> & { readonly rules: readonly NamedRule[] }>(),
  },
  export: {
    method: 'get',
    path: '/api/export/{format}',
    right: 'look',
    summary: 'Rules as the file of another program, and what is lost',
    query: is<{ rule?: string | undefined }>(),
    answer: is<Exported>(),
  },
} as const satisfies Readonly<Record<string, ApiRoute>>

export type AnswerOf<R extends ApiRoute> = R extends { readonly answer: infer A } ? A : unknown

type PartsOf<P extends string> = P extends `${string}{${infer Name}}${infer Rest}`
  ? Name | PartsOf<Rest>
  : never

/** What goes with a request: what its path and its body need must be said, its query may. */
export type AskOf<R extends ApiRoute> = ([PartsOf<R['path']>] extends [never]
  ? unknown
  : { readonly parts: Readonly<Record<PartsOf<R['path']>, string | number>> }) &
  (R extends { readonly body: infer B } ? { readonly body: B } : unknown) &
  (R extends { readonly query: infer Q } ? { readonly query?: Q } : unknown) & {
    readonly headers?: Readonly<Record<string, string>>
    readonly signal?: AbortSignal
  }

/** Method, path with its parts and query, and what else goes with it. */
export function requestOf<R extends ApiRoute>(route: R, asked: AskOf<R>) {
  const { parts = {}, query = {}, ...rest } = asked as AnyAsk
  const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(parts[name] ?? ''))
  return { ...rest, method: methods[route.method], path: path + queryOf(query) }
}

interface AnyAsk {
  readonly parts?: Readonly<Record<string, string | number>>
  readonly query?: Parameters<typeof queryOf>[0]
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

const methods = { get: 'GET', post: 'POST', patch: 'PATCH', delete: 'DELETE' } as const
