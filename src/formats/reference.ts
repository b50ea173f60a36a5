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
      ),
    ),
    '',
    ...paragraphs(
      say(
        'A port and its target are always carried. ◆: without it the rule would be another one or open to others, so a rule that needs it is left out whole. A number is a note below.',
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
      ),
    ),
    '',
    ...paragraphs(
      say(
        'What is imported lets in nobody whom the original turned away. Where a list or a limit is held against the peer that connects while anybody’s PROXY header is read (nginx `listen … proxy_protocol` without `set_real_ip_from`, HAProxy `tcp-request connection` with `accept-proxy`), the forward is left out: a rule goes by whom the header names. So is one whose clients are chosen by what no rule can ask or by a file that is not followed (give what `nginx -T` prints), and a port of iptables of which only a part goes to one target. Of iptables the whole way of a connection is followed, through raw, mangle, nat and filter (PREROUTING, then FORWARD or INPUT): whom they let pass becomes `allow` and `deny`, and where nobody is left, or a set, a rate or a mark decides, the forward is left out. What only somebody who knows the machine can tell is imported with `enabled: false` and named: a forward for one interface (unless the network of that bridge is in the file), and one onto loopback, which a REDIRECT does not reach.',
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
