/**
 * What travels, as zod schemas: requests are checked against them, and the OpenAPI document is made from them. The
 * types are those of `model/naru-api`; the compiler holds both equal.
 */
import { z } from '@hono/zod-openapi'
import { closeReasons, type CloseReason, type Connection, type Counters } from '../../model/connection.ts'
import type {
  About,
  AddedRules,
  ChangeResult,
  HopStatus,
  NaruEvent,
  RuleAddress,
  RuleStatus,
  TrafficMoment,
  TrafficSample,
} from '../../model/naru-api.ts'
import { hops, type Json } from '../../model/hop.ts'
import type { NaruErrorJson } from '../../base/errors.ts'
import type { Text } from '../../base/text.ts'
import type { Plan } from '../../model/plan.ts'
import { makers, type RouterSteps } from '../../model/router-steps.ts'
import { mostAdded, type WebSession } from './wire.ts'

const count = z.int().min(0)
const timeMs = z.number().openapi({ description: 'milliseconds since the Unix epoch' })
const json = z.any().openapi({ description: 'any JSON' }) as unknown as z.ZodType<Json>

const TextSchema: z.ZodType<Text> = z.object({ en: z.string(), ko: z.string() }).openapi('Text')

export const RuleNameSchema = z
  .string()
  .min(1)
  .max(128)
  .openapi({ description: 'name of a rule', example: 'iis' })

/** The file's schema decides which keys; here it is an object of bounded width and depth. */
export const RuleInputSchema = z
  .record(z.string().max(64), json)
  .refine((rule) => Object.keys(rule).length <= 64, { error: 'at most 64 keys' })
  .refine((rule) => isShallow(rule, 8), { error: 'at most 8 levels deep' })
  .openapi('RuleInput', {
    description: 'a rule with the keys of the file',
    example: { listen: 8888, target: '192.168.79.128:80' },
  })

function isShallow(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  return levels > 0 && Object.values(value).every((one) => isShallow(one, levels - 1))
}

export const ErrorSchema: z.ZodType<NaruErrorJson> = z
  .object({
    code: z.string().openapi({ example: 'RULE_UNKNOWN' }),
    message: TextSchema,
    fix: TextSchema.nullable(),
    details: z.record(z.string(), z.union([z.string(), z.number(), TextSchema])),
    problems: z
      .array(z.object({ path: z.string(), text: TextSchema }))
      .optional()
      .openapi({ description: 'each key of a rule that is wrong, such as publish.externalPort' }),
    left: z
      .array(TextSchema)
      .optional()
      .openapi({ description: 'what is still in force, as it could not be undone' }),
  })
  .openapi('Error')

export const AboutSchema: z.ZodType<About> = z
  .object({
    version: z.string(),
    pid: z.int(),
    file: z.string().nullable(),
    startedAt: timeMs,
    revision: z.string(),
    web: z.string().nullable(),
    fileProblem: ErrorSchema.nullable(),
  })
  .openapi('About')

export const SessionSchema: z.ZodType<WebSession> = z
  .object({
    access: z.enum(['full', 'read']),
    loginUrl: z.string().nullable(),
    readOnlyUrl: z.string().nullable(),
  })
  .openapi('Session')

const CloseReasonSchema = z.enum(Object.keys(closeReasons) as [CloseReason, ...CloseReason[]])

const CountersSchema: z.ZodType<Counters> = z
  .object({
    open: count,
    offloaded: count,
    opened: count,
    closed: z.partialRecord(CloseReasonSchema, count),
    bytesToTarget: count,
    bytesToClient: count,
    datagramsToTarget: count,
    datagramsToClient: count,
    datagramsLost: count,
  })
  .openapi('Counters')

const RateSchema = z.object({ toTarget: z.number(), toClient: z.number() }).openapi('Rate', {
  description: 'bytes a second over the last seconds',
})

const HopStatusSchema: z.ZodType<HopStatus> = z
  .object({
    hop: z.enum(hops),
    member: z.string().nullable(),
    state: z.enum(['ok', 'opening', 'warning', 'broken', 'off']),
    text: TextSchema,
    notes: z.array(TextSchema),
    data: json,
    problem: z.string().nullable().optional(),
    checkedAt: timeMs.nullable(),
  })
  .openapi('HopStatus')

const RuleAddressSchema: z.ZodType<RuleAddress> = z
  .object({ scope: z.enum(['machine', 'lan', 'internet']), text: z.string() })
  .openapi('RuleAddress')

const RouterStepsSchema: z.ZodType<RouterSteps> = z
  .object({
    maker: z.enum(makers),
    url: z.string(),
    path: TextSchema,
    rows: z.array(z.array(z.object({ label: TextSchema, value: z.string() }))),
    notes: z.array(TextSchema),
  })
  .openapi('RouterSteps')

export const RuleStatusSchema: z.ZodType<RuleStatus> = z
  .object({
    name: z.string(),
    rule: RuleInputSchema,
    kept: ErrorSchema.optional().openapi({
      description:
        'why what the file says could not be: the rule goes on as it was; listen and targets are as it runs',
    }),
    listen: z.string(),
    targets: z.array(z.string()),
    state: z.enum(['open', 'opening', 'degraded', 'failed', 'disabled', 'draining', 'expired', 'stopped']),
    service: z.enum(['untried', 'ok', 'silent']).openapi({
      description:
        'untried: nobody has looked at its targets yet; silent: they do not answer; ok: nothing is wrong with them, as far as can be told by asking',
    }),
    engine: z.object({ id: z.string(), why: TextSchema, brief: TextSchema }).nullable().openapi({
      description: 'why tells also why engines that are preferred cannot carry it; brief leaves those out',
    }),
    hops: z.array(HopStatusSchema),
    counters: CountersSchema,
    rate: RateSchema,
    until: timeMs.nullable(),
    addresses: z.array(RuleAddressSchema).openapi({ description: 'what to give to others, nearest first' }),
    byHand: RouterStepsSchema.nullable().openapi({
      description: 'what to type on the router’s own page while it opens nothing by itself',
    }),
  })
  .openapi('RuleStatus')

export const PlanSchema: z.ZodType<Plan> = z
  .object({
    steps: z.array(
      z.object({
        rule: z.string(),
        hop: z.enum(hops),
        member: z.string().nullable(),
        action: z.enum(['open', 'update', 'keep', 'close']),
        what: TextSchema,
        why: TextSchema,
        needs: z.object({ text: TextSchema, command: z.string() }).nullable(),
      }),
    ),
    notes: z.array(
      z.object({
        en: z.string(),
        ko: z.string(),
        rule: z.string().optional(),
        what: TextSchema.optional().openapi({ description: 'without the name of the rule' }),
      }),
    ),
  })
  .openapi('Plan')

export const ChangeResultSchema: z.ZodType<ChangeResult> = z
  .object({
    plan: PlanSchema,
    rules: z.array(RuleStatusSchema),
    failures: z.array(ErrorSchema),
    revision: z.string(),
  })
  .openapi('ChangeResult')

export const NewRulesSchema = z
  .object({ rules: z.array(z.object({ name: RuleNameSchema, rule: RuleInputSchema })).max(mostAdded) })
  .openapi('NewRules')

export const AddedRulesSchema: z.ZodType<AddedRules> = z
  .object({
    rules: z.array(
      z.object({
        name: z.string(),
        added: z.boolean().openapi({ description: 'it is in the file now; with dryRun, it would be' }),
        problem: ErrorSchema.nullable().openapi({
          description: 'why it was refused; of one that was added, what of it could not be done',
        }),
      }),
    ),
    notes: z.array(TextSchema),
    revision: z.string(),
  })
  .openapi('AddedRules')

export const ConnectionSchema: z.ZodType<Connection> = z
  .object({
    id: z.string(),
    rule: z.string(),
    engine: z.string(),
    protocol: z.enum(['tcp', 'udp', 'unix']),
    client: z.string(),
    listen: z.string(),
    target: z.string().nullable(),
    openedAt: timeMs,
    bytesToTarget: count,
    bytesToClient: count,
    state: z.enum(['dialling', 'open', 'half-closed', 'closed']),
    closedAt: timeMs.nullable(),
    closeReason: CloseReasonSchema.nullable(),
  })
  .openapi('Connection')

const TrafficSampleSchema: z.ZodType<TrafficSample> = z
  .object({ name: z.string(), counters: CountersSchema, rate: RateSchema })
  .openapi('TrafficSample')

const FlowSchema = z
  .tuple([z.number(), z.number(), count])
  .openapi({ description: 'bytes a second to the target and to the client, connections open' })

export const TrafficMomentSchema: z.ZodType<TrafficMoment> = z
  .object({ at: timeMs, all: FlowSchema, rules: z.record(z.string(), FlowSchema) })
  .openapi('TrafficMoment')

const event = { id: z.int(), at: timeMs }

export const NaruEventSchema: z.ZodType<NaruEvent> = z
  .union([
    z.object({ ...event, type: z.literal('rule'), rule: RuleStatusSchema }),
    z.object({
      ...event,
      type: z.literal('rule-removed'),
      name: z.string(),
      renamedTo: z.string().optional(),
    }),
    z.object({ ...event, type: z.literal('hop'), rule: z.string(), status: HopStatusSchema }),
    z.object({ ...event, type: z.enum(['opened', 'closed']), connection: ConnectionSchema }),
    z.object({
      ...event,
      type: z.literal('refused'),
      rule: z.string(),
      client: z.string(),
      reason: z.string(),
    }),
    z.object({ ...event, type: z.literal('traffic'), rules: z.array(TrafficSampleSchema) }),
    z.object({ ...event, type: z.literal('file'), problem: ErrorSchema.nullable() }),
    z.object({
      ...event,
      type: z.literal('log'),
      level: z.enum(['info', 'warn', 'error']),
      rule: z.string().nullable(),
      text: TextSchema,
    }),
    z.object({ ...event, type: z.literal('gap') }),
  ])
  .openapi('Event')

export { z }
