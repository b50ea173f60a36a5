/**
 * This machine for the web page: what `naru ip`, `ports`, `router`, `firewall`, `guests` and `doctor` say. Answers are
 * the plain data of `model`, described loosely in the OpenAPI document: docs/cli.md tells their keys.
 */
import { isDeepStrictEqual } from 'node:util'
import { createRoute } from '@hono/zod-openapi'
import type { MiddlewareHandler } from 'hono'
import { NaruError, toNaruError } from '../../base/errors.ts'
import { withLimit, systemClock } from '../../base/clock.ts'
import { Semaphore } from '../../base/semaphore.ts'
import type { DoctorEvent } from '../../model/diagnosis.ts'
import type { MachineApi } from '../../model/machine-api.ts'
import { portSorts } from '../../model/machine.ts'
import type { Naru } from '../../model/naru-api.ts'
import type { RouterCheckWish } from '../../model/router.ts'
import { readRule } from '../../model/rule-file.ts'
import { ErrorSchema, z } from '../protocol/schemas.ts'
import { routes } from '../protocol/routes.ts'
import { heartbeatMs, type Access } from '../protocol/wire.ts'
import type { App, Env } from './env.ts'
import { rowOf } from './described.ts'

/** The slowest router, then some. */
const limitMs = 30_000
/** And the two minutes that a person may take with the phone. */
const phoneLimitMs = 170_000

const flag = z
  .enum(['true', 'false'])
  .optional()
  .transform((value) => value === 'true')
const protocol = z.enum(['tcp', 'udp'])
const port = z.coerce.number().int().min(1).max(65_535)
const anyJson = z.any().openapi({ description: 'plain data, see docs/cli.md' })

const described = {
  200: { description: 'answer', content: { 'application/json': { schema: anyJson } } },
  default: {
    description: 'what could not be done',
    content: { 'application/json': { schema: ErrorSchema } },
  },
}

/** What holders of one token may have this machine do at once; the rest waits for its turn. */
const mostLooks = 4
const mostDiagnoses = 2
/** And how many may wait. */
const mostWaiting = 64

export function addMachineRoutes(
  app: App,
  naru: Naru,
  { machine, closing }: { readonly machine: MachineApi; readonly closing: AbortSignal },
): void {
  const asking = (request: Request): { signal: AbortSignal } => ({
    signal: withLimit(AbortSignal.any([closing, request.signal]), limitMs),
  })
  app.use('/api/machine/*', inTurn(closing))
  addLooks(app, machine, asking)
  addRouter(app, machine, { naru, asking })
  addDoctor(app, machine, closing)
}

/** Looks start commands and wait for routers: however many are asked for, a few are under way. */
function inTurn(closing: AbortSignal): MiddlewareHandler<Env> {
  const gates = gatesOf(mostLooks, 'a look at this machine')
  return async (c, next) => {
    const signal = withLimit(AbortSignal.any([closing, c.req.raw.signal]), limitMs)
    await roomIn(gates[c.get('access')]).through(next, signal)
  }
}

const gatesOf = (most: number, what: string): Record<Access, Semaphore> => ({
  full: new Semaphore(most, what),
  read: new Semaphore(most, what),
})

/** @throws NaruError API_BUSY where too many wait already */
function roomIn(gate: Semaphore): Semaphore {
  if (gate.waiting >= mostWaiting) throw new NaruError('API_BUSY', { most: mostWaiting })
  return gate
}

type AskingOf = (request: Request) => { signal: AbortSignal }

// oxlint-disable-next-line max-lines-per-function -- a table of routes
function addLooks(app: App, machine: MachineApi, asking: AskingOf): void {
  app.openapi(
    createRoute({
      ...rowOf(routes.addresses),
      request: { query: z.object({ internet: flag }) },
      responses: described,
    }),
    async (c) => {
      const { internet } = c.req.valid('query')
      return c.json(await machine.addresses({ ...asking(c.req.raw), mayAskInternet: internet }), 200)
    },
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.ports),
      request: {
        query: z.object({
          all: flag,
          protocol: protocol.optional(),
          port: port.optional(),
          find: z.string().max(100).optional(),
          sort: z.enum(portSorts).optional(),
        }),
      },
      responses: described,
    }),
    async (c) => {
      const { all, protocol, port, find, sort } = c.req.valid('query')
      const options = {
        all,
        ...(protocol === undefined ? {} : { protocol }),
        ...(port === undefined ? {} : { port }),
        ...(find === undefined ? {} : { find }),
        ...(sort === undefined ? {} : { sort }),
      }
      return c.json(await machine.ports({ ...asking(c.req.raw), ...options }), 200)
    },
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.firewall),
      responses: described,
    }),
    async (c) => c.json(await machine.firewall(asking(c.req.raw)), 200),
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.explain),
      request: { query: z.object({ protocol, port, from: z.string().max(100).optional() }) },
      responses: described,
    }),
    async (c) => {
      const { protocol, port, from = null } = c.req.valid('query')
      return c.json(await machine.admits({ protocol, port, from }, asking(c.req.raw)), 200)
    },
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.guests),
      responses: described,
    }),
    async (c) => c.json(await machine.guests(asking(c.req.raw)), 200),
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.neighbours),
      responses: described,
    }),
    async (c) => c.json({ neighbours: await machine.neighbours(asking(c.req.raw)) }, 200),
  )
}

const protocols = z.array(protocol).min(1).max(2)
const portNumber = z.int().min(1).max(65_535)
const externalPort = z.union([portNumber, z.literal('any')])
const rowName = z.string().regex(/^[\w.-]{1,40}$/)

const RouterAddSchema = z.object({
  name: rowName,
  protocols,
  externalPort,
  preferredPort: portNumber.optional(),
  internalPort: portNumber,
  internalAddress: z.string().max(64).nullable().default(null),
  leaseSeconds: z.int().min(0).max(31_536_000).default(0),
})

const RouterCheckSchema = z.object({
  name: rowName,
  protocols,
  ports: z.object({ first: portNumber, last: portNumber }),
  externalPort: externalPort.nullable(),
})

/**
 * Whoever may only look has a rule's own row tried: the check knocks at the router's outside address, whose other ports
 * are nobody's to look at by this machine. @throws NaruError API_READ_ONLY, RULE_UNKNOWN
 */
async function mustBeOfRule(naru: Naru, wish: Omit<RouterCheckWish, 'allow' | 'protocols'>): Promise<void> {
  const { name, ports, externalPort } = wish
  const { rule } = readRule(name, (await naru.rules.get(name)).rule)
  const own = rule?.listen.kind === 'inet' && {
    ports: rule.listen.ports,
    externalPort: rule.publish.externalPort,
  }
  if (!isDeepStrictEqual(own, { ports, externalPort })) throw new NaruError('API_READ_ONLY', {})
}

function addRouter(
  app: App,
  { router }: MachineApi,
  { naru, asking }: { readonly naru: Naru; readonly asking: AskingOf },
): void {
  app.openapi(
    createRoute({
      ...rowOf(routes.routers),
      responses: described,
    }),
    async (c) => c.json({ routers: await router.info(asking(c.req.raw)) }, 200),
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.mappings),
      responses: described,
    }),
    async (c) => c.json({ mappings: await router.list(asking(c.req.raw)) }, 200),
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.addMapping),
      request: { body: { content: { 'application/json': { schema: RouterAddSchema } }, required: true } },
      responses: described,
    }),
    async (c) => c.json({ added: await router.add(c.req.valid('json'), asking(c.req.raw)) }, 200),
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.removeMapping),
      request: { params: z.object({ protocol, port }), query: z.object({ force: flag }) },
      responses: described,
    }),
    async (c) => {
      const { protocol, port } = c.req.valid('param')
      const { force } = c.req.valid('query')
      await router.remove({ protocol, externalPort: port }, { ...asking(c.req.raw), force })
      return c.json({ removed: true }, 200)
    },
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.checkMapping),
      request: { body: { content: { 'application/json': { schema: RouterCheckSchema } }, required: true } },
      responses: described,
    }),
    async (c) => {
      const wish = c.req.valid('json')
      if (c.get('access') === 'read') await mustBeOfRule(naru, wish)
      return c.json(await router.check({ ...wish, allow: [] }, asking(c.req.raw)), 200)
    },
  )
}

function addDoctor(app: App, machine: MachineApi, closing: AbortSignal): void {
  const query = z.object({
    about: z.string().min(1).max(128).optional(),
    internet: flag,
    names: z.string().max(1000).optional().openapi({ description: 'DDNS names, with commas' }),
  })
  const responses = {
    200: { description: 'events', content: { 'text/event-stream': { schema: z.string() } } },
    default: described.default,
  }
  const gates = gatesOf(mostDiagnoses, 'a diagnosis')
  const stream = (
    request: Request,
    access: Access,
    { about, internet, names }: z.output<typeof query>,
    fromPhone: boolean,
  ): Response => {
    const limit = fromPhone ? phoneLimitMs : limitMs
    const body = diagnosisStream(machine, roomIn(gates[access]), {
      signal: withLimit(AbortSignal.any([closing, request.signal]), limit),
      mayAskInternet: internet,
      fromPhone,
      names: names?.split(',').filter(Boolean) ?? [],
      ...(about === undefined ? {} : { about }),
    })
    return new Response(body, {
      headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' },
    })
  }
  app.openapi(
    createRoute({
      ...rowOf(routes.doctor),
      request: { query },
      responses,
    }),
    (c) => stream(c.req.raw, c.get('access'), c.req.valid('query'), false),
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.phone),
      request: { query },
      responses,
    }),
    (c) => stream(c.req.raw, c.get('access'), c.req.valid('query'), true),
  )
}

function diagnosisStream(
  machine: MachineApi,
  gate: Semaphore,
  options: Omit<Parameters<MachineApi['diagnose']>[0], 'onEvent'>,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  const gone = new AbortController()
  return new ReadableStream<Uint8Array>({
    start(controller) {
      const send = (event: string, data: unknown): void => {
        if (!gone.signal.aborted)
          controller.enqueue(encoder.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`))
      }
      const signal = AbortSignal.any([options.signal, gone.signal])
      const onEvent = (event: DoctorEvent): void => send('check', event)
      const beat = systemClock.every(heartbeatMs, () => {
        if (!gone.signal.aborted) controller.enqueue(encoder.encode(': still here\n\n'))
      })
      // A diagnosis is a few hundred small events: they wait for a slow reader in memory.
      void gate
        .through(() => machine.diagnose({ ...options, signal, onEvent }), signal)
        .then(
          (diagnosis) => send('diagnosis', diagnosis),
          (error: unknown) => send('failed', toNaruError(error).toJSON()),
        )
        .then(() => {
          beat[Symbol.dispose]()
          if (!gone.signal.aborted) controller.close()
        })
    },
    cancel: () => gone.abort(),
  })
}
