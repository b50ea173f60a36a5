/** What VBoxManage prints, turned into data. It is not localised in these forms. Source: VirtualBox manual, ch. 8. */
import type { Protocol } from '../../base/port.ts'
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
  const nics: { slot: number; type: string; forwards: ListedForward[] }[] = []
  for (const line of text.split(/\r?\n/)) {
    const card = /^nic(\d+)="([^"]+)"$/.exec(line)
    if (card) nics.push({ slot: Number(card[1]), type: card[2] as string, forwards: [] })
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

/** `guestproperty enumerate`: `Name: /VirtualBox/GuestInfo/Net/0/V4/IP, value: 192.168.56.101, timestamp: …` or, since 7.0, `/VirtualBox/GuestInfo/Net/0/V4/IP = '192.168.56.101' @ …`. */
export function parseAddresses(text: string): readonly string[] {
  const row = /\/VirtualBox\/GuestInfo\/Net\/\d+\/V[46]\/IP(?:, value: ([^,\s]+)|\s*=\s*'([^']+)')/g
  return [...text.matchAll(row)].map(([, older, newer]) => (older ?? newer) as string)
}
