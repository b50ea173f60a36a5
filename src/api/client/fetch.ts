/** The transport of the web page and of other programs: `fetch`, with a bearer token or the page's session. */
import { NaruError, messageOf } from '../../base/errors.ts'
import { say, verbatim } from '../../base/text.ts'
import { errorFrom, type ClientTransport, type TransportRequest } from './client.ts'

export interface FetchOptions {
  /** `http://127.0.0.1:6278`; empty in the page, whose requests go to where it came from. @default '' */
  readonly base?: string
  /** The token or a session, asked anew for each request. @default none */
  readonly token?: string | (() => string | null)
}

export function fetchTransport({ base = '', token }: FetchOptions = {}): ClientTransport {
  const where = base === '' ? 'Naru' : base
  const send = async (request: TransportRequest): Promise<Response> => {
    const { method, path, headers = {}, body, signal } = request
    const bearer = typeof token === 'function' ? token() : (token ?? null)
    try {
      return await fetch(base + path, {
        method,
        headers: {
          ...headers,
          ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        credentials: 'omit',
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal ? { signal } : {}),
      })
    } catch (error) {
      if (signal?.aborted) throw new NaruError('ABORTED', { what: say('the request') }, { cause: error })
      throw new NaruError('API_SILENT', { where, why: verbatim(messageOf(error)) }, { cause: error })
    }
  }
  return {
    where,
    async ask(request) {
      const response = await send(request)
      return { status: response.status, body: await bodyOf(response) }
    },
    async *stream(request) {
      const response = await send(request)
      if (!response.ok || response.body === null)
        throw errorFrom(await bodyOf(response), where, response.status)
      const reader = response.body.getReader()
      try {
        for (;;) {
          const { done, value } = await reader.read()
          if (done) return
          yield value
        }
      } catch (error) {
        if (request.signal?.aborted) return
        throw new NaruError('API_SILENT', { where, why: verbatim(messageOf(error)) }, { cause: error })
      } finally {
        await reader.cancel().catch(() => {})
      }
    },
  }
}

async function bodyOf(response: Response): Promise<unknown> {
  const text = await response.text().catch(() => '')
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
