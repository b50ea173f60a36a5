/** This machine has nothing to dial the target from: no free port, or no address of the target's family. */
import { familyOf, formatEndpoint } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import type { Interface } from '../../host/contract.ts'
import { defineCheck, type SeenTarget, type Sighting } from './contract.ts'

export const cannotDial = defineCheck({
  code: 'cannot-dial',
  hop: 'relay',
  title: say('this machine cannot dial the target'),
  explains: say(
    'Connects to each target, as the relay would. EADDRNOTAVAIL is this machine’s own word: every port that it dials from is taken towards that target, or IPv6 is switched off here.',
  ),
  remedy: say(
    'give the system more ports to dial from, or aim the rule at an address of a family that this machine has',
  ),
  cheap: true,
  async look({ look, rule }) {
    const lacking = (await look.targets()).filter(
      ({ dialled }) => dialled !== null && lacks.has(dialled.errno),
    )
    if (lacking.length === 0) return null
    const interfaces = await look.interfaces()
    return lacking.map((target) =>
      hasFamilyOf(target, interfaces) ? portsUsedUp(target) : familyOff(target, rule?.name ?? 'NAME'),
    )
  },
})

const lacks: ReadonlySet<string | null> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT'])

const placeOf = ({ addresses, port }: SeenTarget): string => formatEndpoint(addresses[0] ?? '', port)

function hasFamilyOf({ addresses }: SeenTarget, interfaces: readonly Interface[]): boolean {
  const family = familyOf(addresses[0] ?? '')
  return interfaces.some((one) => one.addresses.some((own) => own.family === family))
}

function portsUsedUp(target: SeenTarget): Sighting {
  const where = placeOf(target)
  return {
    evidence: [
      say`dialling ${where} fails at once (EADDRNOTAVAIL): each port that this machine dials from is taken towards it`,
    ],
    fixes: [
      {
        text: say('see what holds them'),
        command: `ss -tan dst ${where}`,
      },
      {
        text: say('give the system more ports to dial from'),
        command: 'sudo sysctl -w net.ipv4.ip_local_port_range="1024 65535"',
      },
    ],
  }
}

function familyOff(target: SeenTarget, rule: string): Sighting {
  const where = placeOf(target)
  return {
    evidence: [
      say`${target.text} is ${where}, and this machine has no IPv${familyOf(target.addresses[0] ?? '')} address`,
    ],
    fixes: [
      {
        text: say('aim the rule at an IPv4 address'),
        command: `naru edit ${rule} --target ADDRESS:${target.port}`,
      },
    ],
  }
}
