/**
 * A request's way in: size, then (on the TCP side) host, origin and token, then its route, then the page's files.
 * What goes wrong on the way is an answer with the error's code.
 */
import type { Socket } from 'node:net'
import { OpenAPIHono } from '@hono/zod-openapi'
import type { HonoRequest, MiddlewareHandler } from 'hono'
import { NaruError, isNaruError } from '../../base/errors.ts'
import { jsonProblem } from '../../base/json.ts'
import type { Log } from '../../base/log.ts'
import { say, verbatim } from '../../base/text.ts'
import type { Exchange } from '../../model/import-export.ts'
import type { Naru } from '../../model/naru-api.ts'
import type { Json } from '../../model/hop.ts'
import type { MachineApi } from '../../model/machine-api.ts'
import { ErrorSchema, NaruEventSchema, SessionSchema, z } from '../protocol/schemas.ts'
import {
  bodyLimitBytes,
  type Access,
  type Login,
  type ReturnOffer,
  type WebSession,
} from '../protocol/wire.ts'
import { routes } from '../protocol/routes.ts'
import { errorAnswer } from './answer.ts'
import type { App, Env } from './env.ts'
import {
  accessOfBearer,
  checkHost,
  checkOrigin,
  checkToken,
  isApi,
  loginOf,
  type AskedFor,
  type Shown,
  type Tokens,
} from './guard.ts'
import { addExchangeRoutes } from './import-export-routes.ts'
import type { PageFiles } from './options.ts'
import { addMachineRoutes } from './machine-routes.ts'
import { Returning } from './returning.ts'
import { addRoutes } from './routes.ts'
import { securityHeaders, staticFile } from './static.ts'

export interface AppOptions {
  readonly closing: AbortSignal
  readonly log: Log
  /** Null on the local socket, where the file's mode has asked already. */
  readonly guard: {
    readonly tokens: Tokens
    /** Told of each connection that has shown a token. */
    readonly onProven: (socket: Socket, access: Access) => void
  } | null
  readonly pageFiles: PageFiles | null
  readonly session: () => WebSession
  readonly web: () => string | null
  readonly version: string
  readonly ruleSchema: Json | null
  readonly machine: MachineApi | null
  readonly exchange: Exchange | null
}

type Guarded = NonNullable<AppOptions['guard']>

export function createApp(naru: Naru, options: AppOptions): App {
  const app: App = new OpenAPIHono<Env>({
    defaultHook(result) {
      if (!result.success) throw badRequest(result.error)
    },
  })
  app.onError((thrown) => {
    if (!isNaruError(thrown)) options.log.debug({ err: thrown }, 'a request failed')
    return errorAnswer(thrown)
  })
  app.notFound((c) => errorAnswer(new NaruError('API_NOT_FOUND', { path: c.req.path.slice(0, 200) })))
  if (options.guard) addGuard(app, options.guard)
  else app.use(wholeAccess)
  app.use(bounded)
  addSession(app, options)
  addRoutes(app, naru, options)
  if (options.machine) addMachineRoutes(app, naru, { machine: options.machine, closing: options.closing })
  if (options.exchange) addExchangeRoutes(app, naru, options.exchange)
  addDocument(app, options)
  if (options.guard && options.pageFiles !== null) addPage(app, options.pageFiles)
  return app
}

/** Node holds a body to the length it announced; one that announces none is not read at all. */
const bounded: MiddlewareHandler<Env> = async (c, next) => {
  if (c.req.header('transfer-encoding') !== undefined)
    throw new NaruError('API_BAD_REQUEST', { why: say('say Content-Length') })
  if (Number(c.req.header('content-length') ?? 0) > bodyLimitBytes)
    throw new NaruError('API_TOO_LARGE', { bytes: bodyLimitBytes })
  const body = await c.req.text()
  const why = body === '' ? null : jsonProblem(body)
  if (why !== null) throw new NaruError('API_BAD_REQUEST', { why })
  await next()
}

const wholeAccess: MiddlewareHandler<Env> = async (c, next) => {
  c.set('access', 'full')
  await next()
}

function addGuard(app: App, { tokens, onProven }: Guarded): void {
  const before: Shown = new WeakMap()
  const guard: MiddlewareHandler<Env> = async (c, next) => {
    const asked = askedBy(c.req)
    checkHost(asked)
    checkOrigin(asked)
    if (isApi(asked.path) && !isLogin(asked)) {
      const by = c.env.incoming.socket
      const access = checkToken(asked, tokens, { by, before })
      c.set('access', access)
      onProven(by, access)
    }
    await next()
  }
  // Set whatever happens after it, errors included.
  app.use(async (c, next) => {
    await next()
    for (const [name, value] of Object.entries(securityHeaders)) c.res.headers.set(name, value)
    if (isApi(c.req.path) && !c.res.headers.has('cache-control'))
      c.res.headers.set('cache-control', 'no-store')
  })
  app.use(guard)
}

const askedBy = (request: HonoRequest): AskedFor => ({
  method: request.method,
  path: request.path,
  header: (name) => request.header(name),
  query: (name) => request.query(name),
})

const isLogin = ({ method, path }: AskedFor): boolean =>
  method === 'POST' && (path === routes.login.path || path === routes.comeBack.path)

const LoginSchema = z.object({ token: z.string().max(200) })
const ReturnSchema = z.union([
  z.object({ access: z.enum(['full', 'read']), pageNonce: z.string().min(16).max(64) }),
  z.object({ naruNonce: z.string().max(64), proof: z.string().max(64) }),
])

function addSession(app: App, { guard, session, pageFiles }: AppOptions): void {
  if (guard === null) {
    app.get(routes.session.path, (c) => c.json(session()))
    return
  }
  const { tokens } = guard
  app.get(routes.session.path, (c) => {
    return c.json<WebSession>({
      access: checkToken(askedBy(c.req), tokens),
      loginUrl: null,
      readOnlyUrl: null,
    })
  })
  app.post(routes.login.path, async (c) => {
    const asked = LoginSchema.safeParse(await c.req.json().catch(() => null))
    if (!asked.success) throw badRequest(asked.error)
    const { token } = asked.data
    const access = accessOfBearer(token, tokens)
    if (access === null) throw new NaruError('API_NO_TOKEN', {})
    return c.json<Login>(loginOf(access, tokens))
  })
  const returning = new Returning(tokens)
  app.post(routes.comeBack.path, async (c) => {
    const asked = ReturnSchema.safeParse(await c.req.json().catch(() => null))
    if (!asked.success) throw badRequest(asked.error)
    const said = asked.data
    if ('proof' in said) return c.json<Login>(await returning.take(said.naruNonce, said.proof))
    return c.json<ReturnOffer>(await returning.offer(said.access, said.pageNonce, c.env.incoming.socket))
  })
  // The link that `naru up` prints: the page takes it out of the address bar and keeps the session.
  app.get('/', async (c, next) => {
    const token = c.req.query('token')
    if (token === undefined || accessOfBearer(token, tokens) !== null) return next()
    const page = pageFiles === null ? null : await pageAs(401, pageFiles, askedBy(c.req))
    if (page === null) throw new NaruError('API_NO_TOKEN', {})
    return page
  })
}

/** A person in a browser gets the page, which says what is wrong; it is that status all the same. Null for programs. */
async function pageAs(
  status: number,
  pageFiles: PageFiles,
  { header }: Pick<AskedFor, 'header'>,
): Promise<Response | null> {
  const page = (header('accept') ?? '').includes('text/html') ? await staticFile(pageFiles, '/') : null
  return page && new Response(page.body, { status, headers: page.headers })
}

function addDocument(app: App, { version, ruleSchema }: AppOptions): void {
  app.openAPIRegistry.register('Event', NaruEventSchema)
  app.openAPIRegistry.register('Session', SessionSchema)
  app.openAPIRegistry.register('Error', ErrorSchema)
  app.openAPIRegistry.registerComponent('securitySchemes', 'token', { type: 'http', scheme: 'bearer' })
  app.get(routes.document.path, (c) => c.json(openApiOf(app, version, ruleSchema)))
}

function openApiOf(app: App, version: string, ruleSchema: Json | null): Json {
  const document = app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'Naru', version, license: { name: 'Apache-2.0' } },
    security: [{ token: [] }],
  })
  if (ruleSchema !== null && document.components?.schemas)
    document.components.schemas['RuleInput'] = ruleSchema as never
  return document as unknown as Json
}

function addPage(app: App, files: PageFiles): void {
  app.get('*', async (c, next) => {
    if (isApi(c.req.path)) return next()
    const file = await staticFile(files, c.req.path, c.req.header('if-none-match'))
    return file ?? (await pageAs(404, files, askedBy(c.req))) ?? next()
  })
}

function badRequest(error: {
  issues: readonly { path: readonly PropertyKey[]; message: string }[]
}): NaruError {
  const problems = error.issues
    .slice(0, 10)
    .map(({ path, message }) => (path.length === 0 ? message : `${path.map(String).join('.')}: ${message}`))
    .join('; ')
  return new NaruError('API_BAD_REQUEST', { why: verbatim(problems) })
}
