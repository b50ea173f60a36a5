/**
 * How the target's answer comes back. Where this machine is the target's gateway, answers pass through it anyway and
 * the target may see the client; everywhere else the client is hidden behind this machine's address (masquerade).
 */
import { addressBytes, canonicalAddress, type Family } from '../../base/address.ts'
import { say, type Text } from '../../base/text.ts'
import type { Interface } from '../../host/contract.ts'
import type { Rule, SourceMode } from '../../model/rule.ts'
import type { WayBack } from './compile.ts'

export interface ReturnWay {
  readonly wayBack: WayBack
  readonly why: Text
  /** The interface on whose link the target is, where it keeps the client's address. */
  readonly link: string | null
}

export function chooseWayBack(
  source: SourceMode,
  target: string,
  interfaces: readonly Interface[],
): ReturnWay {
  const link = interfaces.find((candidate) => isOnLink(candidate, target)) ?? null
  if (source === 'keep')
    return {
      wayBack: 'keep',
      link: link?.name ?? null,
      why: say('the target sees the client; its way back must lead through this machine'),
    }
  if (source === 'auto' && link && isGatewayOf(link))
    return {
      wayBack: 'keep',
      link: link.name,
      why: say`the target sees the client: this machine is its gateway on ${link.name}`,
    }
  return {
    wayBack: 'hide',
    link: null,
    why:
      source === 'relay'
        ? say('the target sees this machine as the client')
        : say('the target sees this machine as the client: its way back to others may not lead through here'),
  }
}

/**
 * UDP whose clients are hidden is better carried in user space: each session takes one of this machine's ports towards
 * the target, and conntrack puts out no silent one for a newer one, whoever floods it, also with made-up sources. A name
 * server with 215 questions a second, kept for five minutes each, has none left without any flood. Of a guest it is
 * known only once it is resolved; whoever asks for this engine by its name has it so.
 */
export async function noOfSessions(
  { engine, listen, source, targets }: Rule,
  interfaces: () => Promise<readonly Interface[]>,
): Promise<Text | null> {
  const to = targets[0]?.to
  if (engine !== 'auto' || listen.kind !== 'inet' || !listen.protocols.includes('udp')) return null
  if (to?.kind !== 'inet') return null
  const address = canonicalAddress(to.host)
  const isHidden =
    source !== 'keep' &&
    (address === null || chooseWayBack(source, address, await interfaces()).wayBack === 'hide')
  return isHidden ? noPortsLeft : null
}

const noPortsLeft = say(
  'conntrack has 64,512 UDP sessions towards a target that sees this machine as the client, and puts out none for a newer one: one client could take them all',
)

/** Bridges that Docker, Podman, LXC and libvirt make have this machine as their default gateway; VMware's do not. */
function isGatewayOf({ name }: Interface): boolean {
  return /^(docker\d|br-[0-9a-f]{12}$|podman\d|cni-podman|virbr\d|lxcbr\d|lxdbr\d|incusbr)/.test(name)
}

export function isOnLink({ addresses, up }: Interface, target: string): boolean {
  const family: Family = target.includes(':') ? 6 : 4
  return up && addresses.some((own) => own.family === family && samePrefix(own.address, target, own.bits))
}

function samePrefix(a: string, b: string, bits: number): boolean {
  const [one, other] = [addressBytes(a), addressBytes(b)]
  for (let bit = 0; bit < bits; bit++) {
    const mask = 0x80 >> (bit & 7)
    if ((one[bit >> 3]! & mask) !== (other[bit >> 3]! & mask)) return false
  }
  return true
}
