import type { CodeEntry } from './entry.ts'

export const apiCodes = {
  NOT_RUNNING: {
    exit: 1,
    en: 'no Naru runs on {file}',
    ko: '{file}{으로/로} 실행 중인 Naru가 없습니다',
    fix: {
      en: 'start it with `naru up`, or name its file with --config',
      ko: '`naru up`으로 시작하거나, --config로 파일을 지정하세요',
    },
  },
  RUNS_AS_ROOT: {
    exit: 4,
    en: 'root’s Naru runs on {file}, and answers nobody but root',
    ko: '{file}{은/는} root의 Naru가 실행 중이며, root에게만 답합니다',
    fix: { en: 'run: `{command}`', ko: '다음을 실행하세요: `{command}`' },
  },
  API_SILENT: {
    exit: 1,
    en: 'Naru at {where} does not answer as it should: {why}',
    ko: '{where}의 Naru가 올바르게 응답하지 않습니다: {why}',
    fix: {
      en: 'see whether it hangs; `naru stop` and `naru up` start it anew',
      ko: '멈춰 있는지 확인하세요. `naru stop` 후 `naru up`으로 다시 시작할 수 있습니다',
    },
  },
  API_IN_USE: {
    exit: 5,
    en: 'cannot listen on {address} for the web page: the address is in use',
    ko: '웹 페이지를 위한 {address} 주소를 이미 다른 프로그램이 쓰고 있습니다',
    fix: {
      en: 'choose another with --api ADDRESS:PORT, or go without with --api off',
      ko: '--api 주소:포트로 다른 주소를 쓰거나 --api off로 끄세요',
    },
  },
  API_UNAVAILABLE: {
    exit: 1,
    en: 'cannot listen on {address}: {why}',
    ko: '{address}에서 수신 대기할 수 없습니다: {why}',
    fix: {
      en: 'choose another with --api ADDRESS:PORT, or go without with --api off',
      ko: '--api 주소:포트로 다른 주소를 쓰거나 --api off로 끄세요',
    },
  },
  API_NO_TOKEN: {
    exit: 4,
    en: 'a token is missing or wrong',
    ko: '토큰이 없거나 올바르지 않습니다',
    fix: {
      en: 'open the link that `naru up` printed; `naru status` shows it again',
      ko: '`naru up`이 출력한 링크를 여세요. `naru status`로 다시 볼 수 있습니다',
    },
  },
  API_READ_ONLY: {
    exit: 4,
    en: 'this token may look, not change',
    ko: '이 토큰은 읽기 전용입니다',
    fix: { en: 'log in with the full link', ko: '전체 권한 링크로 로그인하세요' },
  },
  API_FOREIGN: {
    exit: 4,
    en: 'refused: the request comes from another site ({what})',
    ko: '거부됨: 다른 사이트에서 온 요청입니다({what})',
    fix: {
      en: 'open the page itself, by the link that `naru up` printed',
      ko: '`naru up`이 출력한 링크로 페이지를 직접 여세요',
    },
  },
  API_TOO_LARGE: {
    exit: 2,
    en: 'the request is larger than {bytes} bytes',
    ko: '요청이 {bytes}바이트보다 큽니다',
    fix: {
      en: 'send less at a time; `naru import FILE` takes larger files',
      ko: '나누어 보내세요. 큰 파일은 `naru import 파일`로 가져올 수 있습니다',
    },
  },
  API_BUSY: {
    exit: 1,
    en: 'this token already has {most} such requests under way',
    ko: '이 토큰으로 보낸 같은 요청 {most}개가 이미 진행 중입니다',
    fix: { en: 'close some, such as old tabs of the page', ko: '오래된 탭 등을 닫은 뒤 다시 시도하세요' },
  },
  API_BAD_REQUEST: {
    exit: 2,
    en: 'the request is not valid: {why}',
    ko: '요청이 올바르지 않습니다: {why}',
    fix: {
      en: '/api/openapi.json tells what is expected',
      ko: '/api/openapi.json에서 형식을 확인하세요',
    },
  },
  API_NOT_FOUND: {
    exit: 2,
    en: 'there is nothing at {path}',
    ko: '{path}에는 아무것도 없습니다',
    fix: {
      en: '/api/openapi.json lists what there is',
      ko: '/api/openapi.json에서 목록을 확인하세요',
    },
  },
  CONNECTION_UNKNOWN: {
    exit: 2,
    en: 'no connection {id} is open',
    ko: '열려 있는 연결 {id}{이/가} 없습니다',
    fix: {
      en: 'it has ended meanwhile; `naru top` shows those that are open',
      ko: '그사이 끝난 연결입니다. 열려 있는 연결은 `naru top`으로 확인하세요',
    },
  },
  OUTSIDE_WHICH: {
    exit: 2,
    en: 'say which rule or TCP port is to be tried from outside; there are: {known}',
    ko: '밖에서 시험할 규칙이나 TCP 포트를 하나 지정하세요. 있는 규칙: {known}',
    fix: null,
  },
  OUTSIDE_NO_ADDRESS: {
    exit: 1,
    en: 'no public address is known to which a phone could go',
    ko: '휴대폰이 접속할 공인 주소를 알 수 없습니다',
    fix: {
      en: 'let a STUN server be asked: --internet on the command line, the checkbox on the page',
      ko: 'STUN 서버에 물어보게 하세요. 명령줄에서는 --internet, 웹 페이지에서는 체크 상자입니다',
    },
  },
  OUTSIDE_STUN_SILENT: {
    exit: 1,
    en: 'no public address is known to which a phone could go: no router told one, and no STUN server answered',
    ko: '휴대폰이 접속할 공인 주소를 알 수 없습니다. 주소를 알려 준 공유기도, 응답한 STUN 서버도 없습니다',
    fix: {
      en: 'see whether this machine reaches the internet by UDP, or type the WAN address that the router’s page shows into the phone by hand, with port {port}',
      ko: '이 컴퓨터에서 인터넷으로 UDP가 나가는지 확인하거나, 공유기 페이지에 나오는 WAN 주소와 {port}번 포트를 휴대폰에 직접 입력하세요',
    },
  },
  USAGE: {
    exit: 2,
    en: '{why}',
    ko: '{why}',
    fix: { en: '`{command}` shows how', ko: '`{command}`{으로/로} 사용법을 확인하세요' },
  },
} as const satisfies Record<string, CodeEntry>
