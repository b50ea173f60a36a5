/**
 * QEMU's machine protocol, as far as it is needed: a greeting, the capabilities, commands in order, one JSON object a
 * line. QEMU serves one client at a time, so a connection is as short as its commands. What it sends is bounded.
 * Source: QEMU, docs/interop/qmp-spec.rst.
 */
import { createConnection, type Socket } from 'node:net'
import { z } from 'zod'
import { NaruError } from '../../base/errors.ts'
import { say, sayOf, verbatim } from '../../base/text.ts'
import { HungUp } from '../shared/patience.ts'

/** `query-rx-filter` lists 4096 VLANs in 25 KB; nothing we ask is longer than a forward table. */
const longestAnswer = 4 * 1024 * 1024

const Message = z.union([
  z.object({ QMP: z.looseObject({}) }),
  z.object({ return: z.unknown(), id: z.number() }),
  z.object({ error: z.object({ class: z.string(), desc: z.string() }), id: z.number().optional() }),
  z.object({ event: z.string() }),
])
type Message = z.infer<typeof Message>

export interface Qmp {
  command(execute: string, args?: object): Promise<unknown>
  /** A command of the human monitor. Its failures come back as text of a successful answer. */
  monitor(line: string): Promise<string>
}

/**
 * Connects to the socket at `path`, hands out the commands, and hangs up.
 * @throws NaruError GUEST_NOT_HERE, GUEST_UNREADABLE, GUEST_REFUSED; HungUp, or Error ECONNRESET or EPIPE, where QEMU
 * ended meanwhile; the signal's reason
 */
export async function withQmp<T>(
  path: string,
  signal: AbortSignal,
  use: (qmp: Qmp) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  const socket = createConnection({ path })
  const stop = (): void => void socket.destroy(signal.reason as Error)
  signal.addEventListener('abort', stop, { once: true })
  try {
    const messages = readMessages(socket, path)
    if (!('QMP' in (await next(messages)))) throw unreadable(path, 'it did not greet')
    let id = 0
    const command = async (execute: string, args: object = {}): Promise<unknown> => {
      socket.write(`${JSON.stringify({ execute, arguments: args, id: ++id })}\n`)
      return answerTo(id, execute, messages)
    }
    await command('qmp_capabilities')
    return await use({
      command,
      monitor: async (line) =>
        z.string().parse(await command('human-monitor-command', { 'command-line': line })),
    })
  } catch (error) {
    throw signal.aborted ? signal.reason : notHere(error, path)
  } finally {
    signal.removeEventListener('abort', stop)
    socket.destroy()
  }
}

async function answerTo(id: number, execute: string, messages: AsyncIterator<Message>): Promise<unknown> {
  for (;;) {
    const message = await next(messages)
    if ('return' in message && message.id === id) return message.return
    if ('error' in message)
      throw new NaruError('GUEST_REFUSED', {
        kind: 'qemu',
        what: execute,
        why: verbatim(message.error.desc),
      })
  }
}

async function next(messages: AsyncIterator<Message>): Promise<Message> {
  const { value, done } = await messages.next()
  if (done) throw new HungUp()
  return value
}

async function* readMessages(socket: Socket, path: string): AsyncGenerator<Message> {
  const text = new TextDecoder()
  // A line that comes in many pieces is put together once, when its end is there.
  let pending: string[] = []
  let read = 0
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    read += chunk.length
    if (read > longestAnswer) throw unreadable(path, `it sent more than ${longestAnswer} bytes`)
    const pieces = text.decode(chunk, { stream: true }).split('\n')
    for (const [index, piece] of pieces.entries()) {
      if (index > 0) {
        const line = pending.join('')
        pending = []
        if (line.trim() !== '') yield parseMessage(line, path)
      }
      pending.push(piece)
    }
  }
}

/** @throws NaruError GUEST_UNREADABLE */
export function parseMessage(line: string, path: string): Message {
  try {
    return Message.parse(JSON.parse(line))
  } catch (error) {
    throw unreadable(path, 'that is no QMP', error)
  }
}

function unreadable(where: string, why: string, cause?: unknown): NaruError {
  return new NaruError('GUEST_UNREADABLE', { kind: 'qemu', where, why }, { cause })
}

function notHere(error: unknown, path: string): unknown {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'EACCES' || code === 'EPERM')
    return new NaruError(
      'NOT_PERMITTED',
      {
        what: say`talk to QEMU at ${path}`,
        command: `sudo setfacl -m u:$USER:rw ${path}`,
      },
      { cause: error },
    )
  if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTSOCK')
    return new NaruError(
      'GUEST_NOT_HERE',
      {
        kind: 'qemu',
        why: sayOf('program')`nobody answers at ${path}`,
      },
      { cause: error },
    )
  return error
}
