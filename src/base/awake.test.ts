import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { beforeAll, expect, it } from 'vitest'
import { built } from '../../test/built.ts'

const exec = promisify(execFile)
const dist = new URL('../../dist/base/', import.meta.url)

beforeAll(built, 120_000)

const endOf = (work: string): Promise<{ stdout: string }> =>
  exec(process.execPath, [
    '--input-type=module',
    '--eval',
    `const { awake } = await import('${new URL('awake.js', dist).href}')
     const { systemClock } = await import('${new URL('clock.js', dist).href}')
     ${work}`,
  ])

it('a process lives until its work has ended, whatever that waits for', async () => {
  const { stdout } = await endOf(`await awake(() => systemClock.sleep(20)); console.log('done')`)
  expect(stdout).toBe('done\n')
})

it('… and no longer: what failed is thrown, and the process ends', async () => {
  const { stdout } = await endOf(
    `await awake(() => Promise.reject(new Error('no'))).catch(({ message }) => console.log(message))
     systemClock.every(1000, () => {})`,
  )
  expect(stdout).toBe('no\n')
})
