/** One `-A CHAIN …` line of iptables-save as what it matches and where it sends. */
import { canonicalAddress, cidrOrNull, type Cidr } from '../../base/address.ts'
import type { Protocol } from '../../base/port.ts'
import type { Place } from '../../model/exchange.ts'
import type { Word } from '../contract/words.ts'

export interface Match {
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
  /** Matches that a rule of ours cannot have, as written. */
  readonly others: readonly string[]
}

export interface Entry {
  readonly chain: string
  readonly match: Match
  readonly target: string
  /** `10.0.0.2:80` of DNAT, `8080` of REDIRECT. */
  readonly to: string | null
  readonly place: Place
  readonly text: string
  /** Where `-I` puts it in its chain, from 0; null at the end. */
  readonly at: number | null
}

export const noMatch: Match = {
  protocol: null,
  ports: null,
  source: null,
  notSources: [],
  destination: null,
  comment: null,
  family: null,
  changed: false,
  asked: null,
  others: [],
}

/** Modules whose only word is what we read anyway. */
const quiet = /^(?:tcp|udp|comment|addrtype|multiport|conntrack|state)$/

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
  '--goto': '-g',
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
}

function optionOf(word: string): string {
  const exact = Object.hasOwn(long, word) ? long[word] : undefined
  if (exact !== undefined || !word.startsWith('--')) return exact ?? word
  const meant = new Set(Object.keys(long).flatMap((name) => (name.startsWith(word) ? long[name] : [])))
  const [only = word] = meant
  return meant.size === 1 ? only : word
}

/** Null where it is no rule that iptables would print. */
export function entryOf(words: readonly Word[], text: string): Entry | null {
  const scan = new Scan(words)
  let chain = ''
  let target = ''
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
        const protocol = scan.next()
        if (protocol === 'tcp' || protocol === 'udp') match = { ...match, protocol }
        else others.push(`-p ${protocol}`)
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
        if (type !== 'LOCAL') others.push(`--dst-type ${type}`)
        break
      }
      case '--ctstate': {
        const state = scan.next()
        if (state === 'DNAT') match = { ...match, changed: true }
        else if (state !== 'NEW') others.push(`--ctstate ${state}`)
        break
      }
      case '--ctorigdstport':
        match = { ...match, asked: scan.next() }
        break
      case '-j':
      case '-g':
        target = scan.next()
        break
      case '--to':
        to = scan.next()
        break
      case '':
        return null
      default:
        odd(scan.valuesAhead())
    }
  }
  const place = words[0]?.place
  if (chain === '' || !place) return null
  return { chain, match: { ...match, others, notSources }, target, to, place, text, at }
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
