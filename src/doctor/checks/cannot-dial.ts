/** This machine has nothing to dial the target from: no free port, or no address of the target's family. */
import { familyOf, formatEndpoint } from '../../base/address.ts'
import { say } from '../../base/text.ts'
import type { Interface } from '../../host/contract.ts'
import { defineCheck, type SeenTarget, type Sighting } from './contract.ts'

export const cannotDial = defineCheck({
  code: 'cannot-dial',
  hop: 'relay',
  title: say('this machine cannot dial the target', '이 컴퓨터에서 대상에 연결을 걸 수 없습니다'),
  explains: say(
    'Connects to each target, as the relay would. EADDRNOTAVAIL is this machine’s own word: every port that it dials from is taken towards that target, or IPv6 is switched off here.',
    '릴레이가 하듯 각 대상에 연결해 봅니다. EADDRNOTAVAIL은 대상이 아니라 이 컴퓨터의 답입니다. 그 대상으로 연결에 쓸 포트가 모두 쓰였거나, 이 컴퓨터에서 IPv6가 꺼져 있습니다.',
  ),
  remedy: say(
    'give the system more ports to dial from, or aim the rule at an address of a family that this machine has',
    '연결에 쓸 포트 범위를 넓히거나, 이 컴퓨터에 있는 주소 체계의 주소로 대상을 바꾸세요',
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
      say(
        `dialling ${where} fails at once (EADDRNOTAVAIL): each port that this machine dials from is taken towards it`,
        `${where}에 연결을 걸자마자 실패합니다(EADDRNOTAVAIL). 연결에 쓸 포트가 그 대상으로 모두 쓰이고 있습니다`,
      ),
    ],
    fixes: [
      {
        text: say('see what holds them', '어떤 연결이 쓰고 있는지 보세요'),
        command: `ss -tan dst ${where}`,
      },
      {
        text: say('give the system more ports to dial from', '연결에 쓸 포트 범위를 넓히세요'),
        command: 'sudo sysctl -w net.ipv4.ip_local_port_range="1024 65535"',
      },
    ],
  }
}

function familyOff(target: SeenTarget, rule: string): Sighting {
  const where = placeOf(target)
  return {
    evidence: [
      say(
        `${target.text} is ${where}, and this machine has no IPv${familyOf(target.addresses[0] ?? '')} address`,
        `${target.text}의 주소는 ${where}인데, 이 컴퓨터에는 IPv${familyOf(target.addresses[0] ?? '')} 주소가 없습니다`,
      ),
    ],
    fixes: [
      {
        text: say('aim the rule at an IPv4 address', '대상을 IPv4 주소로 바꾸세요'),
        command: `naru edit ${rule} --target ADDRESS:${target.port}`,
      },
    ],
  }
}
