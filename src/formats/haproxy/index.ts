/**
 * HAProxy's TCP proxies, both ways. Conditions are understood where they ask for the client's address or the TLS
 * server name; a proxy with others is left out whole. https://docs.haproxy.org/2.6/configuration.html
 */
import { say, verbatim } from '../../base/text.ts'
import type { ReadableFormat, WritableFormat } from '../contract.ts'
import { carriesNothing } from '../shared/capabilities.ts'
import { read } from './read.ts'
import { write } from './write.ts'

export const haproxy: ReadableFormat & WritableFormat = {
  id: 'haproxy',
  title: verbatim('HAProxy, haproxy.cfg'),
  carries: {
    ...carriesNothing,
    range: true,
    unixListen: true,
    unixTarget: true,
    nameTarget: true,
    targets: true,
    weight: true,
    backup: true,
    serverName: say('TLS server name; not the Host of plain HTTP'),
    leastConnections: true,
    sourceHash: true,
    health: true,
    allow: true,
    deny: true,
    'limits.connections': say('further clients wait in place of being refused'),
    'limits.perSource': true,
    'limits.newPerSecond': say('further clients wait in place of being refused'),
    'timeouts.connect': true,
    'timeouts.idle': true,
    'timeouts.keepalive': true,
    keep: true,
    proxyV1: true,
    proxyV2: true,
    acceptProxy: say('a header of any other peer is passed on as data'),
  },
  looksRight: (text) =>
    /^(?:frontend|backend|listen)[ \t]{1,40}\S/m.test(text) &&
    /^[ \t]{1,40}(?:bind|server|mode)[ \t]/m.test(text),
  read,
  write,
}
