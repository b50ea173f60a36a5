/** `limits`: how much a rule carries at once. */
import { say, sayOf } from '../../base/text.ts'
import { formatBandwidth, parseBandwidth } from '../rate.ts'
import { written } from '../schema.ts'
import { group, type Inside } from './row.ts'
import { count } from './shapes.ts'

export const limits = group({
  /** Connections (TCP) or sessions (UDP) at once; null is no limit. */
  connections: {
    shape: count,
    doc: say('connections or UDP sessions at once'),
    fallback: null,
    option: {
      name: 'limit-connections',
      value: 'N',
      text: say('connections at once'),
    },
    form: {
      place: 'limits',
      label: say('Connections at once'),
      hint: say('UDP sessions, too. Empty: no limit'),
    },
    loss: { text: say('limit: connections') },
  },
  perSource: {
    shape: count,
    doc: say(
      'of them, from one address; in IPv6 from one /64. docs/udp.md tells which UDP session makes room',
    ),
    fallback: null,
    option: {
      name: 'limit-per-source',
      value: 'N',
      text: say('connections at once from one address'),
    },
    form: {
      place: 'limits',
      label: say('Of them, from one address'),
      hint: say('In IPv6 from one /64. Empty: no limit'),
    },
    loss: { text: say('limit: per source') },
  },
  newPerSecond: {
    shape: count,
    doc: sayOf('rule key')('new connections a second'),
    fallback: null,
    option: {
      name: 'limit-new-per-second',
      value: 'N',
      text: say('new connections a second'),
    },
    form: {
      place: 'limits',
      label: say('New connections a second'),
      hint: say('Empty: no limit'),
    },
    loss: { text: say('limit: new per second') },
  },
  /** Bytes, both directions together. */
  bandwidth: {
    inside: 'bytesPerSecond',
    shape: written(parseBandwidth, { examples: ['100mbit'] }, formatBandwidth),
    doc: say('both directions together'),
    fallback: null,
    option: {
      name: 'limit-bandwidth',
      value: 'RATE',
      text: say('both ways together: 100mbit'),
    },
    form: {
      place: 'limits',
      label: say('Bandwidth'),
      hint: say('Both directions together, such as 100mbit'),
    },
    loss: { text: say('limit: bandwidth') },
  },
})

export type Limits = Inside<typeof limits.rows>
