import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

it('the library example runs as printed and leaves nothing behind', async () => {
  const state = await mkdtemp(join(tmpdir(), 'naru-library-'))
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ['examples/library.mjs'], {
      env: { ...process.env, NARU_STATE: state },
      timeout: 20_000,
    })
    expect(stdout).toMatch(
      /^you asked for \/hello\n127\.0\.0\.1:8899 is open, carried by \w+\nclosed without a trace\n$/,
    )
    expect(await readdir(state)).toEqual([])
  } finally {
    await rm(state, { recursive: true, force: true })
  }
})
