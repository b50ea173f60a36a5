/** The kernel's switches under /proc/sys. They are read and written as files, since `sysctl` is not always installed. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { NaruError, errnoOf, messageOf } from '../../base/errors.ts'

export interface Settings {
  /** `net/ipv4/ip_forward` → `0`; null where this kernel has no such switch. */
  read(key: string): string | null
  /** @throws NaruError NOT_PERMITTED */
  write(key: string, value: string): void
  /** Names under a folder: `net/ipv6/conf`. Empty where there is none. */
  names(folder: string): readonly string[]
}

export function createSettings(root = '/proc/sys'): Settings {
  return {
    read(key) {
      try {
        return readFileSync(`${root}/${key}`, 'latin1').trim()
      } catch {
        return null
      }
    },
    write(key, value) {
      try {
        writeFileSync(`${root}/${key}`, value)
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') return
        const what = `set ${key.replaceAll('/', '.')} to ${value} (${messageOf(error)})`
        const command = `sudo sysctl -w ${key.replaceAll('/', '.')}=${value}`
        throw new NaruError('NOT_PERMITTED', { what, command }, { cause: error })
      }
    },
    names(folder) {
      try {
        return readdirSync(`${root}/${folder}`)
      } catch {
        return []
      }
    },
  }
}

/** What a switch must be for packets to be carried, and counted. */
export interface Wanted {
  readonly key: string
  readonly value: string
}

/**
 * Forwarding for the families in use, and counters on connections. With IPv6 forwarding a host drops what routers
 * advertise, its default route too, unless `accept_ra` is 2 (ip-sysctl.rst): that comes first. `route_localnet` lets
 * clients on this machine use 127.0.0.1; the table keeps others from it (chain `loopback`).
 */
export function wantedSettings(settings: Settings, families: { ip4: boolean; ip6: boolean }): Wanted[] {
  const wanted: Wanted[] = [{ key: 'net/netfilter/nf_conntrack_acct', value: '1' }]
  if (families.ip4) {
    wanted.push({ key: 'net/ipv4/conf/all/route_localnet', value: '1' })
    wanted.push({ key: 'net/ipv4/ip_forward', value: '1' })
  }
  if (families.ip6) {
    for (const name of settings.names('net/ipv6/conf')) {
      const key = `net/ipv6/conf/${name}/accept_ra`
      if (settings.read(key) === '1') wanted.push({ key, value: '2' })
    }
    wanted.push({ key: 'net/ipv6/conf/all/forwarding', value: '1' })
  }
  return wanted.filter(({ key, value }) => {
    const now = settings.read(key)
    return now !== null && now !== value
  })
}
