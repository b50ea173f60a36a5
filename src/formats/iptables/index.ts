/** iptables-save and iptables-restore, IPv4 and IPv6. iptables-extensions(8): DNAT, REDIRECT, MASQUERADE. */
import { say } from '../../base/text.ts'
import type { ReadableFormat, WritableFormat } from '../contract.ts'
import { carriesNothing } from '../shared/capabilities.ts'
import { read } from './read.ts'
import { scriptLine } from './tables.ts'
import { write } from './write.ts'

export const iptables: ReadableFormat & WritableFormat = {
  id: 'iptables',
  title: say('iptables-save and ip6tables-save'),
  carries: { ...carriesNothing, udp: true, range: true, allow: true, deny: true, keep: true },
  looksRight: (text) =>
    (/^\*(?:nat|filter|mangle|raw|security)[ \t]{0,40}\r?$/m.test(text) && /^COMMIT\b/m.test(text)) ||
    scriptLine(text) !== null,
  read,
  write,
}
