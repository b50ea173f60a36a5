/** What a rule takes while nobody comes: bytes, so that ten thousand of them fit a small machine. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { built } from '../built.ts'
import { freePort } from '../free-port.ts'
import { describeWith } from '../needs.ts'

const script = join(import.meta.dirname, 'after-load.mjs')
/** So many that what any heap grows by for some seconds, 16 MB and more, is little for each. */
const more = 1500
const mostBytes = 60_000

/** Resident bytes of a Naru with so many rules. */
async function residentWith(rules: number): Promise<number> {
  const port = await freePort()
  const all = Object.fromEntries(
    Array.from({ length: rules }, (_, at) => [
      `r${at}`,
      { listen: `127.77.${at >> 8}.${at & 255}:${port}`, target: '127.0.0.1:9', engine: 'splice' },
    ]),
  )
  const folder = await mkdtemp(join(tmpdir(), 'naru-rules-'))
  const child = fork(script, [JSON.stringify(all), folder], { execArgv: ['--expose-gc'] })
  const said = async (): Promise<unknown> =>
    (await once(child, 'message', { signal: AbortSignal.timeout(60_000) }))[0]
  try {
    await said()
    child.send('look')
    return ((await said()) as { rss: number }).rss
  } finally {
    child.disconnect()
    if (child.exitCode === null) await once(child, 'exit')
    await rm(folder, { recursive: true, force: true })
  }
}

describeWith({ platform: 'linux' }, 'a rule that nobody uses', () => {
  beforeAll(built, 120_000)

  it(`takes less than ${mostBytes} bytes with splice`, { timeout: 120_000 }, async () => {
    const [few, many] = [await residentWith(10), await residentWith(10 + more)]
    expect((many - few) / more).toBeLessThan(mostBytes)
  })
})
