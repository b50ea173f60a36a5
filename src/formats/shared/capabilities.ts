/** What a rule may say, one thing at a time: which formats carry it is the table of docs/import-export.md. */
import { say, verbatim, type Text } from '../../base/text.ts'
import { ruleKeys } from '../../model/rule-keys/index.ts'
import { rowsWithin, type KeyMap, type KeyRow, type KeyRows } from '../../model/rule-keys/row.ts'
import { isUsual } from '../../model/schema.ts'
import type { Rule } from '../../model/rule.ts'

interface CapabilityEntry {
  /** Does the rule say it? */
  readonly in: (rule: Rule) => boolean
  /** Without it the rule would be another one or open to others, so it is left out whole. */
  readonly vital?: boolean
  readonly text: Text
}

const protocols = ({ listen }: Rule): readonly string[] => (listen.kind === 'inet' ? listen.protocols : [])
const ranged = ({ listen }: Rule): boolean =>
  listen.kind === 'inet' && listen.ports.first !== listen.ports.last

const targetIs =
  (test: (to: Rule['targets'][number]['to']) => boolean) =>
  ({ targets }: Rule): boolean =>
    targets.some(({ to }) => test(to))

const isAddress = (host: string): boolean => host.includes(':') || /^[\d.]+$/.test(host)

/** Keys of which a format may carry one value and not another, in place of one entry for the whole key. */
const inParts = {
  listen: {
    udp: { in: (rule) => protocols(rule).includes('udp'), text: verbatim('UDP') },
    range: { in: ranged, text: say('a range of ports'), vital: true },
    unixListen: {
      in: ({ listen }) => listen.kind === 'unix',
      text: say('listen on a Unix socket'),
      vital: true,
    },
  },
  target: {
    unixTarget: {
      in: targetIs((to) => to.kind === 'unix'),
      text: say('a Unix socket as target'),
      vital: true,
    },
    nameTarget: {
      in: targetIs((to) => to.kind === 'inet' && !isAddress(to.host)),
      text: say('a name as target'),
      vital: true,
    },
    guestTarget: {
      in: targetIs((to) => to.kind === 'guest'),
      text: say('a guest as target'),
      vital: true,
    },
  },
  targets: {
    targets: {
      in: ({ targets }) => targets.length > 1,
      text: say('several targets'),
      vital: true,
    },
    weight: {
      in: ({ targets }) => targets.some(({ weight }) => weight !== (targets[0]?.weight ?? 1)),
      text: say('weights of targets'),
    },
    backup: {
      in: ({ targets }) => targets.some(({ backup }) => backup),
      text: say('backup targets'),
      vital: true,
    },
    serverName: {
      in: ({ targets }) => targets.some(({ name }) => name !== null),
      text: say('targets by server name'),
      vital: true,
    },
  },
  balance: {
    leastConnections: {
      in: ({ balance }) => balance === 'least-connections',
      text: verbatim('balance: least-connections'),
    },
    sourceHash: { in: ({ balance }) => balance === 'source-hash', text: verbatim('balance: source-hash') },
  },
  source: {
    keep: { in: ({ source }) => source === 'keep', text: verbatim('source: keep') },
    proxyV1: { in: ({ source }) => source === 'proxy-v1', text: verbatim('source: proxy-v1'), vital: true },
    proxyV2: { in: ({ source }) => source === 'proxy-v2', text: verbatim('source: proxy-v2'), vital: true },
  },
  enabled: {
    disabled: { in: ({ enabled }) => !enabled, text: verbatim('enabled: false'), vital: true },
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, CapabilityEntry>>>>

type Rows = typeof ruleKeys
type InParts = typeof inParts
type PartOf<P> = P extends unknown ? keyof P : never
type Told<F> = { [K in keyof F & string]: F[K] extends { readonly loss: false } ? never : K }[keyof F &
  string]
type InnerOf<K extends keyof Rows> = Rows[K] extends { readonly shape: KeyMap<infer F> }
  ? `${K}.${Told<F>}`
  : never
/** A map of keys of which nothing is said as a whole is told key by key: `limits.perSource`. */
type WholeOrEach<K extends keyof Rows> = Rows[K] extends { readonly loss: object }
  ? K
  : Rows[K] extends { readonly shape: { readonly rows: KeyRows } }
    ? InnerOf<K>
    : K

export type Capability =
  | PartOf<InParts[keyof InParts]>
  | { [K in Exclude<Told<Rows>, keyof InParts>]: WholeOrEach<K> }[Exclude<Told<Rows>, keyof InParts>]

/** In the order of a rule's keys. */
export const capabilities = Object.fromEntries(
  Object.entries<KeyRow>(ruleKeys).flatMap(([key, row]): [string, CapabilityEntry][] => {
    if (key in inParts) return Object.entries(inParts[key as keyof InParts])
    if (row.loss === false) return []
    const within = Object.entries(rowsWithin(row))
    const value = (rule: Rule): unknown => rule[key as keyof Rule]
    if (row.loss || within.length === 0) return [[key, entryOf(key, row, value)]]
    return within
      .filter(([, { loss }]) => loss !== false)
      .map(([name, inner]) => {
        const id = `${key}.${name}`
        return [
          id,
          entryOf(id, inner, (rule) => (value(rule) as Record<string, unknown>)[inner.inside ?? name]),
        ]
      })
  }),
) as Readonly<Record<Capability, CapabilityEntry>>

function entryOf(key: string, row: KeyRow, value: (rule: Rule) => unknown): CapabilityEntry {
  const { text = verbatim(key), vital = false } = row.loss || {}
  return { in: (rule) => !isUsual(value(rule), row.fallback), text, vital }
}

export const capabilityIds = Object.keys(capabilities) as Capability[]

/** The aspects of which a rule makes use. */
export function capabilitiesOf(rule: Rule): Capability[] {
  return capabilityIds.filter((id) => capabilities[id].in(rule))
}

export function isVital(aspect: Capability): boolean {
  return capabilities[aspect].vital === true
}

/** What most formats say to most things. */
export const carriesNothing = Object.fromEntries(capabilityIds.map((id) => [id, false])) as Record<
  Capability,
  false
>
