/** Is an address this machine's, or that of a neighbour? */
import type { Interface } from '../host/contract.ts'
import { sameNetwork } from './checks/contract.ts'

export function isOwn(address: string, interfaces: readonly Interface[]): boolean {
  if (address.startsWith('127.') || address === '::1') return true
  return interfaces.some(({ addresses }) => addresses.some((own) => own.address === address))
}

export function isOnLink(address: string, interfaces: readonly Interface[]): boolean {
  return interfaces.some(({ addresses }) =>
    addresses.some((own) => sameNetwork(address, own.address, own.bits)),
  )
}
