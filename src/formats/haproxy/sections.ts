/** An haproxy.cfg as sections, each with its own lines and those it inherits from the `defaults` before it. */
import { say } from '../../base/text.ts'
import type { SourcePlace } from '../../model/import-export.ts'
import type { ImportContext } from '../shared/import-context.ts'
import { linesOf, type ConfigLine, type Word } from '../shared/words.ts'

export type Kind = 'frontend' | 'backend' | 'listen'

export interface Section {
  readonly kind: Kind
  readonly name: string
  readonly place: SourcePlace
  readonly inherited: readonly ConfigLine[]
  readonly own: ConfigLine[]
}

const proxies: readonly string[] = ['frontend', 'backend', 'listen'] satisfies Kind[]
/** Sections that forward nothing. */
const others =
  /^(?:global|userlist|peers|resolvers|mailers|cache|program|http-errors|ring|fcgi-app|log-forward|crt-store|traces)$/

export function sectionsOf(text: string, reading: ImportContext): Section[] {
  const sections: Section[] = []
  let defaults: ConfigLine[] = []
  const named = new Map<string, ConfigLine[]>()
  let into: ConfigLine[] | null = null
  let isInside = false
  for (const line of linesOf(text, reading)) {
    const [first, second] = line.words
    if (!first) continue
    const opens = first.text === 'defaults' || proxies.includes(first.text) || others.test(first.text)
    isInside ||= opens
    if (first.text === 'defaults') {
      defaults = [...(named.get(fromOf(line.words) ?? '') ?? [])]
      if (second) named.set(second.text, defaults)
      into = defaults
    } else if (proxies.includes(first.text)) {
      if (!second) {
        reading.wrong(first.place, say('the section has no name'))
        return []
      }
      const inherited = named.get(fromOf(line.words) ?? '') ?? defaults
      into = []
      sections.push({ kind: first.text as Kind, name: second.text, place: first.place, inherited, own: into })
      // `listen NAME ADDRESS:PORT`, as before version 1.5.
      const old = fromOf(line.words) === null ? line.words.slice(2) : []
      if (old.length > 0) into.push({ ...line, words: [{ ...first, text: 'bind' }, ...old] })
    } else if (others.test(first.text)) {
      into = null
      reading.lose(first.place, line.text, say('about haproxy itself'))
    } else if (into) into.push(line)
    else if (!isInside) reading.wrong(first.place, say`"${first.text}" stands in no section`)
  }
  return sections
}

/** `defaults NAME from OTHER`, `frontend NAME from DEFAULTS` */
function fromOf(words: readonly Word[]): string | null {
  const at = words.findIndex(({ text }) => text === 'from')
  return at < 2 && words[0]?.text !== 'defaults' ? null : (words[at + 1]?.text ?? null)
}
