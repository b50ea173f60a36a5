import type { CodeEntry } from './entry.ts'

export const relayCodes = {
  LISTEN_IN_USE: {
    exit: 5,
    en: 'cannot listen on {listen}: the address is in use by {owner}',
    ko: '{listen}에서 수신 대기할 수 없습니다: {owner}{이/가} 이미 쓰고 있습니다',
    fix: {
      en: 'end what has it, or choose another port: from 32768 up it may be a connection that was given it',
      ko: '그 포트를 비우거나 다른 포트를 고르세요. 32768 이상이면 나가는 연결이 쓰는 중일 수 있습니다',
    },
  },
  LISTEN_PRIVILEGED: {
    exit: 4,
    en: 'cannot listen on {listen}: ports below {first} need a privilege',
    ko: '{listen}에서 수신 대기할 수 없습니다: {first} 미만 포트에는 권한이 필요합니다',
    fix: {
      en: 'choose a port from {first}, or run: `{command}`',
      ko: '{first} 이상의 포트를 쓰거나 다음을 실행하세요: `{command}`',
    },
  },
  LISTEN_NO_ADDRESS: {
    exit: 1,
    en: 'cannot listen on {listen}: this machine does not have that address',
    ko: '{listen}에서 수신 대기할 수 없습니다: 이 컴퓨터에 없는 주소입니다',
    fix: {
      en: '`naru ip` shows the addresses there are; where traffic arrives stands first, where it goes second',
      ko: '`naru ip`로 주소를 확인하세요. 받는 곳(LISTEN)을 먼저, 보낼 곳(TARGET)을 다음에 씁니다',
    },
  },
  LISTEN_FAILED: {
    exit: 1,
    en: 'cannot listen on {listen}: {why}',
    ko: '{listen}에서 수신 대기할 수 없습니다: {why}',
    fix: {
      en: 'mend that, or listen on another address or port',
      ko: '원인을 없애거나 다른 주소나 포트를 쓰세요',
    },
  },
  TARGET_LOOP: {
    exit: 2,
    en: 'the rule {name} would forward {listen} to itself',
    ko: '{name} 규칙은 {listen}{을/를} 자기 자신에게 전달하게 됩니다',
    fix: { en: 'point the target at another port', ko: '대상을 다른 포트로 바꾸세요' },
  },
  NAME_NOT_FOUND: {
    exit: 1,
    en: 'cannot find the address of {name}: {why}',
    ko: '{name}의 주소를 찾을 수 없습니다: {why}',
    fix: {
      en: 'look at how it is written; `naru ip` shows the name servers, and an address in its place needs none',
      ko: '철자를 확인하세요. `naru ip`로 네임 서버를 볼 수 있고, 이름 대신 주소를 쓰면 네임 서버가 필요 없습니다',
    },
  },
  TARGET_SILENT: {
    exit: 1,
    en: '{target}: {why}',
    ko: '{target}: {why}',
    fix: {
      en: 'see that it runs and can be reached from here: `naru doctor` tells more',
      ko: '실행 중이고 여기서 접속할 수 있는지 `naru doctor`로 확인하세요',
    },
  },
  SERVICE_SILENT: {
    exit: 1,
    en: 'the service at {target} does not answer: {why}',
    ko: '{target} 서비스가 응답하지 않습니다: {why}',
    fix: {
      en: 'start it, or look which port it listens on with `naru ports`',
      ko: '서비스를 시작하거나, `naru ports`로 어느 포트에서 수신 중인지 확인하세요',
    },
  },
  ENGINE_FAILED: {
    exit: 1,
    en: 'the engine {engine} failed: {why}',
    ko: '{engine} 엔진이 실패했습니다: {why}',
    fix: {
      en: 'use another: `engine: sockets` works on any system; NARU_LOG=debug tells more',
      ko: '다른 엔진을 쓰세요. `engine: sockets`는 모든 시스템에서 동작합니다. 원인은 NARU_LOG=debug로 확인할 수 있습니다',
    },
  },
  ENGINE_NONE: {
    exit: 1,
    en: 'no engine here can carry {name}: {why}',
    ko: '여기에는 {name}{을/를} 처리할 수 있는 엔진이 없습니다: {why}',
    fix: { en: 'drop what none of them can do', ko: '어느 엔진도 지원하지 않는 설정을 빼세요' },
  },
  ENGINE_NO_RIGHT: {
    exit: 4,
    en: 'what could carry {name} lacks a privilege: {why}',
    ko: '{name}{을/를} 처리할 엔진에 권한이 없습니다: {why}',
    fix: { en: 'run: `{command}`', ko: '다음을 실행하세요: `{command}`' },
  },
  ENGINE_UNFIT: {
    exit: 1,
    en: 'the engine {engine} cannot carry {name}: {why}',
    ko: '{engine} 엔진으로는 {name}{을/를} 처리할 수 없습니다: {why}',
    fix: {
      en: 'use engine: auto, or drop what it cannot do',
      ko: 'engine: auto를 쓰거나 지원하지 않는 설정을 빼세요',
    },
  },
} as const satisfies Record<string, CodeEntry>
