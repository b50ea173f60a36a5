/** The transport of the CLI: HTTP over a Unix socket or a Windows named pipe. No token: the socket's mode is the guard. */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { systemClock } from '../../base/clock.ts'
import { NaruError, errnoOf, messageOf } from '../../base/errors.ts'
import { asRoot } from '../../base/privilege.ts'
import { say, verbatim } from '../../base/text.ts'
import { errorFrom, type ClientTransport, type TransportRequest } from './client.ts'

export interface SocketOptions {
  readonly socketPath: string
  /** What the person calls this daemon, for errors: its file. */
  readonly file: string
  /** Without an answer for this long the daemon hangs. @default 150_000, longer than the slowest router */
  readonly limitMs?: number
}

/** An answer larger than this is not ours: 100,000 connections stay below it. */
const largestAnswer = 128 << 20

export function socketTransport({ socketPath, file, limitMs = 150_000 }: SocketOptions): ClientTransport {
  const where = file
  return {
    where,
    async ask(request) {
      const response = await send(request, { socketPath, file, limitMs })
      const text = await textOf(response, where)
      return { status: response.statusCode ?? 0, body: parsed(text) }
    },
    async *stream(request) {
      const response = await send(request, { socketPath, file, limitMs })
      if (response.statusCode !== 200)
        throw errorFrom(parsed(await textOf(response, where)), where, response.statusCode ?? 0)
      try {
        for await (const chunk of response) yield chunk as Uint8Array
      } catch (error) {
        if (request.signal?.aborted) return
        throw new NaruError('API_SILENT', { where, why: verbatim(messageOf(error)) }, { cause: error })
      } finally {
        response.destroy()
      }
    },
  }
}

function send(request: TransportRequest, options: Required<SocketOptions>): Promise<IncomingMessage> {
  const { socketPath, file, limitMs } = options
  const { method, path, signal } = request
  const body = request.body === undefined ? null : JSON.stringify(request.body)
  const headers = {
    host: 'localhost',
    ...request.headers,
    ...(body === null
      ? {}
      : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
  }
  return new Promise((resolve, reject) => {
    const call = httpRequest({
      socketPath,
      method,
      path,
      headers,
      agent: false,
      ...(signal ? { signal } : {}),
    })
    const limit = systemClock.after(limitMs, () => call.destroy(new Error(`no answer in ${limitMs} ms`)))
    call.once('response', (response) => {
      limit[Symbol.dispose]()
      resolve(response)
    })
    call.once('error', (error) => {
      limit[Symbol.dispose]()
      reject(whyNot(error, file, signal))
    })
    call.end(body ?? undefined)
  })
}

function whyNot(error: Error, file: string, signal: AbortSignal | undefined): NaruError {
  if (signal?.aborted) return new NaruError('ABORTED', { what: say('the request') }, { cause: error })
  const errno = errnoOf(error) ?? ''
  if (errno === 'ENOENT' || errno === 'ECONNREFUSED')
    return new NaruError('NOT_RUNNING', { file }, { cause: error })
  if (errno === 'EACCES' || errno === 'EPERM') {
    return new NaruError(
      'NOT_PERMITTED',
      {
        what: say`talk to the Naru of ${file}: another user runs it`,
        command: asRoot(['ls', '--config', file]),
      },
      { cause: error },
    )
  }
  return new NaruError('API_SILENT', { where: file, why: verbatim(error.message) }, { cause: error })
}

async function textOf(response: IncomingMessage, where: string): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > largestAnswer) throw new Error(`more than ${largestAnswer} bytes`)
      chunks.push(chunk)
    }
  } catch (error) {
    throw new NaruError('API_SILENT', { where, why: verbatim(messageOf(error)) }, { cause: error })
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
