/** nftables: base chains that an administrator wrote, such as those of /etc/nftables.conf. */
import { isNaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import { canDrop, isOurs, readFilter, type Chain, type PacketFilter } from '../../host/simulate/index.ts'
import type { FirewallMember, FirewallOptions, FirewallStatus } from '../contract.ts'
import { defaultInput, openPorts, unnamedPort } from './listing.ts'
import { carriedIn, chainHand } from './entries.ts'
import { explain, look, openWith, undoWith } from './packet-filter.ts'
import { looking } from './hand.ts'
import { onLinux } from './linux.ts'

const hand = chainHand('nftables')

export const nftables: FirewallMember = {
  id: 'nftables',
  detect: (options) =>
    onLinux(options, async () => {
      const filter = await readIfAllowed(options)
      if (filter === null)
        return {
          ok: true,
          why: say('packet filters cannot be read without rights; likely nftables'),
        }
      const chain = droppingChain(filter, isNative)
      if (!chain)
        return {
          ok: false,
          why: say('no nft chain on input drops'),
        }
      const name = `${chain.family} ${chain.table} ${chain.name}`
      return {
        ok: true,
        why: say`the nft chain ${name} can drop`,
      }
    }),
  status: (options) => filterStatus('nftables', isNative, options),
  explain,
  open: (request, options) => openWith(hand, request, options),
  byHand: (request, options) => hand.command(request, options),
  undo: (effect, options) => undoWith(hand, effect, options),
  carried: async ({ host, signal }) => carriedIn(await readFilter(looking(host, signal)), isNft),
}

const isNft = (chain: Chain): boolean => chain.owner === 'nft'

/** Null where only a privileged process may look. */
async function readIfAllowed({ host, signal }: FirewallOptions): Promise<PacketFilter | null> {
  try {
    return await readFilter(looking(host, signal))
  } catch (error) {
    if (isNaruError(error, 'NOT_PERMITTED')) return null
    throw error
  }
}

/** Written by an administrator, not kept by another program of ours to ask. */
export const isNative = (chain: Chain): boolean => chain.owner === 'nft' && chain.table !== 'firewalld'

export function droppingChain(filter: PacketFilter, kept: (chain: Chain) => boolean): Chain | null {
  const found = [...filter.chains.values()].find(
    (chain) => chain.base?.hook === 'input' && kept(chain) && !isOurs(chain) && canDrop(filter, chain),
  )
  return found ?? null
}

export async function filterStatus(
  member: string,
  kept: (chain: Chain) => boolean,
  options: FirewallOptions,
): Promise<FirewallStatus> {
  const ports = { first: unnamedPort, last: unnamedPort }
  const [filter, packets] = await look({ protocols: ['tcp'], ports, address: null, sources: [] }, options)
  return {
    member,
    active: droppingChain(filter, kept) !== null,
    defaultInput: defaultInput(filter, packets),
    open: openPorts(filter),
  }
}
