/** `timeouts`: how long a rule waits for what. */
import { say, verbatim } from '../../base/text.ts'
import { group } from './row.ts'
import { duration, someTime } from './shapes.ts'

export const timeouts = group({
  connect: {
    inside: 'connectMs',
    shape: someTime,
    doc: say('until the target answers'),
    fallback: 5000,
    option: {
      name: 'timeout-connect',
      value: 'DURATION',
      text: say('for the target to answer'),
    },
    form: {
      place: 'waiting',
      label: say('Connecting'),
      hint: say('Until the target answers. Empty: 5s'),
    },
    loss: { text: say('timeout: connect') },
  },
  /** Without a byte either way; 0 is never. */
  idle: {
    inside: 'idleMs',
    shape: duration,
    doc: say('without a byte either way, read or taken; 0 is never'),
    fallback: 0,
    option: {
      name: 'timeout-idle',
      value: 'DURATION',
      text: say('without a byte; 0 is never'),
    },
    form: {
      place: 'waiting',
      label: say('Idle time'),
      hint: say('Ends connections without a byte for so long, such as 10m. Empty: never'),
    },
    loss: { text: say('timeout: idle') },
  },
  /** A UDP session without a datagram. */
  udp: {
    inside: 'udpMs',
    shape: someTime,
    doc: say('a UDP session without a datagram'),
    fallback: 300_000,
    option: {
      name: 'timeout-udp',
      value: 'DURATION',
      text: say('for a silent UDP session'),
    },
    form: {
      place: 'waiting',
      label: say('UDP session'),
      hint: say('Without a datagram. Empty: 5m'),
    },
    loss: { text: say('timeout: UDP session') },
  },
  /** How long connections may finish after `rm`, `disable` or expiry. */
  drain: {
    inside: 'drainMs',
    shape: duration,
    doc: say('for connections to finish after the rule ends'),
    fallback: 30_000,
    option: {
      name: 'timeout-drain',
      value: 'DURATION',
      text: say('for connections to finish once the rule ends'),
    },
    form: {
      place: 'waiting',
      label: say('To finish'),
      hint: say('For connections to end after the rule is off. Empty: 30s'),
    },
    loss: { text: say('timeout: drain') },
  },
  /** For a client's TLS hello, HTTP head or PROXY header, where a rule has to know it before it dials. */
  hello: {
    inside: 'helloMs',
    shape: someTime,
    doc: say(
      'for a TLS hello, an HTTP head or a PROXY header that the rule needs; then a target without a name serves',
    ),
    fallback: 5000,
    option: {
      name: 'timeout-hello',
      value: 'DURATION',
      text: say('for the TLS hello, HTTP head or PROXY header'),
    },
    form: {
      place: 'waiting',
      label: say('First bytes'),
      hint: say('For a TLS hello, HTTP head or PROXY header that the rule needs. Empty: 5s'),
    },
    loss: { text: say('timeout: hello') },
  },
  /** TCP keepalive probes start after this much silence; 0 is never. */
  keepalive: {
    inside: 'keepaliveMs',
    shape: duration,
    doc: say('of silence before TCP keepalive; 0 is never'),
    fallback: 60_000,
    option: {
      name: 'timeout-keepalive',
      value: 'DURATION',
      text: say('before TCP keepalive probes'),
    },
    form: {
      place: 'waiting',
      label: verbatim('Keepalive'),
      hint: say('Silence before TCP asks whether the other end is there. Empty: 1m'),
    },
    loss: { text: verbatim('TCP keepalive') },
  },
})
