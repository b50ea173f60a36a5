import type { CodeEntry } from './entry.ts'

export const routerCodes = {
  ROUTER_NOT_FOUND: {
    exit: 1,
    text: 'no router that opens ports by itself was found ({tried})',
    fix: 'turn on UPnP (or NAT-PMP/PCP) on the router, or type the row by hand: `naru router check {rule}` shows it and verifies',
  },
  ROUTER_SILENT: {
    exit: 1,
    text: 'the router {router} does not answer by {protocol}: {why}',
    fix: 'see that the router is on and has that protocol switched on; `naru doctor` tells more',
  },
  ROUTER_ANSWER_BAD: {
    exit: 1,
    text: 'the router {router} answered something that is not {protocol}: {why}',
    fix: 'take another protocol with --router, or start the router anew',
  },
  ROUTER_REFUSED: {
    exit: 1,
    text: 'the router {router} refuses to open {port}: {why}',
    fix: 'allow this device on the router, use a port above 1023, or type the row by hand: `naru router check {rule}`',
  },
  ROUTER_PORT_TAKEN: {
    exit: 5,
    text: 'external port {port} of the router {router} belongs to {owner}',
    fix: 'choose another externalPort, or `externalPort: any` to take what the router gives',
  },
  ROUTER_OTHER_PORT: {
    exit: 5,
    text: 'the router {router} offers external port {granted} in place of {port}; it was given back',
    fix: 'choose another externalPort, or `externalPort: any` to take what the router gives',
  },
  ROUTER_TABLE_FULL: {
    exit: 1,
    text: 'the router {router} has no room for another mapping ({why})',
    fix: '`naru router ls` shows what is there; remove stale ones with `naru router rm PORT`',
  },
  ROUTER_NO_ADDRESS: {
    exit: 1,
    text: 'the router {router} has no address that the internet can reach: {why}',
    fix: 'check its internet connection; where it is itself behind a router, `naru doctor` says which',
  },
  ROUTER_BEHIND_ROUTER: {
    exit: 1,
    text: 'the router {router} is itself behind another router, {above}, and opens no port: the internet would not reach it',
    fix: 'put one of the two in bridge mode, or forward by hand on both: on {above} the external port to the WAN address of {router}, on {router} the row that `naru router check {rule}` shows',
  },
  ROUTER_CARRIER_NAT: {
    exit: 1,
    text: 'the router {router} is behind carrier-grade NAT ({address}): no port of it can be reached from outside',
    fix: 'ask the provider for a public IPv4 address, publish over IPv6, or relay through a machine that has one',
  },
  ROUTER_NAT_BETWEEN: {
    exit: 1,
    text: 'another NAT stands between this machine and {router} (it sees us under another address)',
    fix: '`naru doctor` shows both routers; put one of them in bridge mode',
  },
  ROUTER_NOT_DONE: {
    exit: 1,
    text: 'the router {router} says {port} is open, but reading back shows it is not: {why}',
    fix: 'restart the router, or type the row by hand: `naru router check {rule}` shows it and verifies',
  },
  ROUTER_NOT_CLOSED: {
    exit: 1,
    text: 'the router {router} says it has closed {port}, but it is still in its list',
    fix: 'remove the row on the router’s own page; the next start of Naru tries again',
  },
  ROUTER_ROW_OFF: {
    exit: 1,
    text: 'a row for {port} on the router {router} leads to this machine, but is switched off',
    fix: 'switch that row on, or delete it, on the router’s own page',
  },
  ROUTER_MAPPING_LOST: {
    exit: 1,
    text: 'the mapping {port} on the router {router} is gone: {why}',
    fix: 'Naru asks for it again while it runs; if it vanishes again, look for what removes it there',
  },
  ROUTER_NO_LIST: {
    exit: 1,
    text: 'the router {router} shows no list of its mappings (by UPnP it would): known is only what `naru router add` made here',
    fix: 'turn on UPnP on the router, or look at its own page',
  },
  ROUTER_MAPPING_UNKNOWN: {
    exit: 2,
    text: 'the router {router} has no mapping for {port}',
    fix: '`naru router ls` shows what is there',
  },
  ROUTER_NOT_OURS: {
    exit: 1,
    text: 'the mapping {port} on the router {router} belongs to {owner}; it was left alone',
    fix: 'remove it where it was made, or insist with --force',
  },
  ROUTER_TOO_MANY_PORTS: {
    exit: 2,
    text: 'a router maps one port at a time; {count} ports are more than the {limit} that Naru asks for',
    fix: 'publish a shorter range, or type the range into the router by hand',
  },
} as const satisfies Record<string, CodeEntry>
