/** What each route does, beside the schemas of what travels; the rest is the table of routes. The OpenAPI document is made from both. */
import { createRoute } from '@hono/zod-openapi'
import { NaruError } from '../../base/errors.ts'
import type { ChangeOptions, Happening, Naru } from '../../model/naru-api.ts'
import {
  AboutSchema,
  AddedRulesSchema,
  ChangeResultSchema,
  ConnectionSchema,
  NaruEventSchema,
  NewRulesSchema,
  PlanSchema,
  RuleInputSchema,
  RuleNameSchema,
  RuleStatusSchema,
  TrafficMomentSchema,
  z,
} from '../protocol/schemas.ts'
import { routes } from '../protocol/routes.ts'
import type { App } from './env.ts'
import { metricsOf, metricsType } from './metrics.ts'
import { answers, failure, json, rowOf } from './described.ts'
import { SharedAnswers } from './shared-answers.ts'
import { EventStreams } from './sse.ts'

export interface RouteOptions {
  /** Fires when the server closes: event streams end. */
  readonly closing: AbortSignal
  /** Where the page is, to fill `about().web`. */
  readonly web: () => string | null
}

const flag = z
  .enum(['true', 'false'])
  .optional()
  .transform((value) => value === 'true')

const named = z.object({ name: RuleNameSchema })
const revision = z.object({
  'if-match': z
    .string()
    .max(200)
    .optional()
    .openapi({ description: 'the revision you saw; another is a 409' }),
})
const change = z.object({ dryRun: flag })
const changeNow = z.object({ dryRun: flag, now: flag })

function body<T extends z.ZodType>(schema: T) {
  return { ...json(schema), required: true }
}

const changed = answers(routes.edit, ChangeResultSchema, 'what was done, and the rules after it')

export function addRoutes(app: App, naru: Naru, options: RouteOptions): void {
  const shared = new SharedAnswers()
  addState(app, naru, shared, options)
  addRules(app, naru, shared)
  addTraffic(app, naru, shared, options)
}

// oxlint-disable-next-line max-lines-per-function -- a table of routes
function addState(app: App, naru: Naru, shared: SharedAnswers, { web }: RouteOptions): void {
  app.openapi(
    createRoute({
      ...rowOf(routes.about),
      responses: answers(routes.about, AboutSchema, 'about'),
    }),
    async (c) => {
      const about = await naru.about()
      return c.json({ ...about, web: about.web ?? web() }, 200)
    },
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.planOfFile),
      responses: answers(routes.planOfFile, PlanSchema, 'plan'),
    }),
    async (c) => await shared.json(c, () => naru.plan()),
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.planOf),
      request: { body: body(z.object({ name: RuleNameSchema, rule: RuleInputSchema.nullable() })) },
      responses: answers(routes.planOf, PlanSchema, 'plan'),
    }),
    async (c) => {
      const { name, rule } = c.req.valid('json')
      return c.json(await naru.plan({ name, rule }), 200)
    },
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.reload),
      responses: changed,
    }),
    async (c) => c.json(await naru.reload(), 200),
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.stop),
      request: { query: z.object({ drain: flag }) },
      responses: answers(routes.stop, z.object({ stopping: z.boolean() }), 'stopped, or draining'),
    }),
    async (c) => {
      const { drain } = c.req.valid('query')
      const stopped = naru.stop({ drain })
      // Draining may outlast any request; whoever asked sees the socket go.
      if (drain) stopped.catch(() => {})
      else await stopped
      return c.json({ stopping: drain }, 200)
    },
  )
}

// oxlint-disable-next-line max-lines-per-function -- a table of routes
function addRules(app: App, naru: Naru, shared: SharedAnswers): void {
  app.openapi(
    createRoute({
      ...rowOf(routes.rules),
      responses: answers(
        routes.rules,
        z.object({ rules: z.array(RuleStatusSchema) }),
        'rules in the order of the file',
      ),
    }),
    async (c) => await shared.json(c, async () => ({ rules: await naru.rules.list() })),
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.rule),
      request: { params: named },
      responses: answers(routes.rule, RuleStatusSchema, 'rule'),
    }),
    async (c) => c.json(await naru.rules.get(c.req.valid('param').name), 200),
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.add),
      request: {
        query: change,
        headers: revision,
        body: body(z.object({ name: RuleNameSchema, rule: RuleInputSchema })),
      },
      responses: changed,
    }),
    async (c) => {
      const { name, rule } = c.req.valid('json')
      const options = changeOptions(c.req.valid('query'), c.req.valid('header'))
      return c.json(await naru.rules.add(name, rule, options), 200)
    },
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.addAll),
      request: { query: change, headers: revision, body: body(NewRulesSchema) },
      responses: answers(
        routes.addAll,
        AddedRulesSchema,
        'what became of each, in the order of what was asked',
      ),
    }),
    async (c) => {
      const options = changeOptions(c.req.valid('query'), c.req.valid('header'))
      return c.json(await naru.rules.addAll(c.req.valid('json').rules, options), 200)
    },
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.edit),
      request: { params: named, query: change, headers: revision, body: body(RuleInputSchema) },
      responses: changed,
    }),
    async (c) => {
      const options = changeOptions(c.req.valid('query'), c.req.valid('header'))
      return c.json(await naru.rules.edit(c.req.valid('param').name, c.req.valid('json'), options), 200)
    },
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.remove),
      request: { params: named, query: changeNow, headers: revision },
      responses: changed,
    }),
    async (c) => {
      const query = c.req.valid('query')
      const options = { ...changeOptions(query, c.req.valid('header')), now: query.now }
      return c.json(await naru.rules.remove(c.req.valid('param').name, options), 200)
    },
  )
  addSwitches(app, naru)
}

function addSwitches(app: App, naru: Naru): void {
  app.openapi(
    createRoute({
      ...rowOf(routes.enable),
      request: { params: named, query: change, headers: revision },
      responses: changed,
    }),
    async (c) => {
      const options = changeOptions(c.req.valid('query'), c.req.valid('header'))
      return c.json(await naru.rules.enable(c.req.valid('param').name, options), 200)
    },
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.disable),
      request: { params: named, query: changeNow, headers: revision },
      responses: changed,
    }),
    async (c) => {
      const query = c.req.valid('query')
      const options = { ...changeOptions(query, c.req.valid('header')), now: query.now }
      return c.json(await naru.rules.disable(c.req.valid('param').name, options), 200)
    },
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.rename),
      request: {
        params: named,
        query: change,
        headers: revision,
        body: body(z.object({ to: RuleNameSchema }).openapi('Rename')),
      },
      responses: changed,
    }),
    async (c) => {
      const options = changeOptions(c.req.valid('query'), c.req.valid('header'))
      const { name } = c.req.valid('param')
      return c.json(await naru.rules.rename(name, c.req.valid('json').to, options), 200)
    },
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.reopen),
      request: { params: named },
      responses: changed,
    }),
    async (c) => c.json(await naru.rules.reopen(c.req.valid('param').name), 200),
  )
}

function changeOptions(
  { dryRun }: { dryRun: boolean },
  { 'if-match': match }: { 'if-match'?: string | undefined },
): ChangeOptions {
  const revision = match?.replace(/^"(.*)"$/, '$1')
  return { dryRun, ...(revision === undefined || revision === '*' ? {} : { revision }) }
}

// oxlint-disable-next-line max-lines-per-function -- a table of routes
function addTraffic(app: App, naru: Naru, shared: SharedAnswers, { closing }: RouteOptions): void {
  const streams = new EventStreams(naru)
  app.openapi(
    createRoute({
      ...rowOf(routes.traffic),
      request: {
        query: z.object({ span: z.enum(['quarter', 'day']).optional(), rule: RuleNameSchema.optional() }),
      },
      responses: answers(routes.traffic, z.object({ moments: z.array(TrafficMomentSchema) }), 'moments'),
    }),
    async (c) => {
      const { span, rule } = c.req.valid('query')
      const options = { ...(span !== undefined && { span }), ...(rule !== undefined && { rule }) }
      return await shared.json(c, async () => ({ moments: await naru.traffic(options) }))
    },
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.happened),
      responses: answers(
        routes.happened,
        z.object({ happened: z.array(NaruEventSchema as unknown as z.ZodType<Happening>) }),
        'events',
      ),
    }),
    async (c) => await shared.json(c, async () => ({ happened: await naru.happened() })),
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.connections),
      request: {
        query: z.object({
          rule: RuleNameSchema.optional(),
          limit: z.coerce.number().int().min(1).max(100_000).optional(),
        }),
      },
      responses: answers(
        routes.connections,
        z.object({ connections: z.array(ConnectionSchema) }),
        'connections',
      ),
    }),
    async (c) => {
      const { rule, limit } = c.req.valid('query')
      const filter = { ...(rule === undefined ? {} : { rule }), ...(limit === undefined ? {} : { limit }) }
      return await shared.json(c, async () => ({ connections: await naru.connections(filter) }))
    },
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.cut),
      request: { params: z.object({ id: z.string().min(1).max(200) }) },
      responses: answers(routes.cut, z.object({ cut: z.boolean() }), 'it was cut'),
    }),
    async (c) => {
      const { id } = c.req.valid('param')
      if (!(await naru.cut(id))) throw new NaruError('CONNECTION_UNKNOWN', { id })
      return c.json({ cut: true }, 200)
    },
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.events),
      request: {
        query: z.object({ since: z.coerce.number().int().min(0).optional() }),
        headers: z.object({ 'last-event-id': z.string().max(64).optional() }),
      },
      responses: {
        200: { description: 'events', content: { 'text/event-stream': { schema: z.string() } } },
        default: failure,
      },
    }),
    async (c) => {
      const stream = await streams.open(c.get('access'), {
        lastKey: c.req.valid('header')['last-event-id'] ?? null,
        since: c.req.valid('query').since ?? null,
        signal: AbortSignal.any([closing, c.req.raw.signal]),
      })
      return new Response(stream, {
        headers: {
          'content-type': 'text/event-stream',
          'cache-control': 'no-store',
          'x-accel-buffering': 'no',
        },
      })
    },
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.metrics),
      responses: {
        200: { description: 'metrics', content: { 'text/plain': { schema: z.string() } } },
        default: failure,
      },
    }),
    async (c) =>
      await shared.answer(c, async () => ({
        body: encoder.encode(await metricsOf(naru)),
        type: metricsType,
      })),
  )
}

const encoder = new TextEncoder()
