/** nginx's stream module, both ways. https://nginx.org/en/docs/stream/ngx_stream_core_module.html */
import { say, verbatim } from '../../base/text.ts'
import type { ReadableFormat, WritableFormat } from '../contract.ts'
import { carriesNothing } from '../shared/capabilities.ts'
import { read } from './read.ts'
import { write } from './write.ts'

export const nginx: ReadableFormat & WritableFormat = {
  id: 'nginx',
  title: verbatim('nginx, stream { }'),
  carries: {
    ...carriesNothing,
    udp: true,
    range: say('to one address and the same ports, or to one port'),
    // nginx lets every user of the machine connect there (mode 0666), a rule only its own.
    unixListen: false,
    unixTarget: true,
    nameTarget: true,
    targets: true,
    weight: true,
    backup: true,
    serverName: say('TLS server name; not the Host of plain HTTP'),
    leastConnections: true,
    sourceHash: true,
    allow: true,
    deny: true,
    'limits.perSource': true,
    'timeouts.connect': true,
    'timeouts.idle': true,
    'timeouts.udp': true,
    'timeouts.keepalive': true,
    keep: true,
    proxyV1: true,
    acceptProxy: say('every peer must send a header'),
  },
  looksRight: (text) =>
    (/^[ \t]{0,40}(?:stream|upstream[ \t]{1,40}[^\s{]{1,100}|server)[ \t]{0,40}\{/m.test(text) &&
      /(?:^|[{;])[ \t]{0,40}(?:proxy_pass|listen)[ \t]/m.test(text)) ||
    /^[ \t]{0,40}(?:http|events)[ \t]{0,40}\{/m.test(text),
  read,
  write,
}
