/** docs/import-export.md: which key of a rule each format carries, made from what the formats say of themselves. */
import { say, type Language, type Text } from '../base/text.ts'
import type { Carry, Format } from './contract.ts'
import { aspectIds, aspects, isVital } from './contract/aspects.ts'
import { readable, writable } from './index.ts'

const generated = '<!-- Made by `node scripts/generate.mjs` from the source. Edit there. -->'

export function formatReference(): string {
  const formats: Format[] = [...new Set<Format>([...writable, ...readable])]
  const notes: Text[] = []
  const cell = (carry: Carry): string => {
    if (typeof carry === 'boolean') return carry ? '✓' : ''
    const at = notes.findIndex(({ en }) => en === carry.en)
    if (at === -1) notes.push(carry)
    return `(${at === -1 ? notes.length : at + 1})`
  }
  const rows = aspectIds.map(
    (id) =>
      `| ${both(aspects[id].text)}${isVital(id) ? ' ◆' : ''} | ${formats.map(({ carries }) => cell(carries[id])).join(' | ')} |`,
  )
  const way = (format: Format): string =>
    [
      ...(readable.some((one) => one === format) ? ['import'] : []),
      ...(writable.some((one) => one === format) ? ['export'] : []),
    ].join(', ')
  return `${[
    generated,
    '',
    '# Import and export',
    '',
    ...paragraphs(
      say(
        '`naru import FILE` adds the forwards of another program, `naru export --to FORMAT` prints rules as another program’s file. Which format a file has is told from its content, or said with `--from`. What cannot be carried over is listed with its line and the reason, and nothing is dropped in silence.',
        '`naru import FILE`은 다른 프로그램의 포워딩을 가져와 추가하고, `naru export --to FORMAT`은 규칙을 다른 프로그램의 설정으로 출력합니다. 파일 형식은 내용으로 판단하거나 `--from`으로 지정합니다. 옮길 수 없는 것은 줄 번호와 이유를 함께 보여 주며, 말없이 빠지는 것은 없습니다.',
      ),
    ),
    '',
    ...paragraphs(
      say(
        'A port and its target are always carried. ◆: without it the rule would be another one or open to others, so a rule that needs it is left out whole. A number is a note below.',
        '포트와 대상은 항상 옮겨집니다. ◆: 이것이 빠지면 다른 규칙이 되거나 더 많은 사람에게 열리므로 규칙을 통째로 뺍니다. 숫자는 아래 설명입니다.',
      ),
    ),
    '',
    `| | ${formats.map(({ id }) => `\`${id}\``).join(' | ')} |`,
    `|---|${formats.map(() => '---|').join('')}`,
    `| | ${formats.map(way).join(' | ')} |`,
    ...rows,
    '',
    ...notes.flatMap((note, index) => [`${index + 1}. ${both(note)}`]),
    '',
    ...formats.map(({ id, title }) => `- \`${id}\`: ${both(title)}`),
    '',
    ...paragraphs(
      say(
        'What a file does not say stays as a new rule of Naru has it: rinetd’s 72 s for UDP are carried, as they are its own; timeouts that nginx or HAProxy would have by default are not. Of iptables, a forward without a masquerade becomes `source: keep`, as the target saw the client’s address there. Only what PREROUTING reaches is read; of other tables it is said how many rules were passed over. A rule whose `until` is over is not exported, as it would be open again.',
        '파일에 없는 값은 Naru 새 규칙의 기본값을 씁니다. rinetd의 UDP 72초는 rinetd 고유의 값이므로 옮기지만, nginx나 HAProxy의 기본 시간 제한은 옮기지 않습니다. iptables에서 masquerade가 없는 포워딩은 대상이 클라이언트 주소를 보던 것이므로 `source: keep`이 됩니다. PREROUTING에서 닿는 것만 읽고, 다른 테이블은 지나친 규칙 수만 알려 줍니다. `until`이 지난 규칙은 다시 열리지 않도록 내보내지 않습니다.',
      ),
    ),
    '',
    ...paragraphs(
      say(
        'What is imported lets in nobody whom the original turned away. Where a list or a limit is held against the peer that connects while anybody’s PROXY header is read (nginx `listen … proxy_protocol` without `set_real_ip_from`, HAProxy `tcp-request connection` with `accept-proxy`), the forward is left out: a rule goes by whom the header names. So is one whose clients are chosen by what no rule can ask, and a port of iptables of which only a part goes to one target. A line of iptables that takes sources away counts as `deny` of every forward behind it that shares a port with it, whatever other ports it is for. Only the nat table is read: where the filter table lets some sources pass alone, write them as `allow`.',
        '가져온 규칙은 원래 거절되던 클라이언트를 들이지 않습니다. 누구의 PROXY 헤더든 읽으면서 목록이나 한도는 접속한 상대의 주소로 판단하는 경우(`set_real_ip_from` 없는 nginx `listen … proxy_protocol`, `accept-proxy`와 함께 쓴 HAProxy `tcp-request connection`)에는 그 포워딩을 뺍니다. 규칙은 헤더에 적힌 주소로 판단하기 때문입니다. 규칙으로 쓸 수 없는 조건으로 클라이언트를 고르는 포워딩과, 트래픽 일부만 한 대상으로 가는 iptables 포트도 뺍니다. 출발지를 먼저 빼내는 iptables 줄은 다른 포트까지 함께 다루더라도, 포트가 겹치는 뒤의 모든 포워딩에 `deny`로 옮깁니다. nat 테이블만 읽으므로 filter 테이블이 일부 출발지만 통과시킨다면 `allow`로 적으세요.',
      ),
    ),
  ].join('\n')}\n`
}

function both({ en, ko }: Text): string {
  return en === ko ? en : `${en} · ${ko}`
}

function paragraphs(text: Record<Language, string>): string[] {
  return [text.en, '', text.ko]
}
