import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { answered } from '../shared/patience.ts'
import { withQmp } from './qmp.ts'

const greeting = '{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": ["oob"]}}\r\n'
const signal = AbortSignal.timeout(10_000)
let folder: string
let server: Server | null = null

beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'naru-qmp-'))))
afterEach(() => {
  server?.close()
  rmSync(folder, { recursive: true, force: true })
})

async function serve(answer: (socket: Socket, line: string) => void, hello = greeting): Promise<string> {
  const path = join(folder, 'qmp')
  server = createServer((socket) => {
    socket.on('error', () => {})
    socket.write(hello)
    socket.on('data', (text: Buffer) =>
      text
        .toString()
        .split('\n')
        .filter(Boolean)
        .forEach((line) => answer(socket, line)),
    )
  }).listen(path)
  await once(server, 'listening')
  return path
}

const echoId = (socket: Socket, line: string, result: unknown): void => {
  const { id } = JSON.parse(line) as { id: number }
  socket.write(`${JSON.stringify({ return: result, id })}\r\n`)
}

it('answers come in pieces and between events', async () => {
  const path = await serve((socket, line) => {
    socket.write('{"timestamp": {"seconds": 1}, "event": "RTC_CHANGE", "data": {}}\r\n')
    const { id } = JSON.parse(line) as { id: number }
    const text = `${JSON.stringify({ return: 'first\r\nsecond', id })}\r\n`
    socket.write(text.slice(0, 9))
    setImmediate(() => socket.write(text.slice(9)))
  })
  expect(await withQmp(path, signal, (qmp) => qmp.monitor('info usernet'))).toBe('first\r\nsecond')
})

it('an error is QEMU’s refusal', async () => {
  const path = await serve((socket, line) => {
    if (line.includes('qmp_capabilities')) return echoId(socket, line, {})
    socket.write('{"error": {"class": "CommandNotFound", "desc": "The command nope has not been found"}}\r\n')
  })
  await expect(withQmp(path, signal, (qmp) => qmp.command('nope'))).rejects.toMatchObject({
    code: 'GUEST_REFUSED',
    message: expect.stringContaining('has not been found') as string,
  })
})

it.each([
  ['something else', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
  ['a greeting that is none', '{"return": {}, "id": 7}\r\n'],
])('%s is not believed', async (_what, hello) => {
  const path = await serve(() => {}, hello)
  await expect(withQmp(path, signal, (qmp) => qmp.command('x'))).rejects.toMatchObject({
    code: 'GUEST_UNREADABLE',
  })
})

it('one that ends while it is asked is named, however it lets go', async () => {
  const path = join(folder, 'qmp')
  const ask = (): Promise<unknown> =>
    answered((limit) => withQmp(path, limit, (qmp) => qmp.command('x')), {
      kind: 'qemu',
      where: `web, ${path}`,
      signal,
    })
  const gone = { code: 'GUEST_NOT_HERE', message: expect.stringContaining(`web, ${path}`) as string }
  await serve((socket) => socket.end())
  await expect(ask()).rejects.toMatchObject(gone)
  server?.close()
  rmSync(path, { force: true })
  // What the kernel does for a process that ends with a question unread: a reset.
  server = createServer({ pauseOnConnect: true }, (socket) => {
    socket.on('error', () => {})
    socket.write(greeting, () => setTimeout(() => socket.destroy(), 100))
  }).listen(path)
  await once(server, 'listening')
  await expect(ask()).rejects.toMatchObject(gone)
})

it('one that never stops is named', async () => {
  const endless = await serve((socket) => {
    const piece = 'x'.repeat(262_144)
    const pour = (): void => {
      while (!socket.destroyed && socket.write(piece));
    }
    socket.on('drain', pour)
    pour()
  })
  await expect(withQmp(endless, signal, (qmp) => qmp.command('x'))).rejects.toMatchObject({
    code: 'GUEST_UNREADABLE',
  })
})

it('nobody at the socket is nobody here', async () => {
  await expect(withQmp(join(folder, 'gone'), signal, (qmp) => qmp.command('x'))).rejects.toMatchObject({
    code: 'GUEST_NOT_HERE',
  })
})
