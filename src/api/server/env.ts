/** What a request knows of its connection and of who asks. */
import type { HttpBindings } from '@hono/node-server'
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Access } from '../protocol/wire.ts'

export interface Env {
  Bindings: HttpBindings
  /** `access` is what the request's token allows; all of it on the local socket. */
  Variables: { access: Access }
}

export type App = OpenAPIHono<Env>
