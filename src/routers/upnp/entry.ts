/** One row of a router's table, from the values of whichever action told it. */
import { canonicalAddress } from '../../base/address.ts'
import { parseMappingTag } from '../../model/mapping.ts'
import type { Mapping, MappingKey } from '../contract.ts'

export function mappingOf(values: ReadonlyMap<string, string>, key: MappingKey): Mapping {
  const description = (values.get('NewPortMappingDescription') ?? '').slice(0, 256)
  const lease = Number(values.get('NewLeaseDuration') ?? 0)
  const client = values.get('NewInternalClient') ?? ''
  return {
    ...key,
    internalAddress: canonicalAddress(client) ?? client.slice(0, 64),
    internalPort: portOf(values.get('NewInternalPort')),
    description,
    // What UPnP takes for a boolean (Device Architecture 2.0 §2.5).
    enabled: !/^(?:0|false|no)$/i.test((values.get('NewEnabled') ?? '1').trim()),
    leaseSecondsLeft: Number.isInteger(lease) && lease > 0 ? lease : null,
    remoteHost: values.get('NewRemoteHost')?.slice(0, 64) || null,
    ours: parseMappingTag(description) !== null,
  }
}

/** 0 where it is no port. */
export function portOf(text: string | undefined): number {
  const port = /^\d{1,5}$/.test(text ?? '') ? Number(text) : 0
  return port <= 65_535 ? port : 0
}
