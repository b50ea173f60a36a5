/** The router's table of mappings by UPnP: read, listed within bounds, added to, deleted from (WANIPConnection:2 §2.4). */
import { canonicalAddress } from '../../base/address.ts'
import type { Mapping, MappingKey } from '../contract.ts'
import type { CallOptions, Device } from './device.ts'
import { mappingOf, portOf } from './entry.ts'
import { faultCode, isNoEntry, isUnknownAction } from './fault.ts'
import { listRange } from './listing.ts'

type Options = Omit<CallOptions, 'limitMs'>

/** A list that never ends, or says the same for ever, is one of these. */
const longestList = 1024
const listLimitMs = 7000
/** Routers need up to 10 s to change their table, which they do also where nobody waits for it. */
const changeLimitMs = 12_000
/** Not worth waiting for as for the rest: a router maps also where it does not tell its address. */
const addressLimitMs = 2000

export interface NewMapping extends MappingKey {
  readonly internalAddress: string
  readonly internalPort: number
  readonly description: string
  /** 0 is permanent with v1, and 604,800 s with v2. */
  readonly leaseSeconds: number
}

/** Null where it has none; routers that clear it say an empty string or 0.0.0.0 (seen). */
export async function externalAddress(device: Device, options: Options): Promise<string | null> {
  const values = await device.call('connection', 'GetExternalIPAddress', [], {
    ...options,
    limitMs: addressLimitMs,
  })
  const address = canonicalAddress(values.get('NewExternalIPAddress') ?? '')
  return address === '0.0.0.0' ? null : address
}

export async function isConnected(device: Device, options: Options): Promise<boolean> {
  const values = await device.call('connection', 'GetStatusInfo', [], options)
  // Some say 1 in place of the word.
  return /^(?:connected|1)$/i.test((values.get('NewConnectionStatus') ?? '').trim())
}

/** Null where the router does not tell. */
export async function uptimeSeconds(device: Device, options: Options): Promise<number | null> {
  const values = await device.call('connection', 'GetStatusInfo', [], options)
  const text = values.get('NewUptime') ?? ''
  return /^\d{1,10}$/.test(text) ? Number(text) : null
}

/** Null where there is no such mapping; `unknown` where the router has no way to tell. */
export async function readMapping(
  device: Device,
  key: MappingKey,
  options: Options,
): Promise<Mapping | null | 'unknown'> {
  try {
    const values = await device.call('connection', 'GetSpecificPortMappingEntry', keyArguments(key), options)
    return mappingOf(values, key)
  } catch (failure) {
    if (isNoEntry(failure)) return null
    if (isUnknownAction(failure)) return 'unknown'
    throw failure
  }
}

/** A mapping as it was seen: by its own row, or only in the list of all. */
export interface Seen {
  readonly mapping: Mapping | null | 'unknown'
  readonly by: 'row' | 'list' | null
}

/**
 * As `readMapping`; where that tells none, or nothing, the list is looked at: some answer for their list alone, some
 * say 402 or 501 to "there is none".
 * @param options `list`: looked at `never`, where the row is `untold`, or also where it is `unseen`
 */
export async function findMapping(
  device: Device,
  key: MappingKey,
  options: Options & { readonly now: () => number; readonly list: 'never' | 'untold' | 'unseen' },
): Promise<Seen> {
  const row = await readMapping(device, key, options).catch((failure: unknown) => {
    if (faultCode(failure) === null) throw failure
    return isUnknownAction(failure) || options.list !== 'never' ? ('unknown' as const) : null
  })
  if (row !== 'unknown' && row !== null) return { mapping: row, by: 'row' }
  if (options.list === 'never' || (row === null && options.list === 'untold'))
    return { mapping: row, by: null }
  const all = await listMappings(device, options, options.now).catch((failure: unknown) => {
    if (faultCode(failure) === null) throw failure
    return null
  })
  const listed = all?.find(
    ({ protocol, externalPort }) => protocol === key.protocol && externalPort === key.externalPort,
  )
  if (listed) return { mapping: listed, by: 'list' }
  return { mapping: all ? null : row, by: null }
}

/**
 * Every mapping: in one answer where the router has that, otherwise one by one.
 * @throws UpnpFault 401 or 602 where it has no list, NaruError ROUTER_SILENT, ROUTER_ANSWER_BAD, ABORTED
 */
export async function listMappings(
  device: Device,
  options: Options,
  now: () => number,
): Promise<readonly Mapping[]> {
  const { signal } = options
  if (device.connection?.version !== 2) return listByIndex(device, options, now)
  const whole = { first: 1, last: 65_535, everybody: true }
  const lists = await Promise.all(
    (['tcp', 'udp'] as const).map((protocol) => listRange(device, { ...whole, protocol }, options)),
  ).catch(() => [])
  signal.throwIfAborted()
  const found = lists.flat()
  // An empty list may be one that leaves out what is not ours: the other way tells.
  return found.length > 0 ? found.slice(0, longestList) : listByIndex(device, options, now)
}

/** By index until the router says there is no more. Bounded in count and time, and against a repeat. */
async function listByIndex(device: Device, options: Options, now: () => number): Promise<readonly Mapping[]> {
  const found = new Map<string, Mapping>()
  const end = now() + listLimitMs
  for (let index = 0; index < longestList && now() < end; index++) {
    const mapping = await mappingAt(device, index, options)
    if (mapping === null) break
    const key = [mapping.protocol, mapping.externalPort, mapping.remoteHost].join(' ')
    if (found.has(key)) break
    found.set(key, mapping)
  }
  return [...found.values()]
}

async function mappingAt(device: Device, index: number, options: Options): Promise<Mapping | null> {
  try {
    const values = await device.call(
      'connection',
      'GetGenericPortMappingEntry',
      [['NewPortMappingIndex', index]],
      options,
    )
    return mappingOf(values, {
      protocol: /udp/i.test(values.get('NewProtocol') ?? '') ? 'udp' : 'tcp',
      externalPort: portOf(values.get('NewExternalPort')),
    })
  } catch (failure) {
    if (index === 0 && isUnknownAction(failure)) throw failure
    // Past the end some say 402, 501 or 714 in place of 713.
    if (faultCode(failure) !== null) return null
    throw failure
  }
}

export async function addMapping(device: Device, mapping: NewMapping, options: Options): Promise<void> {
  await device.call('connection', 'AddPortMapping', addArguments(mapping), {
    ...options,
    limitMs: changeLimitMs,
  })
}

/** v2 only: takes another external port where that one is taken. @returns the port that was given. */
export async function addAnyMapping(device: Device, mapping: NewMapping, options: Options): Promise<number> {
  const values = await device.call('connection', 'AddAnyPortMapping', addArguments(mapping), {
    ...options,
    limitMs: changeLimitMs,
  })
  return portOf(values.get('NewReservedPort')) || mapping.externalPort
}

/** A mapping that is not there is a success. */
export async function dropMapping(device: Device, key: MappingKey, options: Options): Promise<void> {
  try {
    await device.call('connection', 'DeletePortMapping', keyArguments(key), {
      ...options,
      limitMs: changeLimitMs,
    })
  } catch (failure) {
    if (!isNoEntry(failure)) throw failure
  }
}

function addArguments(mapping: NewMapping): [string, string | number][] {
  return [
    ...keyArguments(mapping),
    ['NewInternalPort', mapping.internalPort],
    ['NewInternalClient', mapping.internalAddress],
    ['NewEnabled', 1],
    ['NewPortMappingDescription', mapping.description],
    ['NewLeaseDuration', mapping.leaseSeconds],
  ]
}

function keyArguments({ protocol, externalPort }: MappingKey): [string, string | number][] {
  return [
    ['NewRemoteHost', ''],
    ['NewExternalPort', externalPort],
    ['NewProtocol', protocol.toUpperCase()],
  ]
}
