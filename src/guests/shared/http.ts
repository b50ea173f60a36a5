/**
 * Asks a hypervisor's HTTP API, over TCP or a Unix socket: bounded in time by the signal and in size here. What comes
 * back is the status and parsed JSON; whether a status is an error is the caller's to know.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { Json } from '../../model/hop.ts'

export interface HttpPlace {
  /** A Unix socket or a Windows pipe; or an address. */
  readonly at: { readonly socketPath: string } | { readonly host: string; readonly port: number }
  readonly headers?: Readonly<Record<string, string>>
}

export interface HttpAnswer {
  readonly status: number
  /** Null where the body was empty. */
  readonly body: Json
}

/** A machine with a thousand containers answers with about 3 MB. */
const longestBody = 16 * 1024 * 1024

/** @throws Error of node:net, SyntaxError where the body is no JSON, RangeError where it is over 16 MiB */
export async function askHttp(
  place: HttpPlace,
  method: 'GET' | 'PUT' | 'POST' | 'DELETE',
  path: string,
  { signal, body }: { signal: AbortSignal; body?: string },
): Promise<HttpAnswer> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = httpRequest(
      { ...place.at, method, path, headers: { host: 'localhost', ...place.headers }, agent: false, signal },
      resolve,
    )
    request.once('error', reject)
    request.end(body)
  })
  const text = await readAll(response)
  return { status: response.statusCode ?? 0, body: text === '' ? null : (JSON.parse(text) as Json) }
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > longestBody) {
      response.destroy()
      throw new RangeError(`the answer is longer than ${longestBody} bytes`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8').trim()
}
