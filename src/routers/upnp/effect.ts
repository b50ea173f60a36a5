/**
 * What is left of a mapping by UPnP: the journal tells what was made, the router what is there, and only what is still
 * as it was made is taken away.
 */
import { NaruError } from '../../base/errors.ts'
import type { Json } from '../../model/hop.ts'
import type { Mapping, MappingRequest } from '../contract.ts'
import type { CallOptions, Device } from './device.ts'
import { explainFault } from './fault.ts'
import { dropMapping, findMapping } from './table.ts'

/** What the journal keeps: enough to find the router again and to know our mapping among others. */
export interface UpnpEffect {
  readonly [key: string]: string | number | null
  readonly kind: 'mapping'
  readonly router: string
  readonly source: string | null
  readonly location: string
  readonly protocol: string
  readonly externalPort: number
  readonly internalAddress: string
  readonly internalPort: number
  readonly description: string
  /** What the router made of the description: nothing, or ours without some signs. Null until it was read back. */
  readonly shown: string | null
  /** By what it was read back: where it was its row, that row tells when it is gone; else the list is looked at too. */
  readonly seenBy: string | null
  /** Milliseconds since the Unix epoch; after it nothing is left to delete. Null is permanent, or not told. */
  readonly until: number | null
}

/** How the process whose place this one takes mapped that port: where any will do, the same is asked for again. */
export function effectsBefore(
  request: MappingRequest,
  before: readonly Json[] | undefined,
): readonly Partial<UpnpEffect>[] {
  return (before ?? []).flatMap((effect) => {
    const was = effect as Partial<UpnpEffect> | null
    return was?.protocol === request.protocol && was.internalPort === request.internalPort ? [was] : []
  })
}

/**
 * Deletes what is still as we made it. It is ours until it is read back as gone: what cannot be read is deleted, and
 * what is there after that is told. @throws NaruError ROUTER_SILENT, ROUTER_NOT_CLOSED, ROUTER_REFUSED
 */
export async function dropIfOurs(
  device: Device,
  effect: UpnpEffect,
  options: CallOptions & { readonly now: () => number },
): Promise<void> {
  const protocol = effect.protocol === 'udp' ? 'udp' : 'tcp'
  const key = { protocol, externalPort: effect.externalPort } as const
  const how = { ...options, list: effect.seenBy === 'row' ? 'untold' : 'unseen' } as const
  try {
    const { mapping: found } = await findMapping(device, key, how)
    if (found === null || (found !== 'unknown' && !isAsMade(found, effect))) return
    await dropMapping(device, key, options)
    const { mapping: left } = await findMapping(device, key, how)
    if (left !== null && left !== 'unknown' && isAsMade(left, effect))
      throw new NaruError('ROUTER_NOT_CLOSED', {
        router: device.place.address,
        port: `${effect.externalPort}/${protocol}`,
      })
  } catch (failure) {
    if (failure instanceof NaruError) throw failure
    throw explainFault(failure, device.place.address, effect.externalPort, true)
  }
}

/** Leads where we said, by a description that is ours, or what the router makes of ours. */
function isAsMade(found: Mapping, effect: UpnpEffect): boolean {
  if (found.internalAddress !== effect.internalAddress) return false
  if (sameDescription(found.description, effect.description)) return true
  const shown = effect.shown ?? ''
  return found.internalPort === effect.internalPort && ['', shown].includes(found.description)
}

/** Routers cut long descriptions, and take out signs that they do not like. */
export function sameDescription(found: string, made: string): boolean {
  return isCutFrom(found, made) || isCutFrom(lettersOf(found), lettersOf(made))
}

function isCutFrom(found: string, made: string): boolean {
  return found === made || (found.length >= 8 && made.startsWith(found))
}

function lettersOf(description: string): string {
  return description.replace(/[^a-z0-9]/gi, '').toLowerCase()
}
