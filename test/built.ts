/** What runs in a thread of its own must be built, as Node 20 cannot load TypeScript there. */
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const root = new URL('..', import.meta.url).pathname
const lock = join(root, 'node_modules', '.building')
/** A lock older than this was left by a run that died. */
const staleMs = 60_000

/** Builds `dist/` where a source is newer; test files that run side by side take turns. */
export async function built(): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    const held = tryLock()
    if (held === null) {
      await sleep(100)
      continue
    }
    try {
      execFileSync(process.execPath, [join(root, 'scripts/build.mjs')], { stdio: 'pipe' })
      return
    } finally {
      closeSync(held)
      rmSync(lock, { force: true })
    }
  }
  throw new Error(`${lock} is held by someone else`)
}

function tryLock(): number | null {
  try {
    return openSync(lock, 'wx')
  } catch {
    const age = statSync(lock, { throwIfNoEntry: false })?.mtimeMs
    if (age !== undefined && Date.now() - age > staleMs) rmSync(lock, { force: true })
    return null
  }
}
