/** A small page to forward to, on loopback: the first rule of a new user works without a service of their own. */
import { createServer, type IncomingMessage } from 'node:http'
import { formatEndpoint } from '../base/address.ts'
import { systemClock, type Clock } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { say } from '../base/text.ts'
import type { RuleStatus } from '../model/naru-api.ts'
import { parseListen } from '../model/listen.ts'
import { formatTarget } from '../model/target.ts'

const page = (client: string): string => `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Naru</title>
<style>body{font:1.1rem/1.6 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem;color:#123}code{background:#eef;padding:.1em .3em;border-radius:.2em}</style>
<h1>The ferry runs. 나루가 열렸습니다.</h1>
<p>You reached this page through a port that Naru forwards. It saw you as <code>${client}</code>.</p>
<p>이 페이지는 Naru가 전달한 포트를 지나 도착했습니다.</p>
<p>Next: <code>naru add web 8080 192.168.79.128:80</code></p>
</html>
`

/** @throws Error where the port is taken; the page is no reason to fail for. */
export async function serveSample(port: number): Promise<AsyncDisposable> {
  const server = createServer({ requestTimeout: 10_000, keepAliveTimeout: 5000 }, (request, response) => {
    const body = page(clientOf(request))
    response.writeHead(200, {
      'content-type': 'text/html; charset=utf-8',
      'content-length': Buffer.byteLength(body),
    })
    response.end(request.method === 'HEAD' ? undefined : body)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  server.unref()
  return {
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** How soon the page follows the file, and a port that another program has let go. */
const lookEveryMs = 2000

/**
 * Serves the page while `wanted` names a port, until disposed. A port that another program keeps is told of once, and
 * tried again in silence.
 */
export async function followSample(
  wanted: () => number | null,
  { log, clock = systemClock }: { readonly log: Log; readonly clock?: Pick<Clock, 'every'> },
): Promise<AsyncDisposable> {
  let serving: { port: number; page: AsyncDisposable } | null = null
  let refused: number | null = null
  const follow = async (): Promise<void> => {
    const port = wanted()
    if (port === (serving?.port ?? null)) return
    await serving?.page[Symbol.asyncDispose]()
    serving = null
    try {
      if (port !== null) serving = { port, page: await serveSample(port) }
      refused = null
    } catch (error) {
      if (port === refused) return
      refused = port
      const why = messageOf(error)
      log.warn({ port }, say`the sample page cannot be served: ${why}`)
    }
  }
  await follow()
  const timer = clock.every(lookEveryMs, () => void follow())
  return {
    async [Symbol.asyncDispose]() {
      timer[Symbol.dispose]()
      await serving?.page[Symbol.asyncDispose]()
    },
  }
}

/** Where a browser on this machine sees the page through a rule that is open; null where no rule leads to it. */
export function sampleUrl(rules: readonly RuleStatus[], port: number | null): string | null {
  if (port === null) return null
  const page = formatTarget({ kind: 'inet', host: '127.0.0.1', ports: { first: port, last: port } })
  for (const { state, listen: text, targets } of rules) {
    const listen = parseListen(text)
    if (state !== 'open' || listen.kind !== 'inet' || !targets.includes(page)) continue
    const any = listen.address === null || listen.address === '0.0.0.0' || listen.address === '::'
    return `http://${formatEndpoint(any ? '127.0.0.1' : listen.address, listen.ports.first)}/`
  }
  return null
}

function clientOf({ socket }: IncomingMessage): string {
  return `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`
}
