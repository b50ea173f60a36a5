/** A small page to forward to, on loopback: the first rule of a new user works without a service of their own. */
import { createServer, type IncomingMessage } from 'node:http'

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

function clientOf({ socket }: IncomingMessage): string {
  return `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`
}
