/** Forwards of other programs for the web page: what `naru import --dry-run` and `naru export` say. Nothing is changed. */
import { createRoute } from '@hono/zod-openapi'
import { exportFormats, importFormats, type Exchange } from '../../model/import-export.ts'
import type { Naru } from '../../model/naru-api.ts'
import { namedBeside } from '../../model/import-names.ts'
import { ErrorSchema, RuleNameSchema, z } from '../protocol/schemas.ts'
import { routes } from '../protocol/routes.ts'
import { mostImportText } from '../protocol/wire.ts'
import type { App } from './env.ts'
import { rowOf } from './described.ts'

const described = {
  200: {
    description: 'answer',
    content: {
      'application/json': { schema: z.any().openapi({ description: 'plain data, see docs/cli.md' }) },
    },
  },
  default: {
    description: 'what could not be done',
    content: { 'application/json': { schema: ErrorSchema } },
  },
}

const ImportSchema = z
  .object({
    text: z.string().max(mostImportText),
    file: z.string().max(200).optional().openapi({ description: 'named in errors' }),
    from: z.enum(importFormats).optional().openapi({ description: 'else told from the content' }),
  })
  .openapi('Import')

export function addExchangeRoutes(app: App, naru: Naru, exchange: Exchange): void {
  app.openapi(
    createRoute({
      ...rowOf(routes.import),
      request: { body: { content: { 'application/json': { schema: ImportSchema } }, required: true } },
      responses: described,
    }),
    async (c) => {
      const { text, file, from } = c.req.valid('json')
      const read = await exchange.read(text, { file: file ?? 'input', from: from ?? null })
      return c.json({ ...read, rules: namedBeside(read.rules, await naru.rules.list()) }, 200)
    },
  )
  app.openapi(
    createRoute({
      ...rowOf(routes.export),
      request: {
        params: z.object({ format: z.enum(exportFormats) }),
        query: z.object({ rule: RuleNameSchema.optional().openapi({ description: 'only this one' }) }),
      },
      responses: described,
    }),
    async (c) => {
      const { format } = c.req.valid('param')
      const { rule } = c.req.valid('query')
      const rules = rule === undefined ? await naru.rules.list() : [await naru.rules.get(rule)]
      return c.json(await exchange.write(format, rules), 200)
    },
  )
}
