/**
 * A native add-on that is inside of the program (`base/own-files.ts`). The system loads libraries from files alone, so it
 * is written to one that only this process ever reaches: made new, readable by this user alone, and without a name before
 * it is loaded by its descriptor. Nobody can put another in its place, and nothing is left behind.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, constants, openSync, unlinkSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads'
import { ownFile } from '../base/own-files.ts'
import { whyUntrusted } from '../base/trust.ts'

/** Threads are told by it where the main thread has the add-on. */
const placeKey = (name: string): string => `naru add-on ${name}`

const loaded = new Map<string, unknown>()

/** Loads it, once a thread. A thread that is begun after this one has loaded it shares its file. @throws where it cannot be */
export function addOnInside(name: string): unknown {
  if (!loaded.has(name)) loaded.set(name, load(name))
  return loaded.get(name)
}

function load(name: string): unknown {
  const shared = getEnvironmentData(placeKey(name))
  if (typeof shared === 'string') return loadFrom(shared)
  const bytes = ownFile(`${name}.node`)
  let why: unknown
  for (const folder of folders())
    try {
      return loadFromNew(folder, name, bytes)
    } catch (error) {
      why = error
    }
  throw new Error(`no folder to load ${name} from`, { cause: why })
}

/**
 * Some are mounted so that nothing may run from them, or are not writable. What the environment names may be another
 * user's after `su`, on a file system of his that shows another file each time that it is read.
 */
function folders(): readonly (string | undefined)[] {
  const { env } = process
  return [
    tmpdir(),
    '/tmp',
    env['RUNTIME_DIRECTORY'],
    env['XDG_RUNTIME_DIR'],
    '/dev/shm',
    '/var/tmp',
    dirname(process.execPath),
  ].filter((folder) => folder === undefined || whyUntrusted(folder) === null)
}

function loadFromNew(folder: string | undefined, name: string, bytes: Uint8Array): unknown {
  if (folder === undefined) throw new Error('no such folder here')
  const path = join(folder, `.naru-${randomBytes(12).toString('hex')}`)
  // O_EXCL: new, and no link to anywhere.
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600)
  try {
    unlinkSync(path)
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at)
    const place = `/proc/self/fd/${fd}`
    const addOn = loadFrom(place)
    // It stays open for the threads to come.
    setEnvironmentData(placeKey(name), place)
    return addOn
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function loadFrom(place: string): unknown {
  const made = { exports: {} }
  process.dlopen(made, place)
  return made.exports
}
