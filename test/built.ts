/** What runs in a thread of its own must be built, as Node 20 cannot load TypeScript there. */
import { execFileSync } from 'node:child_process'
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const root = new URL('..', import.meta.url).pathname
const lock = join(root, 'node_modules', '.building')

/** Builds `dist/` where a source is newer; test files that run side by side take turns. */
export async function built(): Promise<void> {
  for (let tries = 0; tries < 1100; tries++) {
    if (!takesLock()) {
      await sleep(100)
      continue
    }
    try {
      execFileSync(process.execPath, [join(root, 'scripts/build.mjs')], { stdio: 'pipe' })
      return
    } finally {
      rmSync(lock, { force: true })
    }
  }
  throw new Error(`${lock} is held by process ${holder()}`)
}

/** The lock names its holder, however long it builds; one whose holder lives no more is taken away. */
function takesLock(): boolean {
  const mine = `${lock}-${process.pid}`
  writeFileSync(mine, String(process.pid))
  try {
    linkSync(mine, lock)
    return true
  } catch {
    const pid = holder()
    if (pid !== null && !lives(pid)) rmSync(lock, { force: true })
    return false
  } finally {
    rmSync(mine)
  }
}

/** Null where nobody holds it by now. */
function holder(): number | null {
  try {
    return Number(readFileSync(lock, 'utf8'))
  } catch {
    return null
  }
}

function lives(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
