/** PROXY headers on datagrams: version 2 only, whole, in front of the payload of the same datagram. */
import { unmapped } from '../../base/address.ts'
import { beginsLikeProxy, signatureV2, type Peer } from '../../relay/proxy/header.ts'
import { readProxyHeader } from '../../relay/proxy/read.ts'

export type Unwrapped =
  /** There is no header, and none has to be. */
  | { readonly state: 'plain' }
  /** There is no header where the peer should send one: a later datagram of a session, or a fault. */
  | { readonly state: 'untold' }
  /** Null where the peer speaks for itself. */
  | { readonly state: 'told'; readonly source: Peer | null; readonly payload: Buffer }
  | { readonly state: 'bad' }

export function unwrapDatagram(datagram: Buffer, duty: 'required' | 'refused' | 'ignored'): Unwrapped {
  const headed = datagram[0] === signatureV2[0] && beginsLikeProxy(datagram) === 'yes'
  if (!headed) return { state: duty === 'required' ? 'untold' : 'plain' }
  if (duty === 'ignored') return { state: 'plain' }
  const read = duty === 'required' ? readProxyHeader(datagram) : null
  if (read?.state !== 'done') return { state: 'bad' }
  const { source } = read.header
  return {
    state: 'told',
    source: source && { address: unmapped(source.address), port: source.port },
    payload: datagram.subarray(read.length),
  }
}
