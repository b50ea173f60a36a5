/** Rows of the table of routes as the OpenAPI library wants them. */
import type { AnswerOf, ApiRoute } from '../protocol/routes.ts'
import { ErrorSchema, type z } from '../protocol/schemas.ts'

export function rowOf<R extends ApiRoute>({
  method,
  path,
  summary,
}: R): Pick<R, 'method' | 'path' | 'summary'> {
  return { method, path, summary }
}

export function json<T extends z.ZodType>(schema: T): { content: { 'application/json': { schema: T } } } {
  return { content: { 'application/json': { schema } } }
}

export const failure = { ...json(ErrorSchema), description: 'what could not be done, why, and the next step' }

/** @param schema of what the table says that the route answers */
export function answers<R extends ApiRoute, T extends z.ZodType<AnswerOf<R>>>(
  _route: R,
  schema: T,
  description: string,
) {
  return { 200: { ...json(schema), description }, default: failure }
}
