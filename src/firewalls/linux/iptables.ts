/** iptables and ip6tables, over nftables or legacy: each chain is changed by the tool that keeps it. */
import { say } from '../../base/text.ts'
import { readFilter, type Chain } from '../../host/simulate/index.ts'
import type { FirewallMember } from '../contract.ts'
import { looking } from './hand.ts'
import { onLinux } from './linux.ts'
import { droppingChain, filterStatus } from './nftables.ts'
import { carriedIn, chainHand } from './entries.ts'
import { explain, openWith, undoWith } from './packet-filter.ts'

const hand = chainHand('iptables')

export const iptables: FirewallMember = {
  id: 'iptables',
  detect: (options) =>
    onLinux(options, async () => {
      const filter = await readFilter(looking(options.host, options.signal))
      const chain = droppingChain(filter, isIptables)
      if (!chain)
        return {
          ok: false,
          why: say('no iptables chain on input drops'),
        }
      const kind = chain.owner === 'iptables-legacy' ? 'legacy' : 'nf_tables'
      const name = `${chain.table} ${chain.name}`
      return {
        ok: true,
        why: say`iptables (${kind}) ${name} can drop`,
      }
    }),
  status: (options) => filterStatus('iptables', isIptables, options),
  explain,
  open: (request, options) => openWith(hand, request, options),
  byHand: (request, options) => hand.command(request, options),
  undo: (effect, options) => undoWith(hand, effect, options),
  carried: async ({ host, signal }) => carriedIn(await readFilter(looking(host, signal)), isIptables),
}

const isIptables = (chain: Chain): boolean => chain.owner !== 'nft'
