import type { CodeEntry } from './entry.ts'

export const firewallCodes = {
  FIREWALL_NO_RIGHT: {
    exit: 4,
    en: 'not permitted to {what}',
    ko: '권한이 없습니다: {what}',
    fix: {
      en: 'give Naru the right, and it takes away again what it opened: `{command}`; or leave the firewall to yourself, without --firewall or --publish: `{hand}`',
      ko: '권한을 주면 Naru가 열고, 끝날 때 되돌립니다: `{command}` (또는 --firewall, --publish 없이 직접 열기: `{hand}`)',
    },
  },
  FIREWALL_OVERRULED: {
    exit: 1,
    en: '{ports} is blocked, whatever is opened in {firewall}, by: {by}',
    ko: '{firewall}에서 무엇을 열어도 다음 규칙이 {ports}{을/를} 막습니다: {by}',
    fix: {
      en: 'remove or change that rule, or `allow` only those whom it lets in; Naru touches no rules but its own and goes ahead of none that looks at who sends',
      ko: '그 규칙을 지우거나 바꾸세요. 또는 그 규칙이 허용하는 주소만 `allow`에 적으세요. Naru는 자신이 만들지 않은 규칙을 건드리지 않고, 출발지를 따지는 규칙보다 앞서 열지 않습니다',
    },
  },
  FIREWALL_LOST: {
    exit: 1,
    en: 'the opening of {ports} for {rule} is no longer in {firewall}',
    ko: '{firewall}에서 {rule}의 {ports} 허용 규칙이 사라졌습니다',
    fix: {
      en: 'Naru adds it again while it runs; if it vanishes again, look for what reloads the firewall',
      ko: '실행 중이면 Naru가 다시 추가합니다. 계속 사라지면 방화벽을 다시 불러오는 프로그램을 찾으세요',
    },
  },
  FIREWALL_FOREIGN: {
    exit: 1,
    en: 'cannot open {ports}: it is blocked by {by}, and that table belongs to {owner}',
    ko: '{ports}{을/를} 열 수 없습니다: {owner}{이/가} 관리하는 테이블의 규칙이 막습니다: {by}',
    fix: {
      en: 'open the port with {owner}, or start it so that Naru can ask it',
      ko: '{owner}{으로/로} 포트를 열거나, {owner}{을/를} 실행해 Naru가 요청할 수 있게 하세요',
    },
  },
  FIREWALL_CANNOT: {
    exit: 1,
    en: '{firewall} cannot do that: {why}',
    ko: '{firewall}에서는 할 수 없습니다: {why}',
    fix: {
      en: 'change the rule, or open the firewall by hand and leave it out: `firewall: off`',
      ko: '규칙을 바꾸거나, `firewall: off`로 두고 방화벽을 직접 여세요',
    },
  },
  FIREWALL_UNCLEAR: {
    exit: 1,
    en: 'cannot understand the answer of {command}: {why}',
    ko: '{command}의 응답을 해석할 수 없습니다: {why}',
    fix: {
      en: 'run it by hand and see what it says; `firewall: off` leaves the firewall to you',
      ko: '직접 실행해 출력을 확인하세요. `firewall: off`로 두고 방화벽을 직접 열 수도 있습니다',
    },
  },
} as const satisfies Record<string, CodeEntry>
