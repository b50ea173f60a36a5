/** The rule listens on one address, which this machine has no longer: DHCP gave another, or a VPN or a failover took it. */
import { addressRange, canonicalAddress } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import type { Interface } from '../../host/contract.ts'
import { formatListen } from '../../model/listen.ts'
import { defineCheck, listenOf } from './contract.ts'

export const addressGone = defineCheck({
  code: 'address-gone',
  hop: 'relay',
  title: say('this machine does not have the address that the rule listens on'),
  explains: say(
    'No interface has the address of the rule’s listen, and no local route leads to it. A socket that was bound before stays open and hears nothing.',
  ),
  remedy: say('listen on every address, or on one that this machine keeps'),
  cheap: true,
  async look(subject, { signal }) {
    const { look, host, rule } = subject
    const listen = listenOf(subject)
    const address = listen?.address ?? null
    if (!listen || address === null || address === '0.0.0.0' || address === '::') return null
    const interfaces = await look.interfaces()
    if (isHere(address, interfaces)) return null
    // A prefix that is local as a whole is on no interface.
    const way = await host.network.routeTo(address, { signal })
    if (interfaces.some(({ name, kind }) => kind === 'loopback' && name === way?.interface)) return null
    const lan = await look.lan()
    return {
      evidence: [
        say`${address} is on none of its interfaces`,
        ...(lan ? [say`towards the router this machine is ${lan.address} now`] : []),
      ],
      fixes: [
        {
          text: say('listen on every address'),
          command: `naru edit ${rule?.name ?? 'NAME'} --listen ${formatListen({ ...listen, address: null })}`,
          ours: true,
        },
        {
          instead: true,
          text: say(
            'give this machine the address again; one that moves between machines may be at the other',
          ),
        },
      ],
    }
  },
})

/** With a zone it is that interface's alone. */
function isHere(address: string, interfaces: readonly Interface[]): boolean {
  const [bare = '', zone] = address.split('%')
  if (addressRange(bare) === 'loopback') return true
  const wanted = canonicalAddress(bare)
  return interfaces.some(
    ({ name, addresses }) =>
      (zone === undefined || zone === name) &&
      addresses.some((own) => canonicalAddress(own.address) === wanted),
  )
}
