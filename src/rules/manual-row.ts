/** What a person types on the router's page where it does not open a rule's ports by itself; null where no row helps. */
import { canonicalAddress } from '../base/address.ts'
import type { Code } from '../base/errors.ts'
import type { HopStatus } from '../model/naru-api.ts'
import { guessedMaker, makerOf, onUpperToo, routerSteps, type RouterSteps } from '../model/router-steps.ts'
import type { Rule } from '../model/rule.ts'
import type { RouterInfo } from '../routers/contract.ts'
import type { LanView } from './lan.ts'

/** The router is there and does not do it; of a carrier's NAT, or an address that leads nowhere, no row says anything. */
const rowHelps: ReadonlySet<string> = new Set<Code>([
  'ROUTER_NOT_FOUND',
  'ROUTER_SILENT',
  'ROUTER_ANSWER_BAD',
  'ROUTER_REFUSED',
  'ROUTER_TABLE_FULL',
  'ROUTER_NOT_DONE',
  'ROUTER_TOO_MANY_PORTS',
  'ROUTER_MAPPING_LOST',
  'ROUTER_BEHIND_ROUTER',
])

/** What is above the router keeps the internet out, whatever this machine does. */
const shutAbove: ReadonlySet<string> = new Set<Code>([
  'ROUTER_NO_ADDRESS',
  'ROUTER_CARRIER_NAT',
  'ROUTER_NAT_BETWEEN',
])

/** The router, or what is above it, is a person's to change: what is open inside of it is of use meanwhile. */
export function isPersonsToMend({ code }: { readonly code: string }): boolean {
  return rowHelps.has(code) || shutAbove.has(code)
}

export function manualRow(
  { name, listen, publish, allow }: Rule,
  hops: readonly HopStatus[],
  { gateway }: LanView,
  info: RouterInfo | null,
): RouterSteps | null {
  if (listen.kind === 'unix' || publish.router === 'off' || gateway === null) return null
  const problem = hops.find(({ hop, state }) => hop === 'router' && state === 'broken')?.problem
  if (!problem || !rowHelps.has(problem)) return null
  const { ports, protocols, address } = listen
  const first = typeof publish.externalPort === 'number' ? publish.externalPort : ports.first
  const wish = {
    name,
    protocols,
    externalPorts: { first, last: first + ports.last - ports.first },
    internalPorts: ports,
    internalAddress: address === null || isWild(address) ? gateway.source : address,
    allow,
  }
  const known = info?.model || info?.maker ? makerOf(info) : guessedMaker(gateway.address)
  const steps = routerSteps(known, wish, gateway.address, info?.presentationUrl ?? null)
  return problem === 'ROUTER_BEHIND_ROUTER' ? { ...steps, notes: [...steps.notes, onUpperToo(wish)] } : steps
}

function isWild(address: string): boolean {
  return canonicalAddress(address) === '0.0.0.0' || canonicalAddress(address) === '::'
}
