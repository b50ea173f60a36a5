/**
 * The keys of a rule, one table: from it come the parsed rule and its type, everything that is wrong with it, how it is
 * written back, its JSON Schema, the library's types, the options of the command line, fields of the web page's form,
 * what a format loses, and the tables in the docs.
 */
import type { Cidr } from '../../base/address.ts'
import { NaruError } from '../../base/errors.ts'
import { say, sayOf } from '../../base/text.ts'
import { formatListen, parseListen } from '../listen.ts'
import { freeText, listOf, oneOf, record, written, yesNo, type Read, type Written } from '../schema.ts'
import type { Target } from '../target.ts'
import { balances, engineIds, sourceModes } from './choices.ts'
import { health, type Health } from './health.ts'
import { limits } from './limits.ts'
import { notPublished, publish } from './publish.ts'
import type { KeyRows } from './row.ts'
import { cidrs, numeric } from './shapes.ts'
import { target, targets, type TargetChoice } from './targets.ts'
import { timeouts } from './timeouts.ts'

const mostTags = 16

/** In the order in which they are written. */
export const ruleKeys = {
  /** What people call it, in any language; null where the name is enough. */
  title: {
    shape: freeText({ most: 80, lines: 1 }),
    doc: sayOf('rule key')('what people call it, in any language'),
    fallback: null,
    option: {
      name: 'title',
      value: 'TEXT',
      text: say('what people call it, in any language'),
    },
    loss: false,
  },
  description: {
    shape: freeText({ most: 1000, lines: 20 }),
    doc: say('what it is for'),
    fallback: null,
    option: { name: 'description', value: 'TEXT' },
    loss: false,
  },
  /** Words to group and find rules by. */
  tags: {
    shape: listOf(freeText({ most: 40, lines: 1 }), { most: mostTags }),
    doc: say('words to group and find rules by'),
    fallback: [] as readonly string[],
    option: {
      name: 'tag',
      value: 'WORD',
      many: 'one-each',
      text: say('to group and find rules by'),
    },
    loss: false,
  },
  listen: {
    shape: written(parseListen, { examples: [8888, '127.0.0.1:8080', '8000-8100/tcp+udp'] }, (listen) =>
      numeric(formatListen(listen)),
    ),
    doc: sayOf('rule key')('where traffic arrives'),
  },
  target: {
    shape: target,
    doc: sayOf('rule key')('where it goes'),
    fallback: null as Target | null,
  },
  targets: {
    shape: targets,
    doc: say('several targets, instead of target'),
    fallback: null as readonly TargetChoice[] | null,
  },
  balance: {
    shape: oneOf(balances),
    doc: say('which of several targets is next'),
    fallback: 'round-robin',
    option: {
      name: 'balance',
      value: 'HOW',
      text: say('how several targets share'),
    },
    form: {
      place: 'targets',
      label: say('Which is next'),
      choices: {
        'round-robin': say('In turn'),
        'least-connections': say('The one with the fewest connections'),
        'source-hash': say('Always the same for a client'),
      },
    },
  },
  /** Null dials without asking first. */
  health: {
    shape: health,
    doc: say('ask targets whether they are up'),
    fallback: null as Health | null,
    option: {
      name: 'health',
      value: 'EVERY[,RISE,FALL]',
      text: say('ask the targets whether they are up: 5s,2,3'),
    },
    form: {
      place: 'health',
      label: say('Ask targets whether they are up'),
      hint: say('One that does not answer gets no new connections'),
    },
    loss: { text: say('health checks') },
  },
  publish: {
    shape: publish,
    doc: say('how far out to open: true, false, or hop by hop'),
    fallback: notPublished,
    option: {
      name: 'publish',
      text: say('open the host firewall and the router too: --firewall --router'),
    },
    loss: { text: say('publish on firewall and router') },
  },
  allow: {
    shape: cidrs,
    doc: say('only these clients'),
    fallback: [] as readonly Cidr[],
    option: {
      name: 'allow',
      value: 'CIDR',
      many: 'by-commas',
      text: say('let in only these'),
    },
    loss: { vital: true },
  },
  deny: {
    shape: cidrs,
    doc: say('never these clients'),
    fallback: [] as readonly Cidr[],
    option: { name: 'deny', value: 'CIDR', many: 'by-commas', text: say('keep these out') },
    loss: { vital: true },
  },
  limits: { shape: limits, doc: say('how much at once'), fallback: limits.usual },
  timeouts: { shape: timeouts, doc: say('how long to wait'), fallback: timeouts.usual },
  source: {
    shape: oneOf(sourceModes),
    doc: say('whose address the target sees'),
    fallback: 'auto',
    option: {
      name: 'source',
      value: 'MODE',
      text: say('which address the target sees'),
    },
    form: {
      place: 'limits',
      label: say('Address the target sees'),
      choices: {
        auto: say('The client’s where possible'),
        relay: say('This machine’s'),
        keep: say('The client’s'),
        'proxy-v1': say('This machine’s, with a PROXY v1 header'),
        'proxy-v2': say('This machine’s, with a PROXY v2 header'),
      },
    },
  },
  /** Which datagrams of a UDP session carry a PROXY v2 header. */
  proxyUdp: {
    shape: oneOf(['every', 'first']),
    doc: say('which datagrams carry the PROXY header'),
    fallback: 'every',
    option: {
      name: 'proxy-udp',
      value: 'WHICH',
      text: say('which datagrams carry a PROXY v2 header'),
    },
    form: {
      place: 'limits',
      label: say('PROXY header over UDP'),
      hint: say('With a PROXY v2 header to the target'),
      choices: {
        every: say('On every datagram'),
        first: say('On the first of a session'),
      },
    },
    // It says something beside `source: proxy-v2` alone, and that is told.
    loss: false,
  },
  /** Peers whose PROXY header is believed; from any other peer a header is refused. Empty: none is expected. */
  acceptProxy: {
    shape: cidrs,
    doc: say('peers whose PROXY header is believed. A UDP source can be made up: docs/udp.md'),
    fallback: [] as readonly Cidr[],
    option: {
      name: 'accept-proxy',
      value: 'CIDR',
      many: 'by-commas',
      text: say('believe PROXY headers from these'),
    },
    form: {
      place: 'limits',
      label: say('Proxies that are believed'),
      hint: say(
        'Their PROXY header says who the client is; one address or network a line. Empty: no header is expected',
      ),
    },
    loss: { vital: true },
  },
  engine: {
    shape: oneOf(['auto', ...engineIds]),
    doc: say('how bytes are moved'),
    fallback: 'auto',
    option: { name: 'engine', value: 'ENGINE' },
    form: {
      place: 'limits',
      label: say('Engine'),
      choices: { auto: say('The best that can') },
    },
  },
  /** Milliseconds since the Unix epoch at which the rule expires, or null. */
  until: {
    shape: written(parseInstant, { examples: ['2026-12-24T18:00:00+09:00'] }, (ms) =>
      new Date(ms).toISOString(),
    ),
    doc: say('when the rule expires'),
    fallback: null as number | null,
    option: {
      name: 'until',
      value: 'TIME',
      text: say('close it at this time: 2026-12-24T18:00:00+09:00'),
    },
  },
  enabled: {
    shape: yesNo,
    doc: say('false keeps the rule but closes it'),
    fallback: true,
  },
} as const satisfies KeyRows

export const ruleShape = record(ruleKeys)

/** A rule as it is read, before its one target or its several are one list. */
export type RuleKeys = Read<typeof ruleKeys>

/** A rule as a program writes it, key by key (docs/rules.md): a key that is none does not compile. */
export type WrittenRule = Written<typeof ruleShape>

export const ruleSchema = ruleShape.schema

/** ISO 8601 with a zone, as RFC 3339 has it, whose years have four digits: what is read can be written. */
function parseInstant(text: string): number {
  const day = /^(\d{4}-\d{2}-\d{2})T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/.exec(text)?.[1]
  const ms = day !== undefined && isInCalendar(day) ? Date.parse(text) : Number.NaN
  if (ms >= firstInstant && ms <= lastInstant) return ms
  const why = say('write a time with its zone, such as 2026-12-24T18:00:00+09:00')
  throw new NaruError('VALUE_INVALID', { what: 'time', value: text, why })
}

const firstInstant = Date.parse('0000-01-01T00:00:00Z')
const lastInstant = Date.parse('9999-12-31T23:59:59.999Z')

/** `Date.parse` takes the 30th of February for a day of March. */
function isInCalendar(day: string): boolean {
  const ms = Date.parse(day)
  return Number.isFinite(ms) && new Date(ms).toISOString().startsWith(day)
}
