/** What the machine's hosts file says of a name. DNS queries do not look there, so it is asked first. */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { canonicalAddress, withoutRoot } from '../base/address.ts'

/** Larger files are not read: they are block lists, and those name no targets. */
const largestBytes = 4 * 1024 * 1024

export function hostsFilePath(): string {
  return process.platform === 'win32'
    ? join(process.env.SystemRoot ?? 'C:\\Windows', 'System32', 'drivers', 'etc', 'hosts')
    : '/etc/hosts'
}

/** Reads the file again only where its size or time changed. */
export class HostsFile {
  readonly #path: string
  #seen = ''
  #entries: ReadonlyMap<string, readonly string[]> = new Map()

  constructor(path = hostsFilePath()) {
    this.#path = path
  }

  /** Another word wherever the file was written since; empty where there is none. */
  async version(): Promise<string> {
    const there = await stat(this.#path).catch(() => null)
    return there === null ? '' : `${there.size}/${there.mtimeMs}`
  }

  /** Addresses of `name` in the order of the file; none where it is not there or cannot be read. */
  async addresses(name: string): Promise<readonly string[]> {
    try {
      const { size, mtimeMs } = await stat(this.#path)
      const version = `${size}/${mtimeMs}`
      if (version !== this.#seen && size <= largestBytes) {
        this.#entries = parseHosts(await readFile(this.#path, 'utf8'))
        this.#seen = version
      }
    } catch {
      return []
    }
    return this.#entries.get(withoutRoot(name).toLowerCase()) ?? []
  }
}

/** hosts(5): an address and its names on each line, `#` begins a comment. */
export function parseHosts(text: string): ReadonlyMap<string, readonly string[]> {
  const entries = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [written = '', ...names] = (line.split('#')[0] as string).trim().split(/\s+/)
    const address = canonicalAddress(written)
    if (address === null) continue
    for (const name of names) {
      const known = entries.get(name.toLowerCase())
      if (!known) entries.set(name.toLowerCase(), [address])
      else if (!known.includes(address)) known.push(address)
    }
  }
  return entries
}
