/**
 * What keeps a machine closed that forwarded nothing before us. The same chains stand twice: in our table, where they
 * outlive this process, and in a table that belongs to a held child (`nft -i`, NFT_TABLE_F_OWNER, Linux 5.12), which
 * `nft flush ruleset` and a restart of nftables leave alone. Whichever goes, the other stands until it is back.
 */
import { withLimit, pause } from '../../base/clock.ts'
import type { Family } from '../../base/address.ts'
import { NaruError } from '../../base/errors.ts'
import type { HeldCommand, Runner } from '../../host/contract.ts'
import type { Nft, NftObject } from '../../linux/nft.ts'
import { guardTable } from '../../linux/own-names.ts'

/** Bits of conntrack's label: a connection to one of our ports, and one of those that another's chain sent on. */
export const asked = 126
export const notOurs = 127

/** What each guard lets pass beside our own connections. */
export interface Closed {
  /** Families of which nothing is forwarded but our connections. */
  readonly families: readonly Family[]
  /** Interfaces that forwarded before, in a family that is closed otherwise. */
  readonly open: Readonly<Record<Family, readonly string[]>>
}

export const guardSets = `  set closed { type nf_proto; }
  set open4 { type ifname; }
  set open6 { type ifname; }`

/** @param first a rule more, for what is no connection of ours */
export function guardChains(first = ''): string {
  return `  chain to_loopback {
    ct state invalid,untracked drop
    ct direction reply accept
    ct original ip daddr 127.0.0.0/8 drop
  }
  chain martian { type filter hook prerouting priority -300; policy accept;
    iifname != "lo" ip saddr 127.0.0.0/8 drop comment "route_localnet lets them in"
  }
  chain loopback { type filter hook input priority -300; policy accept;
    iifname "lo" accept
    ip daddr 127.0.0.0/8 goto to_loopback comment "only what came to us is un-NATed to loopback"
  }
  chain stranger {
    ${first}
    meta nfproto != @closed return
    meta nfproto ipv4 iifname @open4 return
    meta nfproto ipv6 iifname @open6 return
    drop comment "this machine did not forward it before naru"
  }
  chain passing { type filter hook forward priority -1; policy accept;
    ct label ${notOurs} goto stranger
    ct label ${asked} accept
    goto stranger
  }`
}

/** How long the child may take to put it in place, ms. */
const placeMs = 5000
/** Names that nft's text can say; an interface of another name stays closed. */
export const isPlainName = (name: string): boolean => /^[\w.:@+-]{1,15}$/.test(name)

/** A process may have several. */
let made = 0

/** The guard that no flush takes away. It stands as long as this process holds it. */
export class Guard {
  readonly #runner: Runner
  readonly #nft: Nft
  readonly #name: string
  /** Told when it is gone, and why. */
  readonly #onLost: (why: string) => void
  #child: HeldCommand | null = null
  #said: string[] = []
  #stands = ''

  constructor(runner: Runner, nft: Nft, owner: string, onLost: (why: string) => void) {
    this.#runner = runner
    this.#nft = nft
    this.#name = `naru_guard_${owner.replace('-', '_')}_${made++}`
    this.#onLost = onLost
  }

  get stands(): boolean {
    return this.#stands !== ''
  }

  /** Lets pass what `closed` says and nothing else. Resolves once it was read back. @throws NaruError COMMAND_FAILED */
  async hold(closed: Closed): Promise<void> {
    const wanted = JSON.stringify(closed)
    if (this.#stands === wanted && this.#child) return
    const child = (this.#child ??= this.#start())
    for (const line of this.#elements(closed)) child.write(`${line}\n`)
    const mark = `read_${String(Date.now())}_${Math.random().toString(36).slice(2)}`
    child.write(`add counter inet ${this.#name} ${mark}\n`)
    const end = Date.now() + placeMs
    while (
      this.#child === child &&
      Date.now() < end &&
      !this.#said.some((line) => line.startsWith('Error'))
    ) {
      const found = await this.#nft.list(['-t', 'list', 'counters', 'table', 'inet', this.#name], {
        signal: withLimit(undefined, placeMs),
      })
      if (found?.some(({ counter }) => counter?.name === mark)) {
        child.write(`delete counter inet ${this.#name} ${mark}\n`)
        await this.#readBack(closed)
        this.#stands = wanted
        return
      }
      await pause(5)
    }
    throw this.#failed(this.#said.slice(-3).join(' '))
  }

  /** What the guards of other Narus on this network close, which no flush makes unknown. */
  async others(): Promise<readonly Closed[]> {
    const limit = { signal: withLimit(undefined, placeMs) }
    const chains = (await this.#nft.list(['list', 'chains', 'inet'], limit)) ?? []
    const isOther = (name: unknown): name is string =>
      typeof name === 'string' && guardTable.test(name) && name !== this.#name
    const names = [...new Set(chains.map(({ chain }) => chain?.table).filter(isOther))]
    return Promise.all(
      names.map(async (name) => {
        const within = async (set: string): Promise<string[]> =>
          elements((await this.#nft.list(['list', 'set', 'inet', name, set], limit)) ?? [], set).map(String)
        const [closed, four, six] = await Promise.all([within('closed'), within('open4'), within('open6')])
        const families = ([4, 6] as const).filter((family) => closed.includes(protoOf(family)))
        return { families, open: { 4: four, 6: six } }
      }),
    )
  }

  async end(): Promise<void> {
    const child = this.#child
    this.#child = null
    this.#stands = ''
    await child?.end()
  }

  #start(): HeldCommand {
    this.#said = []
    const child = this.#runner.hold(['nft', '-i'], {
      reads: true,
      onLine: (line) => void (this.#said = [...this.#said.slice(-9), line]),
      onEnd: (why) => {
        if (this.#child !== child) return
        this.#child = null
        this.#stands = ''
        this.#onLost(why)
      },
    })
    const text = `add table inet ${this.#name} { flags owner; ${guardSets}\n${guardChains()}\n}`
    // nft -i reads a line at a time.
    child.write(
      `${text
        .replace(/ comment "[^"]*"/g, '')
        .replace(/([{;])\s+/g, '$1 ')
        .replace(/\n\s*/g, '; ')}\n`,
    )
    return child
  }

  #elements({ families, open }: Closed): string[] {
    const of = (set: string, values: readonly string[]): string[] => [
      `flush set inet ${this.#name} ${set}`,
      ...(values.length > 0 ? [`add element inet ${this.#name} ${set} { ${values.join(', ')} }`] : []),
    ]
    const quoted = (names: readonly string[]): string[] =>
      names.filter(isPlainName).map((name) => `"${name}"`)
    return [
      // Closing comes before opening, so that nothing passes between two lines.
      ...(families.length > 0
        ? [`add element inet ${this.#name} closed { ${families.map(protoOf).join(', ')} }`]
        : [`flush set inet ${this.#name} closed`]),
      ...of('open4', quoted(open[4])),
      ...of('open6', quoted(open[6])),
    ]
  }

  async #readBack({ families }: Closed): Promise<void> {
    const objects = await this.#nft.list(['list', 'table', 'inet', this.#name], {
      signal: withLimit(undefined, placeMs),
    })
    const chains = (objects ?? []).filter(({ chain }) => chain?.name === 'passing')
    const closed = elements(objects ?? [], 'closed')
    if (chains.length === 1 && families.every((family) => closed.includes(protoOf(family)))) return
    throw this.#failed(this.#said.slice(-3).join(' '))
  }

  #failed(said: string): NaruError {
    const stderr = said || 'the guard that a flush leaves alone could not be put in place'
    return new NaruError('COMMAND_FAILED', { command: 'nft -i', exit: 1, stderr })
  }
}

export const protoOf = (family: Family): string => `ipv${family}`

function elements(objects: readonly NftObject[], name: string): unknown[] {
  const set = objects.find((object) => object.set?.name === name)?.set
  return (set?.elem as unknown[] | undefined) ?? []
}
