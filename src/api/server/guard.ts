/**
 * Who may ask. A request to the TCP side must name this machine by address (no DNS rebinding), must not come from
 * another site's page (no CSRF), and must carry a token. Nothing here reads a body.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'
import { NaruError } from '../../base/errors.ts'
import { routes } from '../protocol/routes.ts'
import type { Access, Login } from '../protocol/wire.ts'

export interface Tokens {
  readonly token: string
  readonly readToken: string
  /** Of this hold of the port: links and sessions are made with it, and end with it. */
  readonly pageKey: string
}

export interface AskedFor {
  readonly method: string
  readonly path: string
  header(name: string): string | undefined
  /** Of the address. */
  query(name: string): string | undefined
}

/** 256 bits of chance, safe in a URL. */
export function newToken(): string {
  return randomBytes(32).toString('base64url')
}

/**
 * A page of another site reaches us under that site's name once its DNS points here; the browser then sends that
 * name as Host. So names are refused: an address literal cannot be rebound, nor can `localhost` (RFC 6761 §6.3).
 * @throws NaruError API_FOREIGN
 */
export function checkHost(asked: AskedFor): void {
  const host = asked.header('host') ?? ''
  if (!/^(?:localhost|[\d.]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i.test(host) || !isLocalName(host))
    throw new NaruError('API_FOREIGN', { what: `Host: ${host.slice(0, 100)}` })
}

function isLocalName(host: string): boolean {
  const name = host
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
    .toLowerCase()
  return name === 'localhost' || isIP(name) !== 0
}

/**
 * A page served from another origin - another port of this machine, too - may not ask: its requests carry an Origin
 * that is not ours, or say `Sec-Fetch-Site`. A link from elsewhere may open the page itself.
 * @throws NaruError API_FOREIGN
 */
export function checkOrigin(asked: AskedFor): void {
  const origin = asked.header('origin')
  if (origin !== undefined && origin !== `http://${asked.header('host')}`)
    throw new NaruError('API_FOREIGN', { what: `Origin: ${origin.slice(0, 100)}` })
  const site = asked.header('sec-fetch-site')
  if (site === undefined || site === 'same-origin' || site === 'none') return
  if (asked.method === 'GET' && asked.header('sec-fetch-mode') === 'navigate' && !isApi(asked.path)) return
  throw new NaruError('API_FOREIGN', { what: `Sec-Fetch-Site: ${site.slice(0, 100)}` })
}

export function isApi(path: string): boolean {
  return path === '/metrics' || path === '/api' || path.startsWith('/api/')
}

/** What a connection has shown last, and what it is worth: the same words again are not hashed again. */
export type Shown = WeakMap<object, { readonly authorization: string; readonly access: Access }>

/**
 * @param shown and whose connection it is: what that one has shown itself tells it nothing by how long it takes
 * @returns what the request may do. @throws NaruError API_NO_TOKEN, API_READ_ONLY
 */
export function checkToken(
  asked: AskedFor,
  tokens: Tokens,
  shown?: { readonly by: object; readonly before: Shown },
): Access {
  const authorization = asked.header('authorization') ?? ''
  const before = shown?.before.get(shown.by)
  const access = before?.authorization === authorization ? before.access : accessOf(authorization, tokens)
  if (shown && access !== null) shown.before.set(shown.by, { authorization, access })
  if (access === null) throw new NaruError('API_NO_TOKEN', {})
  if (access === 'read' && !isLook(asked)) throw new NaruError('API_READ_ONLY', {})
  return access
}

/** Asked by POST, and yet they change nothing. */
const looks: ReadonlySet<string> = new Set(
  Object.values(routes).flatMap(({ method, path, right }) =>
    method === 'post' && right !== 'full' ? [path] : [],
  ),
)

/**
 * Looks change nothing, and make this machine ask nobody whom the rules do not name: a plan of a rule that is not in
 * the file asks for its names, and so do the doctor's names; its `about` with an address would dial there. Nor is
 * the internet asked.
 */
function isLook(asked: AskedFor): boolean {
  if (asked.method !== 'GET' && asked.method !== 'HEAD') return looks.has(asked.path)
  if (asked.query('internet') === 'true') return false
  if (asked.path !== routes.doctor.path) return true
  return asked.query('names') === undefined && !asked.query('about')?.includes(':')
}

/**
 * By the token or by a session made from it, in the Authorization header alone. A cookie would be sent to every port
 * of this address (RFC 6265 §8.5), and so to any service behind one of our own forwards.
 */
function accessOf(authorization: string, tokens: Tokens): Access | null {
  const bearer = /^Bearer +(\S{1,200})$/i.exec(authorization)?.[1]
  if (bearer === undefined) return null
  return accessOfBearer(bearer, tokens)
}

export function accessOfBearer(bearer: string, tokens: Tokens): Access | null {
  return accessOfToken(bearer, tokens) ?? accessOfSession(bearer, tokens)
}

function accessOfToken(token: string, tokens: Tokens): Access | null {
  if (same(token, tokens.token)) return 'full'
  return same(token, tokens.readToken) ? 'read' : null
}

function accessOfSession(session: string, tokens: Tokens): Access | null {
  if (same(session, sessionOf(tokens.token, tokens))) return 'full'
  return same(session, sessionOf(tokens.readToken, tokens)) ? 'read' : null
}

/**
 * What links carry and the page keeps in place of the token, in the storage of its own origin, which has a port. While
 * no Naru holds that port anybody of this machine may, is asked with the session by a page that was left open, and
 * reads that storage as the same origin. So it is of no use to whoever held the port in between.
 */
export function sessionOf(token: string, { pageKey }: Pick<Tokens, 'pageKey'>): string {
  return createHmac('sha256', token).update(`naru session ${pageKey}`).digest('base64url')
}

/** For a token or a session: the session, also for a page that is loaded anew. */
export function loginOf(access: Access, tokens: Tokens): Login {
  const token = access === 'full' ? tokens.token : tokens.readToken
  return { access, session: sessionOf(token, tokens), secret: secretOf(token) }
}

/** What a page keeps in its memory alone, where no page of another owner of the port finds it. */
export function secretOf(token: string): string {
  return createHmac('sha256', token).update('naru page').digest('base64url')
}

/** In constant time, whatever the lengths. */
export function same(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
