import type { CodeEntry } from './entry.ts'

export const guestCodes = {
  GUEST_NOT_HERE: {
    exit: 1,
    en: 'cannot ask {kind} for its guests: {why}',
    ko: '{kind} 게스트를 조회할 수 없습니다: {why}',
    fix: {
      en: 'start {kind}, or write the guest’s address as the target',
      ko: '{kind}{을/를} 시작하거나 게스트 주소를 대상으로 직접 쓰세요',
    },
  },
  GUEST_NOT_RUNNING: {
    exit: 1,
    en: '{kind} is not running: {why}',
    ko: '{kind}{이/가} 실행 중이 아닙니다: {why}',
    fix: {
      en: 'start it: `{start}`; or write the guest’s address as the target',
      ko: '시작하세요: `{start}`. 또는 게스트 주소를 대상으로 직접 쓰세요',
    },
  },
  GUEST_NO_TOOL: {
    exit: 1,
    en: 'cannot ask {kind} for its guests: {why}',
    ko: '{kind} 게스트를 조회할 수 없습니다: {why}',
    fix: {
      en: 'write the guest’s address as the target, or install what is missing',
      ko: '게스트 주소를 대상으로 직접 쓰거나, 빠진 프로그램을 설치하세요',
    },
  },
  GUEST_UNKNOWN: {
    exit: 2,
    en: '{kind} has no guest named {name}; there are: {known}',
    ko: '{kind}에 {name}{이라는/라는} 게스트가 없습니다. 있는 게스트: {known}',
    fix: { en: '`naru guests` lists them', ko: '`naru guests`로 목록을 확인하세요' },
  },
  GUEST_AMBIGUOUS: {
    exit: 2,
    en: '{kind} has more than one guest named {name}: {candidates}',
    ko: '{kind}에 {name}{이라는/라는} 게스트가 여럿 있습니다: {candidates}',
    fix: {
      en: 'write one of these in its place, as `naru guests` shows it',
      ko: '`naru guests`에 나오는 대로 그중 하나를 쓰세요',
    },
  },
  GUEST_STOPPED: {
    exit: 1,
    en: 'the {kind} guest {name} is not running ({state})',
    ko: '{kind} 게스트 {name}{이/가} 실행 중이 아닙니다({state})',
    fix: { en: 'start it: {start}', ko: '시작하세요: {start}' },
  },
  GUEST_SILENT: {
    exit: 1,
    en: '{kind} gave no answer within {ms} ms ({where})',
    ko: '{kind}: {ms}ms 안에 응답이 없습니다({where})',
    fix: {
      en: 'see whether it hangs or another program holds it, and restart it',
      ko: '멈췄거나 다른 프로그램이 붙잡고 있는지 확인하고 다시 시작하세요',
    },
  },
  GUEST_UNREADABLE: {
    exit: 1,
    en: 'cannot make sense of what {kind} answered ({where}): {why}',
    ko: '{kind}의 응답을 해석할 수 없습니다({where}): {why}',
    fix: {
      en: 'see whether really {kind} answers there, and its version',
      ko: '그 자리에서 응답하는 것이 {kind}인지, 버전이 무엇인지 확인하세요',
    },
  },
  GUEST_REFUSED: {
    exit: 1,
    en: '{kind} would not {what}: {why}',
    ko: '{kind}{이/가} 거부했습니다({what}): {why}',
    fix: {
      en: 'mend what it says, or write the guest’s address as the target',
      ko: '표시된 원인을 고치거나 게스트 주소를 대상으로 직접 쓰세요',
    },
  },
  GUEST_NO_ADDRESS: {
    exit: 1,
    en: 'the {kind} guest {name} has no address that this machine could dial: {why}',
    ko: '{kind} 게스트 {name}에 이 컴퓨터에서 접속할 주소가 없습니다: {why}',
    fix: { en: '{fix}', ko: '{fix}' },
  },
  GUEST_NO_FORWARD: {
    exit: 1,
    en: '{kind} cannot forward a port to {name}: {why}',
    ko: '{kind}{은/는} {name}{으로/로} 포트를 포워딩할 수 없습니다: {why}',
    fix: { en: '{fix}', ko: '{fix}' },
  },
  GUEST_FORWARD_TAKEN: {
    exit: 5,
    en: '{kind} cannot forward {port} to {name}: {owner} has it already',
    ko: '{kind}에서 {port}{을/를} {name}{으로/로} 포워딩할 수 없습니다: 이미 {owner}{이/가} 쓰고 있습니다',
    fix: { en: 'choose another port, or free that one', ko: '다른 포트를 고르거나 그 포트를 비우세요' },
  },
  GUEST_FORWARD_LOST: {
    exit: 1,
    en: '{kind} no longer forwards {forward} to {name}',
    ko: '{kind}{이/가} 더 이상 {forward}{을/를} {name}{으로/로} 포워딩하지 않습니다',
    fix: {
      en: 'Naru opens it again; if it goes on, something else removes it',
      ko: 'Naru가 다시 엽니다. 반복되면 다른 프로그램이 지우고 있는지 확인하세요',
    },
  },
} as const satisfies Record<string, CodeEntry>
