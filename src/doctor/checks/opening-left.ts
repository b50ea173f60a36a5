/** The host firewall lets a port in for a Naru that has forgotten it: a saved ruleset brought it back. */
import { say } from '../../base/text.ts'
import { defineCheck } from './contract.ts'

/** Named one by one, so that the page stays one. */
const mostNamed = 10

export const openingLeft = defineCheck({
  code: 'opening-left',
  hop: 'firewall',
  severity: 'warns',
  title: say('an opening of a Naru that has forgotten it', '기록에 없는 Naru의 허용 규칙이 남아 있습니다'),
  explains: say(
    'Reads the firewall for rules with the tag of a Naru (`naru:RULE:…`) that no journal of this state folder has. A saved ruleset (netfilter-persistent, iptables-save, nft list ruleset) brings them back; those with the mark of this state folder are closed by the next start, the others may be another Naru’s: of another user, or in a container on this network.',
    '방화벽에서 Naru 태그(`naru:규칙:…`)가 있지만 이 상태 폴더의 저널에는 없는 규칙을 찾습니다. 저장된 규칙(netfilter-persistent, iptables-save, nft list ruleset)을 복원하면 되살아납니다. 이 상태 폴더의 표시가 있으면 다음에 Naru를 시작할 때 닫히고, 나머지는 다른 사용자나 이 네트워크를 쓰는 컨테이너의 Naru가 연 것일 수 있습니다.',
  ),
  remedy: say('remove it, unless another Naru holds it', '다른 Naru가 쓰는 것이 아니면 지우세요'),
  async look({ rule, look }) {
    if (rule !== null) return null
    const left = await look.unclaimed()
    if (left.length === 0) return null
    const ours = left.some(({ whose }) => whose !== 'unknown')
    return {
      ...(!ours && { severity: 'informs' as const }),
      evidence: left
        .slice(0, mostNamed)
        .map(({ text, whose }) =>
          whose === 'ours'
            ? say(
                `${text}, of this state folder: the next start of Naru closes it`,
                `${text}: 이 상태 폴더의 것으로, 다음에 Naru를 시작하면 닫힙니다`,
              )
            : say(text, text),
        ),
      fixes: left.slice(0, mostNamed).map(({ command, whose }) => ({
        text:
          whose === 'unknown'
            ? say('if no other Naru holds it, remove it', '다른 Naru가 쓰는 것이 아니면 지우세요')
            : say('remove it', '지우세요'),
        command,
      })),
    }
  },
})
