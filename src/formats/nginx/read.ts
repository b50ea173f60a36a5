/** Each `server` of nginx's `stream` becomes a rule a `listen`; its targets are those of `proxy_pass`. */
import { canonicalAddress, cidrOrNull, formatCidr, type Cidr } from '../../base/address.ts'
import type { Protocol } from '../../base/port.ts'
import { say, type Text } from '../../base/text.ts'
import type { RuleInput } from '../../model/naru-api.ts'
import { everybody, fromOrder, type AccessEntry } from '../shared/access.ts'
import { listenText, ruleName, type PartLoss, type ImportContext } from '../shared/import-context.ts'
import { neverMs, noSuch, timeOf } from './words.ts'
import { statementsOf } from './files.ts'
import { remark, type Statement } from './tree.ts'
import { Upstreams } from './upstreams.ts'

export function read(text: string, reading: ImportContext): void {
  const top = statementsOf(text, reading)
  const whole = top.some(({ name, block }) => block && /^(?:stream|http|events|mail)$/.test(name))
  if (!whole) return readStream(top, reading)
  for (const statement of top) {
    const { name, args, place, block } = statement
    const what = [name, ...args].join(' ')
    if (name === 'stream' && block) readStream(block, reading)
    else if (name === 'include') reading.lose(place, what, notFollowed)
    else if (name === 'http')
      reading.lose(place, 'http', say('Naru carries TCP and UDP as they are and does not speak HTTP'))
    else if (name !== 'events' && name !== remark) reading.lose(place, what, say('about nginx itself'))
  }
}

const notFollowed = say('it is not followed: import that file too, or what `nginx -T` prints')

/** What a server says beside where it listens; what it does not say it has from `stream`. */
const ownWords =
  /^(?:listen|proxy_pass|proxy_timeout|proxy_connect_timeout|proxy_protocol|proxy_bind|proxy_socket_keepalive|allow|deny|ssl_preread|preread_timeout|limit_conn|set_real_ip_from|server|upstream|map|limit_conn_zone|include)$/

function readStream(statements: readonly Statement[], reading: ImportContext): void {
  const upstreams = new Upstreams(statements)
  const shared = new Inherited(statements)
  let called: string | null = null
  for (const statement of statements) {
    const { name, args, place } = statement
    if (name === remark) {
      called = args[0] ?? null
      continue
    }
    if (name === 'server' && statement.block)
      new Server({ statement, shared, upstreams, name: called, reading }).read()
    else if (name === 'include') reading.lose(place, `include ${args.join(' ')}`, notFollowed)
    else if (!ownWords.test(name)) reading.lose(place, [name, ...args].join(' '), noSuch)
    if (name === 'server') called = null
  }
  for (const loss of upstreams.losses) reading.lose(loss.place, loss.what, loss.why)
}

/** What stands on `stream` itself; thousands of servers ask for it. */
class Inherited {
  readonly #byName = new Map<string, Statement[]>()
  readonly lists: readonly Statement[]

  constructor(statements: readonly Statement[]) {
    const said = statements.filter(({ name, block }) => block === null && name !== remark)
    for (const statement of said) {
      const there = this.#byName.get(statement.name)
      if (there) there.push(statement)
      else this.#byName.set(statement.name, [statement])
    }
    this.lists = said.filter(isAccess)
  }

  all(name: string): readonly Statement[] {
    return this.#byName.get(name) ?? []
  }
}

class Server {
  readonly #statement: Statement
  readonly #said: readonly Statement[]
  /** Its own `allow` and `deny`, or those that it inherits. */
  readonly #lists: readonly Statement[]
  readonly #shared: Inherited
  readonly #upstreams: Upstreams
  readonly #name: string | null
  readonly #reading: ImportContext

  constructor(options: {
    readonly statement: Statement
    readonly shared: Inherited
    readonly upstreams: Upstreams
    /** What a remark of ours calls it. */
    readonly name: string | null
    readonly reading: ImportContext
  }) {
    const { statement, shared } = options
    this.#statement = statement
    this.#said = (statement.block ?? []).filter(({ name: one }) => one !== remark)
    const own = this.#said.filter(isAccess)
    this.#lists = own.length > 0 ? own : shared.lists
    this.#shared = shared
    this.#upstreams = options.upstreams
    this.#name = options.name
    this.#reading = options.reading
  }

  read(): void {
    const listens = this.#said.filter(({ name }) => name === 'listen')
    const pass = this.#one('proxy_pass')
    const { place } = this.#statement
    const leaveOut = (why: Text, what = 'server'): void => this.#reading.leaveOut(place, what, why)
    if (!pass?.args[0]) return leaveOut(say('it passes to nothing'))
    if (this.#access(false) === null)
      return leaveOut(say('who may come in is not said by addresses'), 'allow/deny')
    const losses: PartLoss[] = this.#said
      .filter(({ name }) => !ownWords.test(name))
      .map(({ name, args, place: at }) => ({ place: at, what: [name, ...args].join(' '), why: noSuch }))
    if (
      this.#said.some(({ name }) => name === 'ssl_certificate') ||
      listens.some(({ args }) => args.includes('ssl'))
    )
      return leaveOut(say('TLS ends here; Naru passes it through'), 'listen ssl')
    if (this.#one('proxy_ssl')?.args[0] === 'on')
      return leaveOut(say('TLS is passed through, not spoken'), 'proxy_ssl on')
    const header = this.#one('proxy_protocol')
    if (header && !/^(?:on|off)$/.test(header.args.join(' ')))
      return this.#reading.leaveOut(header.place, textOf(header), headerUnknown)
    const deciding = this.#deciding()
    if (deciding) return this.#reading.leaveOut(deciding.place, textOf(deciding), decidedBy(deciding))
    for (const listen of listens) this.#add(listen, pass.args[0], losses)
    if (listens.length === 0) leaveOut(say('it listens nowhere'))
  }

  /** What says who comes in by what is not known here; a list of its own is all that a server takes of them. */
  #deciding(): Statement | undefined {
    const own = this.#said.find(
      ({ name }) => name === 'include' || name === 'server_name' || programs.includes(name),
    )
    if (own) return own
    const program = programs
      .filter((name) => !this.#said.some((one) => one.name === name))
      .flatMap((name) => this.#shared.all(name))[0]
    return program ?? (this.#said.some(isAccess) ? undefined : this.#shared.all('include')[0])
  }

  #add(listen: Statement, pass: string, losses: PartLoss[]): void {
    const what = `listen ${listen.args.join(' ')}`
    const where = listenOf(listen)
    const leaveOut = (why: Text): void => this.#reading.leaveOut(listen.place, what, why)
    if (where === null) return leaveOut(say('it listens on a name; write the address'))
    if (this.#upstreams.isMap(pass) && this.#one('ssl_preread')?.args[0] !== 'on')
      return this.#reading.leaveOut(listen.place, `proxy_pass ${pass}`, namesUnread)
    const targets = this.#upstreams.targetsOf(pass, where.ports)
    if ('why' in targets) return this.#reading.leaveOut(listen.place, `proxy_pass ${pass}`, targets.why)
    const peerGuard =
      where.acceptProxy && this.#all('set_real_ip_from').length === 0 && this.#peerGuard(targets.rule)
    if (peerGuard) return this.#reading.leaveOut(peerGuard.place, textOf(peerGuard), heldAgainstPeer)
    const access = this.#access(/^\d+(?:-\d+)?\//.test(where.text))
    losses.push(...where.losses)
    this.#reading.add(
      listen.place,
      ruleName(this.#name ?? targets.name ?? ''),
      { listen: where.text, ...targets.rule, ...access, ...this.#policy(where, losses) },
      { what, losses: losses.splice(0) },
    )
  }

  #policy(where: Where, losses: PartLoss[]): RuleInput {
    const timeout = timeOf(this.#one('proxy_timeout')?.args[0])
    const connect = timeOf(this.#one('proxy_connect_timeout')?.args[0])
    const silence = timeout === null ? null : timeout >= neverMs ? '0' : `${timeout}ms`
    const timeouts = {
      ...(connect === null ? {} : { connect: `${connect}ms` }),
      ...(timeout !== null && where.protocol === 'udp' && { udp: `${timeout}ms` }),
      ...(silence !== null && where.protocol !== 'udp' && { idle: silence }),
      ...(where.keepalive === null ? {} : { keepalive: where.keepalive }),
    }
    const perSource = this.#perSource(losses)
    const bind = this.#one('proxy_bind')
    const keep = bind?.args[0] === '$remote_addr' && bind.args[1] === 'transparent'
    if (bind && !keep)
      losses.push({ place: bind.place, what: `proxy_bind ${bind.args.join(' ')}`, why: noSuch })
    const proxied = this.#one('proxy_protocol')?.args[0] === 'on'
    const realIp = this.#all('set_real_ip_from')
    const trusted = realIp.flatMap(({ args }) => args)
    if (where.acceptProxy && realIp[0] && !everybody.every((all) => trusted.includes(formatCidr(all))))
      losses.push({ place: realIp[0].place, what: textOf(realIp[0]), why: headerFromTrusted })
    return {
      timeouts,
      ...(perSource === null ? {} : { limits: { perSource } }),
      ...(proxied ? { source: 'proxy-v1' } : keep ? { source: 'keep' } : {}),
      ...(where.acceptProxy ? { acceptProxy: trusted.length > 0 ? trusted : ['0.0.0.0/0', '::/0'] } : {}),
    }
  }

  #perSource(losses: PartLoss[]): number | null {
    let most: number | null = null
    for (const { args, place } of this.#all('limit_conn')) {
      const [zone = '', count = ''] = args
      if (this.#upstreams.countsSources(zone) && /^[1-9]\d{0,6}$/.test(count)) most ??= Number(count)
      else losses.push({ place, what: `limit_conn ${args.join(' ')}`, why: noSuch })
    }
    return most
  }

  /** Without `set_real_ip_from` nginx goes by the peer that connects, whatever its header says. */
  #peerGuard({ balance }: RuleInput): Statement | undefined {
    return (
      this.#lists.find(({ args }) => args[0] !== 'all') ??
      this.#one('limit_conn') ??
      this.#all('proxy_bind').find(({ args }) => args[0]?.includes('$')) ??
      this.#all('proxy_protocol').find(({ args }) => args[0] === 'on') ??
      (balance === 'source-hash' ? this.#one('proxy_pass') : undefined)
    )
  }

  /** Null where it is not said by addresses; a client that is in none comes in. */
  #access(isDual: boolean): RuleInput | null {
    const known = isDual ? worked.dual : worked.single
    const before = known.get(this.#lists)
    if (before !== undefined) return before
    const access = accessOf(this.#lists, isDual)
    known.set(this.#lists, access)
    return access
  }

  #one(name: string): Statement | undefined {
    return this.#all(name).at(-1)
  }

  #all(name: string): readonly Statement[] {
    const own = this.#said.filter((one) => one.name === name)
    return own.length > 0 ? own : this.#shared.all(name)
  }
}

/** Worked out once for all who share a list, and for all on which one listens. */
const worked = {
  dual: new WeakMap<readonly Statement[], RuleInput | null>(),
  single: new WeakMap<readonly Statement[], RuleInput | null>(),
}

function accessOf(lists: readonly Statement[], isDual: boolean): RuleInput | null {
  const entries: AccessEntry[] = []
  let otherwise: 'allow' | 'deny' = 'allow'
  for (const { name, args } of lists) {
    const action = name as 'allow' | 'deny'
    if (args[0] === 'all') {
      otherwise = action
      break
    }
    const cidr = cidrOrNull(args[0] ?? '')
    if (cidr === null) return null
    entries.push({ action, cidr })
  }
  // A list of IPv6 alone is also held against IPv4 clients of a socket of both, as ::ffff:0:0/96.
  const hasAll = lists.some(({ args }) => args[0] === 'all')
  const wide = entries.find(({ cidr }) => cidr.address === '::' && cidr.bits <= 80)
  const isHeld = isDual && !hasAll && entries.every(({ cidr }) => cidr.family === 6)
  if (isHeld && wide?.action === 'deny') entries.push({ action: 'deny', cidr: everybody[0] as Cidr })
  const { allow, deny } = fromOrder({ entries, otherwise })
  return { ...(allow.length > 0 ? { allow } : {}), ...(deny.length > 0 ? { deny } : {}) }
}

const programs = ['js_access', 'js_preread', 'js_filter']

function decidedBy({ name }: Statement): Text {
  return name === 'include' ? notFollowed : name === 'server_name' ? byServerName : unclear
}

const namesUnread = say('without ssl_preread the name that a client asks for is not read')

const byServerName = say('the server name decides which of the servers on one port takes a client')

const unclear = say('a program decides who comes in and what passes')

const headerUnknown = say('a variable decides whether the target is sent a PROXY header')

const heldAgainstPeer = say(
  'without set_real_ip_from it goes by the peer that connects; a rule goes by whom the PROXY header names',
)

const headerFromTrusted = say(
  'there every peer had to send a header; here one that is not named may come in without, and only without',
)

function textOf({ name, args }: Statement): string {
  return [name, ...args].join(' ')
}

function isAccess({ name }: Statement): boolean {
  return name === 'allow' || name === 'deny'
}

interface Where {
  readonly text: string
  readonly ports: string
  readonly protocol: Protocol
  readonly acceptProxy: boolean
  /** As in a rule's `timeouts`; null where it is not said. */
  readonly keepalive: string | null
  readonly losses: readonly PartLoss[]
}

function listenOf({ args, place }: Statement): Where | null {
  const [address = '', ...options] = args
  const protocol = options.includes('udp') ? 'udp' : 'tcp'
  const common = {
    protocol,
    acceptProxy: options.includes('proxy_protocol'),
    keepalive: keepaliveOf(options.find((option) => option.startsWith('so_keepalive='))),
    losses: options
      .filter((option) => !/^(?:udp|ssl|proxy_protocol|so_keepalive=.*|ipv6only=.*|reuseport)$/.test(option))
      .map((what) => ({ place, what: `listen … ${what}`, why: noSuch })),
  } as const
  if (address.startsWith('unix:')) return { ...common, text: address, ports: '' }
  const [, host, ports = ''] = /^(?:(.*):)?(\d+(?:-\d+)?)$/.exec(address) ?? []
  if (ports === '') return null
  if (host === undefined || host === '*')
    return { ...common, text: listenText('0.0.0.0', ports, [protocol]), ports }
  const plain = host.replaceAll(/[[\]]/g, '')
  if (canonicalAddress(plain) === null) return null
  const both = plain === '::' && options.includes('ipv6only=off')
  return { ...common, text: listenText(both ? null : plain, ports, [protocol]), ports }
}

/** `on`, `off`, or `IDLE:INTERVAL:COUNT`. */
function keepaliveOf(option: string | undefined): string | null {
  const value = option?.slice('so_keepalive='.length)
  if (value === 'off') return '0'
  const idle = timeOf(value?.split(':')[0])
  return value?.includes(':') && idle !== null ? `${idle}ms` : null
}
