import { describe, expect, it } from 'vitest'
import { createRunner } from './runner.ts'

const runner = createRunner()
const signal = new AbortController().signal
const node = (script: string): [string, ...string[]] => [process.execPath, '-e', script]

describe('the runner', () => {
  it('hands back exit code and both outputs', async () => {
    const result = await runner.run(node('console.log("out"); console.error("err"); process.exitCode = 3'), {
      signal,
    })
    expect(result).toEqual({ exit: 3, stdout: 'out\n', stderr: 'err\n' })
  })

  it('gives arguments as they are: no shell ever sees them', async () => {
    const nasty = '$(touch /tmp/never); `id` "quoted" * \\'
    const result = await runner.run([process.execPath, '-p', 'process.argv[1]', nasty], { signal })
    expect(result.stdout).toBe(`${nasty}\n`)
  })

  it('speaks English to commands and closes what it writes to them', async () => {
    const script = 'process.stdin.pipe(process.stdout); console.log(process.env.LC_ALL, process.env.MORE)'
    const result = await runner.run(node(script), { signal, input: 'fed', env: { MORE: 'yes' } })
    expect(result.stdout).toContain('C yes')
    expect(result.stdout).toContain('fed')
  })

  it('says that a command is not installed', async () => {
    await expect(runner.run(['naru-no-such-command'], { signal })).rejects.toMatchObject({
      code: 'COMMAND_MISSING',
    })
  })

  it('ends a command that takes too long, also one that ignores SIGTERM', async () => {
    const stubborn = node('process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)')
    await expect(runner.run(stubborn, { signal, limitMs: 300 })).rejects.toMatchObject({ code: 'TIMED_OUT' })
  })

  it('ends a command whose caller has gone', async () => {
    const caller = new AbortController()
    const running = runner.run(node('setInterval(() => {}, 1000)'), { signal: caller.signal })
    caller.abort()
    await expect(running).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(runner.run(node(''), { signal: caller.signal })).rejects.toMatchObject({ code: 'ABORTED' })
  })

  it('does not keep more than 16 MiB of output', async () => {
    const flood = node(
      'const b = Buffer.alloc(1 << 20); for (let i = 0; i < 40; i++) process.stdout.write(b)',
    )
    await expect(runner.run(flood, { signal })).rejects.toMatchObject({ code: 'COMMAND_FAILED' })
  })

  it('holds a command: its lines as they come, its end, and no end of it that was asked for', async () => {
    const lines: string[] = []
    const { promise: said, resolve } = resolvers()
    const echo = runner.hold(node('process.stdin.pipe(process.stdout)'), {
      reads: true,
      onLine: (line) => (lines.push(line), line === 'two' && resolve()),
      onEnd: () => lines.push('ended'),
    })
    echo.write('one\ntw')
    echo.write('o\n')
    await said
    await echo.end()
    expect(lines).toEqual(['one', 'two'])
  })

  it('says why a held command has ended by itself', async () => {
    const ended = (argv: [string, ...string[]]): Promise<string> =>
      new Promise((onEnd) => void runner.hold(argv, { onLine: () => {}, onEnd }))
    expect(await ended(node('process.exitCode = 3'))).toBe('exit 3')
    expect(await ended(['naru-no-such-command'])).toMatch(/^exit 127|ENOENT/)
  })
})

function resolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve }
}
