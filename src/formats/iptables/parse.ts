/** One `-A CHAIN …` line of iptables-save as what it matches and where it sends. */
import { canonicalAddress, cidrOrNull, type Cidr } from '../../base/address.ts'
import type { Protocol } from '../../base/port.ts'
import type { SourcePlace } from '../../model/import-export.ts'
import type { Word } from '../shared/words.ts'

export interface IptablesMatch {
  readonly protocol: Protocol | null
  /** As written there: `8000:8100`, or several with commas. */
  readonly ports: string | null
  readonly source: Cidr | null
  /** Sources that it is not for (`! -s`). */
  readonly notSources: readonly Cidr[]
  readonly destination: Cidr | null
  readonly comment: string | null
  readonly family: 4 | 6 | null
  /** Connections whose destination was changed: on the way out, ours. */
  readonly changed: boolean
  /** The port that they asked for before it was. */
  readonly asked: string | null
  /** It is for an address of this machine (`addrtype`). */
  readonly local: boolean
  /** No first packet of another machine's connection is like this. */
  readonly never: boolean
  /** Matches that a rule of ours cannot have, as written. */
  readonly others: readonly string[]
}

export interface IptablesRule {
  readonly chain: string
  readonly match: IptablesMatch
  readonly target: string
  /** `-g`: what falls out of the chain that it goes to does not come back here. */
  readonly goes: boolean
  /** `10.0.0.2:80` of DNAT, `8080` of REDIRECT. */
  readonly to: string | null
  readonly place: SourcePlace
  readonly text: string
  /** Where `-I` puts it in its chain, from 0; null at the end. */
  readonly at: number | null
}

export const noMatch: IptablesMatch = {
  protocol: null,
  ports: null,
  source: null,
  notSources: [],
  destination: null,
  comment: null,
  family: null,
  changed: false,
  asked: null,
  local: false,
  never: false,
  others: [],
}

/** Modules whose only word is what we read anyway. */
const quiet = /^(?:tcp|udp|comment|addrtype|multiport|conntrack|state|rpfilter)$/
/** What only a target has, with its values; a match may stand behind the target too. */
const ofTarget =
  /^--(?:reject-with|log-|nflog-|ulog-|set-|or-mark|and-mark|xor-mark|save-|restore-|nfmask|ctmask|mask$|random|persistent|clamp-|ttl-|hl-|zone|notrack|queue-|add-set|del-set|exist|timeout|type|gateway|level|prefix)/

/** Options by their long names; iptables takes any beginning of one that is no beginning of another. */
const long: Readonly<Record<string, string>> = {
  '--append': '-A',
  '--insert': '-I',
  '--protocol': '-p',
  '--source': '-s',
  '--src': '-s',
  '--destination': '-d',
  '--dst': '-d',
  '--in-interface': '-i',
  '--out-interface': '-o',
  '--jump': '-j',
  '--match': '-m',
  '--ipv4': '-4',
  '--ipv6': '-6',
  '--dport': '--dport',
  '--dports': '--dport',
  '--destination-port': '--dport',
  '--destination-ports': '--dport',
  '--sport': '--sport',
  '--sports': '--sport',
  '--source-port': '--sport',
  '--source-ports': '--sport',
  '--to-destination': '--to',
  '--to-ports': '--to',
  '--to-source': '--to',
  '--comment': '--comment',
  '--dst-type': '--dst-type',
  '--src-type': '--src-type',
  '--src-range': '--src-range',
  '--dst-range': '--dst-range',
  '--ctstate': '--ctstate',
  '--state': '--ctstate',
  '--ctorigdst': '--ctorigdst',
  '--ctorigdstport': '--ctorigdstport',
  '--ctorigsrc': '--ctorigsrc',
  '--goto': '-g',
  '--syn': '--syn',
  '--tcp-flags': '--tcp-flags',
  '--fragment': '-f',
}

function optionOf(word: string): string {
  const exact = Object.hasOwn(long, word) ? long[word] : undefined
  if (exact !== undefined || !word.startsWith('--')) return exact ?? word
  const meant = new Set(Object.keys(long).flatMap((name) => (name.startsWith(word) ? long[name] : [])))
  const [only = word] = meant
  return meant.size === 1 ? only : word
}

/** Null where it is no rule that iptables would print. */
// oxlint-disable-next-line max-lines-per-function -- a table: one case an option
export function entryOf(words: readonly Word[], text: string): IptablesRule | null {
  const scan = new Scan(words)
  let chain = ''
  let target = ''
  let goes = false
  let to: string | null = null
  let match = noMatch
  let at: number | null = null
  const others: string[] = []
  const notSources: Cidr[] = []
  while (!scan.done) {
    const negated = scan.take('!')
    const option = optionOf(scan.next())
    const odd = (count: number): void =>
      void others.push([...(negated ? ['!'] : []), option, ...scan.many(count)].join(' '))
    const first = firstPacket(option, negated, scan)
    if (first !== null) {
      match = { ...match, never: match.never || !first }
      continue
    }
    if (negated && option !== '-m') {
      const source = option === '-s' ? cidrOf(scan.ahead) : null
      if (source) {
        notSources.push(source)
        scan.next()
      } else odd(Math.max(1, scan.valuesAhead()))
      continue
    }
    switch (option) {
      case '-A':
        chain = scan.next()
        break
      case '-I':
        chain = scan.next()
        at = /^\d{1,6}$/.test(scan.ahead) ? Number(scan.next()) - 1 : 0
        break
      case '-4':
      case '-6':
        match = { ...match, family: option === '-4' ? 4 : 6 }
        break
      case '-p': {
        const protocol = protocolNames[scan.ahead] ?? scan.ahead
        scan.next()
        if (protocol === 'tcp' || protocol === 'udp') match = { ...match, protocol }
        else if (protocol !== 'all') match = { ...match, never: true }
        break
      }
      case '--dport':
        match = { ...match, ports: scan.next() }
        break
      case '-s':
      case '-d': {
        const written = scan.next()
        const cidr = cidrOf(written)
        if (cidr === null) others.push(`${option} ${written}`)
        else match = option === '-s' ? { ...match, source: cidr } : { ...match, destination: cidr }
        break
      }
      case '-m': {
        const name = scan.next()
        if (!quiet.test(name)) others.push(`-m ${name}`)
        break
      }
      case '--comment':
        match = { ...match, comment: scan.next() }
        break
      case '--dst-type': {
        const type = scan.next()
        if (type === 'LOCAL') match = { ...match, local: true }
        else others.push(`--dst-type ${type}`)
        break
      }
      case '--ctstate':
        scan.next()
        match = { ...match, changed: true }
        break
      case '--ctorigdstport':
        match = { ...match, asked: scan.next() }
        break
      case '-j':
      case '-g':
        target = scan.next()
        goes = option === '-g'
        break
      case '--to':
        to = scan.next()
        break
      case '':
        return null
      default:
        if (target !== '' && ofTarget.test(option)) scan.many(scan.valuesAhead())
        else odd(scan.valuesAhead())
    }
  }
  const place = words[0]?.place
  if (chain === '' || !place) return null
  return { chain, match: { ...match, others, notSources }, target, goes, to, place, text, at }
}

/** By number too, as protocols(5) has them. */
const protocolNames: Readonly<Record<string, string>> = { 6: 'tcp', 17: 'udp', 0: 'all' }

/**
 * What is known of the first packet of another machine's connection: null where the option does not ask that, else
 * whether such a packet is meant. It came in by no loopback, is no fragment, is new, and over TCP has SYN alone.
 */
function firstPacket(option: string, negated: boolean, scan: Scan): boolean | null {
  const is = (answer: boolean, values: number): boolean => {
    scan.many(values)
    return answer !== negated
  }
  switch (option) {
    case '-i':
      return scan.ahead === 'lo' ? is(false, 1) : null
    case '-f':
      return is(false, 0)
    case '--syn':
      return is(true, 0)
    case '--tcp-flags': {
      const [mask = '', flags] = scan.peek(2)
      const asks = mask === 'ALL' || mask.split(',').includes('SYN')
      return is(asks ? flags === 'SYN' : flags === 'NONE', 2)
    }
    case '--ctstate': {
      const states = scan.ahead.split(',')
      if (states.includes('NEW')) return is(true, 1)
      // Whether it is changed by then is a question of where it is asked.
      return states.includes('DNAT') ? null : is(false, 1)
    }
    // A stranger who comes another way than he is reached opens no connection.
    case '--loose':
    case '--validmark':
    case '--accept-local':
      return is(true, 0)
    case '--invert':
      return is(false, 0)
    default:
      return null
  }
}

class Scan {
  readonly #words: readonly string[]
  #at = 0

  constructor(words: readonly Word[]) {
    this.#words = words.flatMap(({ text, quoted }) => (quoted ? text : apart(text)))
  }

  /** The next word, which is not taken. */
  get ahead(): string {
    return this.#words[this.#at] ?? ''
  }

  peek(count: number): readonly string[] {
    return this.#words.slice(this.#at, this.#at + count)
  }

  get done(): boolean {
    return this.#at >= this.#words.length
  }

  next(): string {
    return this.#words[this.#at++] ?? ''
  }

  take(word: string): boolean {
    if (this.#words[this.#at] !== word) return false
    this.#at++
    return true
  }

  many(count: number): string[] {
    const taken = this.#words.slice(this.#at, this.#at + count)
    this.#at += count
    return taken
  }

  /** Words that are no option belong to the one before. */
  valuesAhead(): number {
    const rest = this.#words.slice(this.#at)
    const next = rest.findIndex((word) => word.startsWith('-') || word === '!')
    return next === -1 ? rest.length : next
  }
}

/** `--dport=80` and `-ptcp` are two words each. */
function apart(word: string): string[] {
  const [, name, value] = /^(--[a-z-]{1,40})=(.*)$/.exec(word) ?? /^(-[AIpsdiojgm])([^-].*)$/.exec(word) ?? []
  return name === undefined || value === undefined ? [word] : [name, value]
}

function cidrOf(text: string): Cidr | null {
  const [address = '', bits] = text.split('/')
  const mask = bits?.includes('.') ? maskBits(bits) : bits
  return mask === null ? null : cidrOrNull(mask === undefined ? address : `${address}/${mask}`)
}

/** `255.255.0.0` as old versions print it. */
function maskBits(mask: string): string | null {
  if (canonicalAddress(mask) === null) return null
  const bits = mask
    .split('.')
    .map((octet) => Number(octet).toString(2).padStart(8, '0'))
    .join('')
  return /^1*0*$/.test(bits) ? String(bits.replaceAll('0', '').length) : null
}
