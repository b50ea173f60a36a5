/**
 * A router's table in one answer (WANIPConnection:2 §2.5.21, GetListOfPortMappings): a document inside the answer.
 * Bounded like every document of a router; what is no entry is left out.
 */
import { NaruError } from '../../base/errors.ts'
import type { Protocol } from '../../base/port.ts'
import type { Mapping } from '../contract.ts'
import { faultCode } from './fault.ts'
import type { CallOptions, Device } from './device.ts'
import { mappingOf, portOf } from './entry.ts'
import { child, children, entries, parseXml, textOf, type Xml } from './xml.ts'

/** 730 PortMappingNotFound: none in that range. */
const noneInRange: ReadonlySet<number> = new Set([730, 714, 713])

export interface ListRange {
  readonly protocol: Protocol
  readonly first: number
  readonly last: number
  /** Also those of other machines; some routers refuse that to us. */
  readonly everybody: boolean
}

/** @throws UpnpFault where the router has no such action, NaruError ROUTER_SILENT, ROUTER_ANSWER_BAD */
export async function listRange(
  device: Device,
  { protocol, first, last, everybody }: ListRange,
  options: Pick<CallOptions, 'signal' | 'through'>,
): Promise<readonly Mapping[]> {
  try {
    const values = await device.call(
      'connection',
      'GetListOfPortMappings',
      [
        ['NewStartPort', first],
        ['NewEndPort', last],
        ['NewProtocol', protocol.toUpperCase()],
        ['NewManage', everybody ? 1 : 0],
        ['NewNumberOfPorts', 0],
      ],
      options,
    )
    const list = parseListing(values.get('NewPortListing') ?? '')
    if (list) return list
    const [router, why] = [device.place.address, 'its list of mappings is not readable']
    throw new NaruError('ROUTER_ANSWER_BAD', { router, protocol: 'UPnP', why })
  } catch (failure) {
    if (noneInRange.has(faultCode(failure) ?? 0)) return []
    throw failure
  }
}

export function parseListing(text: string): readonly Mapping[] | undefined {
  const list = child(parseXml(text), 'PortMappingList')
  if (list === undefined && text !== '') return undefined
  return children(list, 'PortMappingEntry').flatMap((entry) => {
    const mapping = entryOf(entry)
    return mapping.externalPort > 0 ? [mapping] : []
  })
}

/** The names differ a little from those of the other actions. */
function entryOf(entry: Xml): Mapping {
  const values = new Map(entries(entry).map(([name]) => [name, textOf(entry, name) ?? '']))
  const rename = (from: string, to: string): void => {
    const value = values.get(from)
    if (value !== undefined && !values.has(to)) values.set(to, value)
  }
  rename('NewDescription', 'NewPortMappingDescription')
  rename('NewLeaseTime', 'NewLeaseDuration')
  return mappingOf(values, {
    protocol: /udp/i.test(values.get('NewProtocol') ?? '') ? 'udp' : 'tcp',
    externalPort: portOf(values.get('NewExternalPort')),
  })
}
