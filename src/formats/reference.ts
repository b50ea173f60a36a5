/** docs/import-export.md: which key of a rule each format carries, made from what the formats say of themselves. */
import { say, type Language, type Text } from '../base/text.ts'
import type { Carry, Format } from './contract.ts'
import { capabilityIds, capabilities, isVital } from './shared/capabilities.ts'
import { readable, writable } from './index.ts'

const generated = '<!-- Made by `node scripts/generate.mjs` from the source. Edit there. -->'

// oxlint-disable-next-line max-lines-per-function -- the text of one page
export function formatReference(): string {
  const formats: Format[] = [...new Set<Format>([...writable, ...readable])]
  const notes: Text[] = []
  const cell = (carry: Carry): string => {
    if (typeof carry === 'boolean') return carry ? '✓' : ''
    const at = notes.findIndex(({ en }) => en === carry.en)
    if (at === -1) notes.push(carry)
    return `(${at === -1 ? notes.length : at + 1})`
  }
  const rows = capabilityIds.map(
    (id) =>
      `| ${both(capabilities[id].text)}${isVital(id) ? ' ◆' : ''} | ${formats.map(({ carries }) => cell(carries[id])).join(' | ')} |`,
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
        'What a file does not say stays as a new rule of Naru has it: rinetd’s 72 s for UDP are carried, as they are its own; timeouts that nginx or HAProxy would have by default are not. Of iptables, a forward without a masquerade becomes `source: keep`, as the target saw the client’s address there. Only what PREROUTING reaches is a forward. A rule whose `until` is over is not exported, as it would be open again, and none on a Unix socket to nginx, which lets every user of the machine connect there.',
        '파일에 없는 값은 Naru 새 규칙의 기본값을 씁니다. rinetd의 UDP 72초는 rinetd 고유의 값이므로 옮기지만, nginx나 HAProxy의 기본 시간 제한은 옮기지 않습니다. iptables에서 masquerade가 없는 포워딩은 대상이 클라이언트 주소를 보던 것이므로 `source: keep`이 됩니다. PREROUTING에서 닿는 것만 포워딩으로 읽습니다. `until`이 지난 규칙은 다시 열리지 않도록 내보내지 않습니다. Unix 소켓에서 수신하는 규칙은 nginx로 내보내지 않습니다. nginx의 소켓에는 그 컴퓨터의 모든 사용자가 연결할 수 있기 때문입니다.',
      ),
    ),
    '',
    ...paragraphs(
      say(
        'What is imported lets in nobody whom the original turned away. Where a list or a limit is held against the peer that connects while anybody’s PROXY header is read (nginx `listen … proxy_protocol` without `set_real_ip_from`, HAProxy `tcp-request connection` with `accept-proxy`), the forward is left out: a rule goes by whom the header names. So is one whose clients are chosen by what no rule can ask or by a file that is not followed (give what `nginx -T` prints), and a port of iptables of which only a part goes to one target. Of iptables the whole way of a connection is followed, through raw, mangle, nat and filter (PREROUTING, then FORWARD or INPUT): whom they let pass becomes `allow` and `deny`, and where nobody is left, or a set, a rate or a mark decides, the forward is left out. What only somebody who knows the machine can tell is imported with `enabled: false` and named: a forward for one interface (unless the network of that bridge is in the file), and one onto loopback, which a REDIRECT does not reach.',
        '가져온 규칙은 원래 거절되던 클라이언트를 들이지 않습니다. 누구의 PROXY 헤더든 읽으면서 목록이나 한도는 접속한 상대의 주소로 판단하는 경우(`set_real_ip_from` 없는 nginx `listen … proxy_protocol`, `accept-proxy`와 함께 쓴 HAProxy `tcp-request connection`)에는 그 포워딩을 뺍니다. 규칙은 헤더에 적힌 주소로 판단하기 때문입니다. 규칙으로 쓸 수 없는 조건이나 따라가지 않는 파일이 클라이언트를 고르는 포워딩(`nginx -T` 출력을 주면 따라갑니다)과, 트래픽 일부만 한 대상으로 가는 iptables 포트도 뺍니다. iptables에서는 연결이 지나는 길 전체(raw, mangle, nat, filter의 PREROUTING과 이어지는 FORWARD 또는 INPUT)를 따라가, 통과하는 출발지를 `allow`와 `deny`로 옮깁니다. 아무도 남지 않거나 set, 속도, mark가 결정하는 포워딩은 뺍니다. 컴퓨터를 아는 사람만 판단할 수 있는 것은 `enabled: false`로 가져와 알려 줍니다. 특정 인터페이스만을 위한 포워딩(그 브리지의 대역이 파일에 없을 때)과, REDIRECT로는 닿지 않던 루프백으로 가는 포워딩입니다.',
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
