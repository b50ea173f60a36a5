/** Conditions behind `if` and `unless`, as far as they ask for the client's address, the server name or a count. */
import { addressBytes, cidrOrNull, parseCidr, type Cidr } from '../../base/address.ts'
import { holds } from '../shared/access.ts'
import type { Word } from '../shared/words.ts'

export type Condition =
  | { readonly ask: 'always' }
  | {
      readonly ask: 'source'
      readonly cidrs: readonly Cidr[]
      /** Others that haproxy takes for one of them: `alsoMatched`. */
      readonly also: readonly Cidr[]
      readonly negated: boolean
    }
  | { readonly ask: 'server-name'; readonly names: readonly string[]; readonly negated: boolean }
  /** Connections of this source, this one among them, are more than `count`. */
  | { readonly ask: 'connections-above'; readonly count: number }
  | { readonly ask: 'hello' }
  | { readonly ask: 'unknown' }

export type Acls = ReadonlyMap<string, readonly Word[]>

const unknown: Condition = { ask: 'unknown' }

/** @param words from `if` or `unless` on; none is always. */
export function conditionOf(words: readonly Word[], acls: Acls): Condition {
  const [how, ...rest] = words.map(({ text }) => text)
  if (how === undefined) return { ask: 'always' }
  if (how !== 'if' && how !== 'unless') return unknown
  let negated = how === 'unless'
  let term = rest
  if (term[0] === '!') [negated, term] = [!negated, term.slice(1)]
  else if (term[0]?.startsWith('!')) [negated, term] = [!negated, [term[0].slice(1), ...term.slice(1)]]
  if (term[0] === '{' && term.indexOf('}') === term.length - 1) return testOf([term.slice(1, -1)], negated)
  if (term[0] === '{' && !negated) return withoutOthers(term)
  if (term.length !== 1 || !acls.has(term[0] ?? '')) return unknown
  // Several `acl` lines of one name are alternatives.
  const tests = (acls.get(term[0] ?? '') ?? []).map(({ text }) => text.split(' '))
  return testOf(tests, negated)
}

/** `{ src A } !{ src B }` where no client is in both. */
function withoutOthers(term: readonly string[]): Condition {
  const end = term.indexOf('}')
  const [open, ...rest] = term.slice(end + 1)
  if (open !== '!{' || rest.indexOf('}') !== rest.length - 1) return unknown
  const [here, not] = [testOf([term.slice(1, end)], false), testOf([rest.slice(0, -1)], false)]
  if (here.ask !== 'source' || not.ask !== 'source') return unknown
  const meet = here.cidrs.some((a) => not.cidrs.some((b) => holds(a, b) || holds(b, a)))
  return meet ? unknown : { ...here, also: here.also.filter((one) => !not.cidrs.some((b) => holds(b, one))) }
}

/**
 * HAProxy holds an IPv6 client of 6to4 (2002::/16) or of ::/96 against IPv4 prefixes by the address within, and an IPv4
 * client against IPv6 ones as ::ffff:0:0/96 (its pattern.c, pat_match_ip).
 */
function alsoMatched({ family, address, bits }: Cidr): Cidr[] {
  const bytes = [...addressBytes(address)]
  if (family === 6) return bits <= 80 && bytes.every((byte) => byte === 0) ? [parseCidr('0.0.0.0/0')] : []
  const hex = (at: number): string => ((bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0)).toString(16)
  return [
    parseCidr(`2002:${hex(0)}:${hex(2)}::/${16 + bits}`),
    parseCidr(`::${hex(0)}:${hex(2)}/${96 + bits}`),
  ]
}

function testOf(tests: readonly (readonly string[])[], negated: boolean): Condition {
  const all = tests.map(one)
  const [first] = all
  if (!first) return unknown
  if (first.ask === 'source' && all.every((test) => test.ask === 'source'))
    return {
      ask: 'source',
      negated,
      cidrs: all.flatMap((test) => (test.ask === 'source' ? test.cidrs : [])),
      also: all.flatMap((test) => (test.ask === 'source' ? test.also : [])),
    }
  if (first.ask === 'server-name' && all.every((test) => test.ask === 'server-name'))
    return {
      ask: 'server-name',
      negated,
      names: all.flatMap((test) => (test.ask === 'server-name' ? test.names : [])),
    }
  return all.length === 1 && !negated ? first : unknown
}

function one(words: readonly string[]): Condition {
  const [what = '', ...rest] = words
  if (what === 'src') return sources(rest)
  if (/^req[._]ssl_sni$/.test(what)) return names(rest)
  if (/^req[._]ssl_hello_type$/.test(what)) return { ask: 'hello' }
  if (/^(?:src_conn_cur|sc0_conn_cur|sc_conn_cur\(0\))$/.test(what)) return above(rest)
  return unknown
}

function sources(words: readonly string[]): Condition {
  const cidrs: Cidr[] = []
  for (const word of words) {
    const cidr = cidrOrNull(word)
    if (cidr === null) return unknown
    cidrs.push(cidr)
  }
  return cidrs.length > 0
    ? { ask: 'source', cidrs, also: cidrs.flatMap(alsoMatched), negated: false }
    : unknown
}

/** `-i -m end .example.org` is any name below, which we write `*.example.org`. */
function names(words: readonly string[]): Condition {
  const flags = words.filter((word) => word.startsWith('-'))
  const method = words[words.indexOf('-m') + 1]
  const ends = flags.includes('-m') && method === 'end'
  const values = words.filter((word, index) => !word.startsWith('-') && !(words[index - 1] === '-m'))
  if (flags.some((flag) => !['-i', '-m'].includes(flag))) return unknown
  if (flags.includes('-m') && method !== 'end' && method !== 'str') return unknown
  if (values.length === 0 || (ends && !values.every((value) => value.startsWith('.')))) return unknown
  return {
    ask: 'server-name',
    names: values.map((value) => (ends ? `*${value}` : value).toLowerCase()),
    negated: false,
  }
}

function above([operator, value = '']: readonly string[]): Condition {
  if (!/^\d{1,8}$/.test(value)) return unknown
  if (operator === 'gt') return { ask: 'connections-above', count: Number(value) }
  return operator === 'ge' ? { ask: 'connections-above', count: Number(value) - 1 } : unknown
}
