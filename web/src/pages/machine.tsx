/** What this machine says of itself, a tab a look: addresses, ports, router, firewall, guests. */
import type { ReactNode } from 'react'
import { AddressesTab } from '../machine/addresses.tsx'
import { FirewallTab } from '../machine/firewall.tsx'
import { GuestsTab } from '../machine/guests.tsx'
import { PortsTab } from '../machine/ports.tsx'
import { RouterTab } from '../machine/router.tsx'
import { linkTo } from '../state/place.ts'
import { useWords } from '../words/index.ts'

const tabs = {
  ip: AddressesTab,
  ports: PortsTab,
  router: RouterTab,
  firewall: FirewallTab,
  guests: GuestsTab,
} as const satisfies Record<string, () => ReactNode>

type Tab = keyof typeof tabs

const names = Object.keys(tabs) as Tab[]

export default function MachinePage({ tab }: { readonly tab: string }) {
  const { words } = useWords()
  const shown = names.find((name) => name === tab) ?? 'ip'
  const Shown = tabs[shown]
  return (
    <>
      <h1>{words.machine.title}</h1>
      <nav className="tabs" aria-label={words.machine.title}>
        {names.map((name) => (
          <a key={name} href={linkTo(['machine', name])} aria-current={name === shown ? 'page' : undefined}>
            {words.machine[name]}
          </a>
        ))}
      </nav>
      <Shown key={shown} />
    </>
  )
}
