/**
 * The names and numbers both ends of the API agree on. Plain constants, so that the CLI and the web page can import
 * them without paying for the schemas.
 */

/** N-A-R-U on a phone's keys. */
export const defaultPort = 6278
export const defaultAddress = '127.0.0.1'

/** A request body may be this large; a file of ten thousand rules is not. */
export const bodyLimitBytes = 1 << 20

/** Rules that are added by one request; a client that has more asks again. */
export const mostAdded = 1000

/** Characters of a file that the page sends to be imported: its JSON fits into a body. */
export const mostImportText = 400_000

/** A comment line is sent over an idle event stream this often, so that both ends notice a dead one. */
export const heartbeatMs = 15_000

/** Names an event over restarts of the daemon: `STARTED.ID`, as sent in the SSE `id` field. */
export function eventKey(startedAt: number, id: number): string {
  return `${startedAt}.${id}`
}

export function parseEventKey(key: string): { startedAt: number; id: number } | null {
  const match = /^(\d{1,16})\.(\d{1,16})$/.exec(key)
  return match ? { startedAt: Number(match[1]), id: Number(match[2]) } : null
}

/** `now=true`-style query of a request; undefined and false are left out. */
export function queryOf(fields: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(fields))
    if (value !== undefined && value !== false) query.set(name, String(value))
  const text = query.toString()
  return text === '' ? '' : `?${text}`
}

/** What a token may do. */
export type Access = 'full' | 'read'

export interface WebSession {
  readonly access: Access
  /** Login link, good until Naru ends; told over the local socket only. */
  readonly loginUrl: string | null
  readonly readOnlyUrl: string | null
}

/** What the page gets for a token. */
export interface Login {
  readonly access: Access
  /** Sent as `Authorization: Bearer …` from then on; it does not tell the token, and ends with this Naru. */
  readonly session: string
  /** Shows a later Naru who comes back; for the page's memory alone. */
  readonly secret: string
}

/** What a page is shown that comes back, before it shows anything itself. */
export interface ReturnOffer {
  readonly at: string
  readonly naruNonce: string
  readonly proof: string
}
