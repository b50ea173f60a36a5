/** The kernel's switches under /proc/sys. They are read and written as files, since `sysctl` is not always installed. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Family } from '../../base/address.ts'
import { NaruError, errnoOf, messageOf } from '../../base/errors.ts'
import { isPlainName } from './guard.ts'

export interface ProcSys {
  /** `net/ipv4/ip_forward` → `0`; null where this kernel has no such switch. */
  read(key: string): string | null
  /** @throws NaruError NOT_PERMITTED */
  write(key: string, value: string): void
  /** Names under a folder: `net/ipv6/conf`. Empty where there is none. */
  names(folder: string): readonly string[]
}

export function createSettings(root = '/proc/sys'): ProcSys {
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
export interface WantedSetting {
  readonly key: string
  readonly value: string
}

const accounting = 'net/netfilter/nf_conntrack_acct'
export const localnet = 'net/ipv4/conf/all/route_localnet'
export const forwarding6 = 'net/ipv6/conf/all/forwarding'

/** Of one interface: `forwardingOf(4, 'eth0')`. */
export const forwardingOf = (family: Family, name: string): string =>
  `net/ipv${family}/conf/${name}/forwarding`
const advertised = (name: string): string => `net/ipv6/conf/${name}/accept_ra`

/** The interface of an IPv4 forwarding switch. */
export function forwards4(key: string): string | null {
  const [, name] = /^net\/ipv4\/conf\/([^/]+)\/forwarding$/.exec(key) ?? []
  return name ?? null
}

/**
 * Whether this engine may have changed `key` from `value`: what a journal or a table tells is believed no further.
 * Names of interfaces have no slash (dev_valid_name), so no path leads elsewhere.
 */
export function isOurSwitch(key: string, value: string): boolean {
  if (!/^[0-2]$/.test(value)) return false
  if (key === accounting || key === localnet) return true
  const [, family, name = '', what] =
    /^net\/ipv([46])\/conf\/([^/\s]{1,15})\/(forwarding|accept_ra)$/.exec(key) ?? []
  if (!family || name === '.' || name === '..') return false
  return family === '6' || (what === 'forwarding' && name !== 'all' && name !== 'default')
}

/** Interfaces that IPv4 may arrive on from elsewhere. */
export function interfaces4(settings: ProcSys): string[] {
  return settings.names('net/ipv4/conf').filter((name) => !['all', 'default', 'lo'].includes(name))
}

/**
 * Forwarding for the families in use, and counters on connections. IPv4 is switched on for each interface alone:
 * `ip_forward` stays the administrator's, writing it would change redirects and every interface that is to come. IPv6
 * has one switch for all (ip6_forward), and with it a host drops what routers advertise, its default route too, unless
 * `accept_ra` is 2 (ip-sysctl.rst): that comes first. `route_localnet` lets clients on this machine use 127.0.0.1; the
 * guard keeps others from it (chain `loopback`), and from sending as if they were at 127.0.0.0/8: with the switch the
 * kernel no longer takes that for a martian (ip_route_input_slow; chain `martian`).
 */
export function wantedSettings(settings: ProcSys, families: { ip4: boolean; ip6: boolean }): WantedSetting[] {
  const wanted: WantedSetting[] = [{ key: accounting, value: '1' }]
  if (families.ip4) {
    wanted.push({ key: localnet, value: '1' })
    for (const name of interfaces4(settings))
      if (isPlainName(name)) wanted.push({ key: forwardingOf(4, name), value: '1' })
  }
  if (families.ip6) {
    for (const name of settings.names('net/ipv6/conf')) {
      const key = advertised(name)
      if (settings.read(key) === '1') wanted.push({ key, value: '2' })
    }
    wanted.push({ key: forwarding6, value: '1' })
  }
  return wanted.filter(({ key, value }) => {
    const now = settings.read(key)
    return now !== null && now !== value && (value !== '1' || now === '0')
  })
}

/**
 * What to note before a change: the switch itself, and those that the kernel changes along with it. IPv6's `all` sets
 * every interface and `default`.
 */
export function changedAlong(settings: ProcSys, { key }: WantedSetting): string[] {
  if (key !== forwarding6) return []
  return settings
    .names('net/ipv6/conf')
    .filter((name) => name !== 'all' && (settings.read(forwardingOf(6, name)) ?? '0') !== '0')
    .map((name) => forwardingOf(6, name))
}

/** In the order in which they go back: `all` before what it would change. */
export function inOrder(keys: readonly string[]): string[] {
  const rank = (key: string): number => (key === forwarding6 ? 0 : key.endsWith('/forwarding') ? 1 : 2)
  return keys.toSorted((a, b) => rank(a) - rank(b))
}
