/** What the API takes and who may ask, as lines that can be compared: of the document that a running Naru serves. */
import { routes, type ApiRoute } from '../../src/api/protocol/routes.ts'

interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: Schema | boolean
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
}

interface Media {
  readonly content?: { readonly 'application/json'?: { readonly schema: Schema } }
}

interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required?: boolean }[]
  readonly requestBody?: Media
  readonly responses?: Readonly<Record<string, Media>>
}

/** Of an OpenAPI 3.1 document what is read here. */
export interface ApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

/** `GET /api/rules look`, `GET /api/rules answers .rules[] Rule`, `POST … takes .name (required)`, `Rule .hops[].state (required)`. */
export function routesOf({ paths, components }: ApiDocument): string[] {
  const table: readonly ApiRoute[] = Object.values(routes)
  const asked = table.flatMap(({ method, path, right }) => {
    const name = `${method.toUpperCase()} ${path}`
    const { parameters = [], requestBody, responses = {} } = paths[path]?.[method] ?? {}
    return [
      `${name} ${right}`,
      ...parameters.map((one) => `${name} ${one.in} ${one.name}${one.required ? ' (required)' : ''}`),
      ...keysOf(requestBody).map((key) => `${name} takes ${key}`),
      ...keysOf(responses['200']).map((key) => `${name} answers ${key}`),
    ]
  })
  const shapes = Object.entries(components.schemas).flatMap(([name, schema]) =>
    walk(schema, '').map((key) => `${name} ${key}`),
  )
  return [...new Set([...asked, ...shapes])]
}

function keysOf(media: Media | undefined): string[] {
  const schema = media?.content?.['application/json']?.schema
  return schema ? walk(schema, '') : []
}

/** A shape that has a name is told by its name. */
function walk(schema: Schema, path: string): string[] {
  const { $ref, properties = {}, required = [], additionalProperties: rest, items } = schema
  if ($ref !== undefined) return [`${path || '.'} ${$ref.slice($ref.lastIndexOf('/') + 1)}`]
  const alternatives = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])]
  return [
    ...Object.entries(properties).flatMap(([key, one]) => [
      `${path}.${key}${required.includes(key) ? ' (required)' : ''}`,
      ...walk(one, `${path}.${key}`),
    ]),
    ...(typeof rest === 'object' ? walk(rest, `${path}.{}`) : []),
    ...(items ? walk(items, `${path}[]`) : []),
    ...alternatives.flatMap((one) => walk(one, path)),
  ]
}
