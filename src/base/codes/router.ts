import type { CodeEntry } from './entry.ts'

export const routerCodes = {
  ROUTER_NOT_FOUND: {
    exit: 1,
    en: 'no router that opens ports by itself was found ({tried})',
    ko: '포트를 자동으로 여는 공유기를 찾지 못했습니다 ({tried})',
    fix: {
      en: 'turn on UPnP (or NAT-PMP/PCP) on the router, or type the row by hand: `naru router check {rule}` shows it and verifies',
      ko: '공유기에서 UPnP(또는 NAT-PMP/PCP)를 켜거나 포트 포워딩을 직접 입력하세요. `naru router check {rule}`{이/가} 입력할 값을 보여 주고 확인합니다',
    },
  },
  ROUTER_SILENT: {
    exit: 1,
    en: 'the router {router} does not answer by {protocol}: {why}',
    ko: '공유기 {router}{이/가} {protocol}{으로/로} 응답하지 않습니다: {why}',
    fix: {
      en: 'see that the router is on and has that protocol switched on; `naru doctor` tells more',
      ko: '공유기가 켜져 있고 그 프로토콜을 사용하도록 설정했는지 확인하세요. 자세한 원인은 `naru doctor`로 볼 수 있습니다',
    },
  },
  ROUTER_ANSWER_BAD: {
    exit: 1,
    en: 'the router {router} answered something that is not {protocol}: {why}',
    ko: '공유기 {router}의 {protocol} 응답이 올바르지 않습니다: {why}',
    fix: {
      en: 'take another protocol with --router, or start the router anew',
      ko: '--router로 다른 프로토콜을 쓰거나 공유기를 다시 시작하세요',
    },
  },
  ROUTER_REFUSED: {
    exit: 1,
    en: 'the router {router} refuses to open {port}: {why}',
    ko: '공유기 {router}{이/가} {port} 포트 열기를 거부했습니다: {why}',
    fix: {
      en: 'allow this device on the router, use a port above 1023, or type the row by hand: `naru router check {rule}`',
      ko: '공유기에서 이 기기를 허용하거나, 1023보다 큰 포트를 쓰거나, 직접 입력하세요: `naru router check {rule}`',
    },
  },
  ROUTER_PORT_TAKEN: {
    exit: 5,
    en: 'external port {port} of the router {router} belongs to {owner}',
    ko: '공유기 {router}의 외부 포트 {port}{은/는} 이미 {owner}{이/가} 쓰고 있습니다',
    fix: {
      en: 'choose another externalPort, or `externalPort: any` to take what the router gives',
      ko: '다른 externalPort를 쓰거나 `externalPort: any`로 공유기가 주는 포트를 받으세요',
    },
  },
  ROUTER_OTHER_PORT: {
    exit: 5,
    en: 'the router {router} offers external port {granted} in place of {port}; it was given back',
    ko: '공유기 {router}{이/가} 외부 포트 {port} 대신 {granted}{을/를} 주어 반납했습니다',
    fix: {
      en: 'choose another externalPort, or `externalPort: any` to take what the router gives',
      ko: '다른 externalPort를 쓰거나 `externalPort: any`로 공유기가 주는 포트를 받으세요',
    },
  },
  ROUTER_TABLE_FULL: {
    exit: 1,
    en: 'the router {router} has no room for another mapping ({why})',
    ko: '공유기 {router}의 포트 매핑 목록이 가득 찼습니다 ({why})',
    fix: {
      en: '`naru router ls` shows what is there; remove stale ones with `naru router rm PORT`',
      ko: '`naru router ls`로 목록을 보고 `naru router rm 포트`로 오래된 항목을 지우세요',
    },
  },
  ROUTER_NO_ADDRESS: {
    exit: 1,
    en: 'the router {router} has no address that the internet can reach: {why}',
    ko: '공유기 {router}에 인터넷에서 닿을 수 있는 주소가 없습니다: {why}',
    fix: {
      en: 'check its internet connection; where it is itself behind a router, `naru doctor` says which',
      ko: '공유기의 인터넷 연결을 확인하세요. 위에 다른 공유기가 있으면 `naru doctor`가 알려 줍니다',
    },
  },
  ROUTER_BEHIND_ROUTER: {
    exit: 1,
    en: 'the router {router} is itself behind another router, {above}, and opens no port: the internet would not reach it',
    ko: '공유기 {router}{이/가} 다른 공유기 {above} 뒤에 있어(이중 NAT) 포트를 열어 주지 않습니다. 열어도 인터넷에서 닿지 않습니다',
    fix: {
      en: 'put one of the two in bridge mode, or forward by hand on both: on {above} the external port to the WAN address of {router}, on {router} the row that `naru router check {rule}` shows',
      ko: '둘 중 하나를 브리지 모드로 바꾸거나 양쪽에 직접 입력하세요. {above}에서는 외부 포트를 {router}의 WAN 주소로 포워딩하고, {router}에는 `naru router check {rule}`{이/가} 보여 주는 항목을 넣습니다',
    },
  },
  ROUTER_CARRIER_NAT: {
    exit: 1,
    en: 'the router {router} is behind carrier-grade NAT ({address}): no port of it can be reached from outside',
    ko: '공유기 {router}{이/가} 통신사 NAT(CGNAT, {address}) 뒤에 있어 밖에서 포트에 닿을 수 없습니다',
    fix: {
      en: 'ask the provider for a public IPv4 address, publish over IPv6, or relay through a machine that has one',
      ko: '통신사에 공인 IPv4 주소를 요청하거나, IPv6로 열거나, 공인 주소가 있는 서버를 경유하세요',
    },
  },
  ROUTER_NAT_BETWEEN: {
    exit: 1,
    en: 'another NAT stands between this machine and {router} (it sees us under another address)',
    ko: '이 컴퓨터와 {router} 사이에 다른 NAT가 있습니다 (다른 주소로 보입니다)',
    fix: {
      en: '`naru doctor` shows both routers; put one of them in bridge mode',
      ko: '`naru doctor`로 두 공유기를 확인하고, 하나를 브리지 모드로 바꾸세요',
    },
  },
  ROUTER_NOT_DONE: {
    exit: 1,
    en: 'the router {router} says {port} is open, but reading back shows it is not: {why}',
    ko: '공유기 {router}{은/는} {port} 포트를 열었다고 하지만 다시 읽어 보면 그렇지 않습니다: {why}',
    fix: {
      en: 'restart the router, or type the row by hand: `naru router check {rule}` shows it and verifies',
      ko: '공유기를 재시작하거나 직접 입력하세요. `naru router check {rule}`{이/가} 입력할 값을 보여 주고 확인합니다',
    },
  },
  ROUTER_NOT_CLOSED: {
    exit: 1,
    en: 'the router {router} says it has closed {port}, but it is still in its list',
    ko: '공유기 {router}{은/는} {port} 포트를 닫았다고 하지만 목록에 아직 남아 있습니다',
    fix: {
      en: 'remove the row on the router’s own page; the next start of Naru tries again',
      ko: '공유기 설정 페이지에서 그 항목을 지우세요. 다음에 Naru를 시작할 때도 다시 시도합니다',
    },
  },
  ROUTER_ROW_OFF: {
    exit: 1,
    en: 'a row for {port} on the router {router} leads to this machine, but is switched off',
    ko: '공유기 {router}에 이 컴퓨터로 향하는 {port} 항목이 있지만 꺼져 있습니다',
    fix: {
      en: 'switch that row on, or delete it, on the router’s own page',
      ko: '공유기 설정 페이지에서 그 항목을 켜거나 지우세요',
    },
  },
  ROUTER_MAPPING_LOST: {
    exit: 1,
    en: 'the mapping {port} on the router {router} is gone: {why}',
    ko: '공유기 {router}의 {port} 매핑이 사라졌습니다: {why}',
    fix: {
      en: 'Naru asks for it again while it runs; if it vanishes again, look for what removes it there',
      ko: '실행 중이면 Naru가 다시 요청합니다. 계속 사라지면 공유기에서 지우는 것이 무엇인지 찾으세요',
    },
  },
  ROUTER_NO_LIST: {
    exit: 1,
    en: 'the router {router} shows no list of its mappings (by UPnP it would): known is only what `naru router add` made here',
    ko: '공유기 {router}{은/는} 매핑 목록을 보여 주지 않습니다(UPnP가 켜져 있으면 보여 줌). 여기서 `naru router add`로 만든 것만 알 수 있습니다',
    fix: {
      en: 'turn on UPnP on the router, or look at its own page',
      ko: '공유기에서 UPnP를 켜거나 공유기 설정 페이지에서 확인하세요',
    },
  },
  ROUTER_MAPPING_UNKNOWN: {
    exit: 2,
    en: 'the router {router} has no mapping for {port}',
    ko: '공유기 {router}에 {port} 매핑이 없습니다',
    fix: { en: '`naru router ls` shows what is there', ko: '`naru router ls`로 목록을 확인하세요' },
  },
  ROUTER_NOT_OURS: {
    exit: 1,
    en: 'the mapping {port} on the router {router} belongs to {owner}; it was left alone',
    ko: '공유기 {router}의 {port} 매핑은 {owner}의 것이라 그대로 두었습니다',
    fix: {
      en: 'remove it where it was made, or insist with --force',
      ko: '만든 곳에서 지우거나 --force로 강제하세요',
    },
  },
  ROUTER_TOO_MANY_PORTS: {
    exit: 2,
    en: 'a router maps one port at a time; {count} ports are more than the {limit} that Naru asks for',
    ko: '공유기는 포트를 하나씩 매핑합니다. {count}개는 Naru가 요청하는 {limit}개를 넘습니다',
    fix: {
      en: 'publish a shorter range, or type the range into the router by hand',
      ko: '더 짧은 범위를 쓰거나 공유기에 범위를 직접 입력하세요',
    },
  },
} as const satisfies Record<string, CodeEntry>
