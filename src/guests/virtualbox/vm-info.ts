/** What VBoxManage prints, turned into data. It is not localised in these forms. Source: VirtualBox manual, ch. 8. */
import type { Protocol } from '../../base/port.ts'
import type { Reported } from '../shared/cards.ts'
import type { ListedForward } from '../shared/forwards.ts'

export interface VirtualBoxMachine {
  readonly name: string
  readonly uuid: string
  /** `running`, `poweroff`, `saved`, `paused`, `aborted` … */
  readonly state: string
  readonly nics: readonly VirtualBoxNic[]
}

export interface VirtualBoxNic {
  /** From 1, as `natpf1` counts. */
  readonly slot: number
  /** `nat`, `natnetwork`, `bridged`, `hostonly`, `hostonlynetwork`, `intnet` … */
  readonly type: string
  /** `080027C9F1E5`; empty where it is not told. */
  readonly mac: string
  readonly forwards: readonly ListedForward[]
}

/** `"win10" {0f3c…}` a line. */
export function parseList(text: string): readonly { name: string; uuid: string }[] {
  return [...text.matchAll(/^"(.*)" \{([\da-f-]{36})\}\s*$/gim)].map(([, name = '', uuid = '']) => ({
    name,
    uuid,
  }))
}

/** `showvminfo --machinereadable`: a card's own lines, forwards among them, follow its `nicN=`. */
export function parseMachine(text: string): VirtualBoxMachine {
  const value = (key: string): string => new RegExp(`^${key}="(.*)"\\s*$`, 'm').exec(text)?.[1] ?? ''
  const nics: { slot: number; type: string; mac: string; forwards: ListedForward[] }[] = []
  for (const line of text.split(/\r?\n/)) {
    const card = /^nic(\d+)="([^"]+)"$/.exec(line)
    if (card) {
      const [, slot = '', type = ''] = card
      nics.push({ slot: Number(slot), type, mac: value(`macaddress${slot}`), forwards: [] })
    }
    const forward = /^Forwarding\(\d+\)="(.*)"$/.exec(line)?.[1]
    if (forward) nics.at(-1)?.forwards.push(...parseForward(forward))
  }
  return {
    name: value('name'),
    uuid: value('UUID'),
    state: value('VMState'),
    nics: nics.filter(({ type }) => type !== 'none'),
  }
}

/** `naru-web,tcp,127.0.0.1,8888,,80`: name, protocol, host address and port, guest address and port. */
function parseForward(text: string): readonly ListedForward[] {
  const [tag = '', protocol = '', hostAddress = '', hostPort, , guestPort] = text.split(',')
  if (protocol !== 'tcp' && protocol !== 'udp') return []
  return [
    {
      tag,
      protocol: protocol satisfies Protocol,
      hostAddress: hostAddress === '' || hostAddress === '0.0.0.0' ? null : hostAddress,
      hostPort: Number(hostPort),
      guestPort: Number(guestPort),
    },
  ]
}

/**
 * `guestproperty enumerate`: `Name: /VirtualBox/GuestInfo/Net/0/V4/IP, value: 192.168.56.101, timestamp: …` or, since 7.0,
 * `/VirtualBox/GuestInfo/Net/0/V4/IP = '192.168.56.101' @ …`, and `…/Net/0/MAC` alike, in any order. What the guest gave
 * itself for want of a DHCP server is no way in.
 */
export function parseAddresses(text: string): readonly Reported[] {
  const row =
    /\/VirtualBox\/GuestInfo\/Net\/(\d+)\/(V[46]\/IP|MAC)(?:, value: ([^,\s]+)|[ \t]*=[ \t]*'([^'\n]+)')/g
  const rows = [...text.matchAll(row)].map(([, net = '', what, older, newer]) => ({
    net,
    what,
    value: (older ?? newer) as string,
  }))
  const macs = new Map(rows.filter(({ what }) => what === 'MAC').map(({ net, value }) => [net, value]))
  return rows
    .filter(({ what, value }) => what !== 'MAC' && !/^(?:169\.254\.|fe80:)/i.test(value))
    .map(({ net, value }) => ({ address: value, mac: macs.get(net) ?? null }))
}
