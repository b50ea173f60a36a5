/** `naru ports --watch` on a real pseudo-terminal (script(1)), off one, and what it makes of changes. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { built } from '../../../test/built.ts'
import { describeWith } from '../../../test/needs.ts'
import type { PortRow } from '../../model/machine.ts'
import { portChanges } from './port-changes.ts'

const main = join(import.meta.dirname, '../../../dist/main.js')

/** A running command and all that it has written. */
class Running {
  readonly #child: ChildProcess
  #text = ''
  #read = 0

  constructor(command: string, args: readonly string[]) {
    const { NO_COLOR: _, FORCE_COLOR: __, ...env } = process.env
    this.#child = spawn(command, args, { env: { ...env, TERM: 'xterm', NARU_STATE: '/nonexistent/naru' } })
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (chunk: Buffer) => (this.#text += chunk.toString()))
  }

  /** Waits until `words` stand in what was written since the last wait. @returns all from there */
  async until(words: string | RegExp): Promise<string> {
    const limit = AbortSignal.timeout(20_000)
    for (;;) {
      const fresh = this.#text.slice(this.#read)
      const at = typeof words === 'string' ? fresh.indexOf(words) : fresh.search(words)
      if (at >= 0) {
        this.#read += at
        return fresh.slice(at)
      }
      if (limit.aborted) throw new Error(`waited in vain for ${String(words)}: ${fresh.slice(-2000)}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  press(keys: string): void {
    this.#child.stdin?.write(keys)
  }

  async ended(): Promise<{ code: number | null; text: string }> {
    if (this.#child.exitCode === null) await once(this.#child, 'close')
    return { code: this.#child.exitCode, text: this.#text }
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }
}

/** Twenty lines of a hundred columns; what the terminal is set to afterwards stands at the end. */
const onTerminal = (words: string): Running =>
  new Running('script', [
    '-qefc',
    `stty rows 20 cols 100; ${process.execPath} ${main} ports --watch ${words}; echo "left $?"; stty -a`,
    '/dev/null',
  ])

/** Nobody else's, so that other tests' ports neither come nor go. */
const here = `127.77.${(process.pid >> 8) & 255}.${process.pid & 255}`
const servers: Server[] = []
async function listen(): Promise<{ port: number; close: () => void }> {
  const server = createServer().listen(0, here)
  servers.push(server)
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, close: () => server.close() }
}

describeWith({ platform: 'linux', commands: ['script', 'stty'] }, 'naru ports --watch', () => {
  beforeAll(() => built())
  afterEach(() => {
    for (const server of servers.splice(0)) server.close()
  })

  for (const [lang, quit] of [
    ['en', 'q'],
    ['ko', '\u0003'],
  ] as const)
    it(
      `marks what comes and goes on a terminal, and gives it back (${lang})`,
      { timeout: 60_000 },
      async () => {
        const words = { en: ['sockets', 'by process', 'q quit'], ko: ['소켓', '정렬: process', 'q 종료'] }[
          lang
        ]
        const naru = onTerminal(`--find ${here} --lang ${lang}`)
        expect(await naru.until('\u001B[?1049h\u001B[?25l')).toBeTruthy()
        await naru.until(words[0] as string)
        await naru.until(words[2] as string)
        const { port, close } = await listen()
        await naru.until(`+ tcp`)
        await naru.until(`${here}:${port}`)
        close()
        await naru.until(`- tcp`)
        await naru.until(`${here}:${port}`)
        naru.press('s')
        await naru.until(words[1] as string)
        naru.press(quit)
        const { text } = await naru.ended()
        const [screens = '', after = ''] = text.split('\u001B[?25h\u001B[?1049l')
        expect(after).toContain('left 0')
        expect(after).toMatch(/[^-]icanon/)
        expect(after).toMatch(/[^-]echo /)
        for (const screen of screens.split('\u001B[H').slice(1))
          expect(screen.split('\r\n').length).toBeLessThanOrEqual(20)
      },
    )

  it(
    'prints the table and then the changes where it is no terminal, until SIGINT',
    { timeout: 60_000 },
    async () => {
      const first = await listen()
      const args = [main, 'ports', '--watch', '--find', here]
      const naru = new Running(process.execPath, args)
      await naru.until(`${here}:${first.port}`)
      const second = await listen()
      await naru.until(new RegExp(`\\d\\d:\\d\\d:\\d\\d \\+ tcp {2}${here}:${second.port} `))
      first.close()
      await naru.until(new RegExp(`\\d\\d:\\d\\d:\\d\\d - tcp {2}${here}:${first.port} `))
      naru.signal('SIGINT')
      const { code, text } = await naru.ended()
      expect(code).toBe(0)
      expect(text).not.toContain('\u001B')
      expect(text.match(/PROTO/g)).toHaveLength(1)
    },
  )

  it('prints a line of JSON for each look that differs', { timeout: 60_000 }, async () => {
    const first = await listen()
    const naru = new Running(process.execPath, [main, 'ports', '--watch', '--json', String(first.port)])
    await naru.until('\n')
    first.close()
    await naru.until('{"rows":[]')
    naru.signal('SIGTERM')
    const { code, text } = await naru.ended()
    expect(code).toBe(0)
    const looks = text.trim().split('\n')
    expect(looks.map((line) => (JSON.parse(line) as { rows: unknown[] }).rows.length)).toEqual([1, 0])
  })
})

describe('what came and went', () => {
  const row = (port: number, pid: number): PortRow => ({
    protocol: 'tcp',
    family: 4,
    address: '0.0.0.0',
    port,
    peer: null,
    state: 'listening',
    bothFamilies: false,
    service: null,
    process: { pid, name: 'node' },
    reach: 'lan',
    belongsTo: null,
  })
  const shape = (before: PortRow[], now: PortRow[]): number[][] => {
    const { came, went } = portChanges(before, now)
    return [came.map(({ port }) => port), went.map(({ port }) => port)]
  }

  it('is told by address, state and process; a port that changed hands did both', () => {
    expect(shape([row(1, 1), row(2, 1)], [row(1, 1), row(2, 2), row(3, 1)])).toEqual([[2, 3], [2]])
  })

  it('counts sockets that share a port', () => {
    expect(shape([row(1, 1)], [row(1, 1), row(1, 1)])).toEqual([[1], []])
    expect(shape([row(1, 1), row(1, 1)], [row(1, 1)])).toEqual([[], [1]])
  })
})
