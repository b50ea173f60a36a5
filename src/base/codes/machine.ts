import type { CodeEntry } from './entry.ts'

export const machineCodes = {
  INTERNAL: {
    exit: 1,
    en: 'something failed that Naru did not foresee: {why}',
    ko: 'Naru가 예상하지 못한 오류가 났습니다: {why}',
    fix: {
      en: 'run again with NARU_DEBUG=1 to see where, and report it',
      ko: 'NARU_DEBUG=1로 다시 실행해 위치를 확인하고 알려 주세요',
    },
  },
  OUT_OF_DESCRIPTORS: {
    exit: 1,
    en: 'this process has as many files and sockets open as it may: {why}',
    ko: '이 프로세스가 열 수 있는 파일과 소켓을 모두 썼습니다: {why}',
    fix: {
      en: 'allow it more: ulimit -n 65536, or LimitNOFILE= of its unit',
      ko: '한도를 늘리세요: ulimit -n 65536, 또는 유닛의 LimitNOFILE=',
    },
  },
  TIMED_OUT: {
    exit: 1,
    en: '{what} gave no answer within {ms} ms',
    ko: '{what}: {ms}ms 안에 응답이 없습니다',
    fix: {
      en: 'try again; if it stays silent, see whether it hangs',
      ko: '다시 시도하세요. 계속 응답이 없으면 멈춰 있는지 확인하세요',
    },
  },
  ABORTED: {
    exit: 1,
    en: '{what} was stopped before it was done',
    ko: '{what}: 끝나기 전에 중단되었습니다',
    fix: null,
  },
  COMMAND_MISSING: {
    exit: 1,
    en: 'cannot run {command}: it is not installed or not on PATH',
    ko: '{command}{을/를} 실행할 수 없습니다: 설치되어 있지 않거나 PATH에 없습니다',
    fix: {
      en: 'install it, or put the folder that has it on PATH',
      ko: '설치하거나, 설치된 폴더를 PATH에 추가하세요',
    },
  },
  COMMAND_FAILED: {
    exit: 1,
    en: '{command} failed with exit code {exit}: {stderr}',
    ko: '{command} 명령이 종료 코드 {exit}{으로/로} 실패했습니다: {stderr}',
    fix: {
      en: 'mend what it says; run by hand it may tell more',
      ko: '출력된 원인을 고치세요. 직접 실행해 보면 더 자세히 알 수 있습니다',
    },
  },
  NOT_PERMITTED: {
    exit: 4,
    en: 'not permitted to {what}',
    ko: '권한이 없습니다: {what}',
    fix: { en: 'run: `{command}`', ko: '다음을 실행하세요: `{command}`' },
  },
  UNTRUSTED_PATH: {
    exit: 4,
    en: '{path} is not used, as another user could change what is there: {why}',
    ko: '다른 사용자가 내용을 바꿀 수 있어 {path}{을/를} 쓰지 않습니다: {why}',
    fix: { en: '{mend}', ko: '{mend}' },
  },
  FIREWALL_UNFIT: {
    exit: 1,
    en: 'no firewall can be opened (asked for {firewall}): {why}',
    ko: '열 수 있는 방화벽이 없습니다(요청: {firewall}): {why}',
    fix: {
      en: '`naru firewall` shows which one decides here',
      ko: '`naru firewall`로 어느 방화벽이 동작하는지 확인하세요',
    },
  },
  STATE_FOLDER: {
    exit: 1,
    en: 'cannot write to the state folder {folder}: {why}',
    ko: '상태 폴더 {folder}에 쓸 수 없습니다: {why}',
    fix: {
      en: 'make it writable, free space on its disk, or choose another with NARU_STATE',
      ko: '쓰기 권한을 주거나 디스크 공간을 비우거나, NARU_STATE로 다른 폴더를 지정하세요',
    },
  },
  ALREADY_RUNNING: {
    exit: 1,
    en: 'another Naru (pid {pid}) already runs on {file}',
    ko: '다른 Naru(pid {pid})가 이미 {file}{으로/로} 실행 중입니다',
    fix: {
      en: 'talk to it with `naru ls`, take its place with `naru up --replace`, or give this one another file with --config',
      ko: '`naru ls`로 확인하거나, `naru up --replace`로 넘겨받거나, --config로 다른 파일을 지정하세요',
    },
  },
  HANDOVER_FAILED: {
    exit: 1,
    en: 'could not take the place of the running Naru (pid {pid}), which goes on as before: {why}',
    ko: '실행 중인 Naru(pid {pid})를 넘겨받지 못했고, 그 프로세스가 계속 동작합니다: {why}',
    fix: {
      en: 'mend what is said, or restart with `naru stop` and `naru up`',
      ko: '원인을 고치거나, `naru stop` 후 `naru up`으로 다시 시작하세요',
    },
  },
  HELD_BY_SERVICE: {
    exit: 1,
    en: 'the Naru that runs (pid {pid}) is the service {unit}, and one started by hand would leave it',
    ko: '실행 중인 Naru(pid {pid})는 서비스 {unit}이며, 직접 시작한 Naru가 넘겨받으면 서비스에서 벗어납니다',
    fix: {
      en: 'replace it without a gap by `{command}`; a program that lies elsewhere now: write its unit anew (`sudo naru service install`)',
      ko: '`{command}`로 끊김 없이 교체하세요. 프로그램의 위치가 바뀌었으면 `sudo naru service install`을 쓰세요',
    },
  },
  RUNS_OUTSIDE: {
    exit: 1,
    en: 'a Naru that the system did not start (pid {pid}) runs on {file}, and what it opened stays open',
    ko: '시스템이 시작하지 않은 Naru(pid {pid})가 {file}{으로/로} 실행 중이며, 열어 둔 것도 그대로입니다',
    fix: {
      en: 'end it with `naru stop`, which undoes what it opened; then do this again',
      ko: '`naru stop`으로 끝내면 열어 둔 것을 되돌립니다. 그 뒤 다시 실행하세요',
    },
  },
  SERVICE_NOT_UP: {
    exit: 1,
    en: 'the service is written ({where}), and does not serve',
    ko: '서비스를 저장했지만({where}) 동작하지 않습니다',
    fix: {
      en: 'its log tells why (systemd: `journalctl -u naru`); `naru check` finds what is wrong with the file',
      ko: '로그에 이유가 있습니다(systemd: `journalctl -u naru`). 규칙 파일의 잘못은 `naru check`로 확인하세요',
    },
  },
  SERVICE_MANAGER_MISSING: {
    exit: 1,
    en: 'nothing here starts Naru with the machine: {manager} does not run',
    ko: '부팅할 때 Naru를 시작할 방법이 없습니다: {manager}{이/가} 실행 중이 아닙니다',
    fix: { en: '{instead}', ko: '{instead}' },
  },
  HOME_UNKNOWN: {
    exit: 1,
    en: 'cannot tell which folder is yours: HOME is not set, and this user has no entry in /etc/passwd',
    ko: '홈 폴더를 알 수 없습니다: HOME이 없고 /etc/passwd에도 이 사용자가 없습니다',
    fix: {
      en: 'set HOME, or name the rule file with --config and the state folder with NARU_STATE',
      ko: 'HOME을 지정하거나, --config로 규칙 파일을, NARU_STATE로 상태 폴더를 지정하세요',
    },
  },
  OUTPUT_LOST: {
    exit: 1,
    en: 'cannot write the output: {why}',
    ko: '출력을 쓸 수 없습니다: {why}',
    fix: { en: 'free space where it goes to', ko: '출력할 곳의 공간을 비우세요' },
  },
  STOPPING: {
    exit: 1,
    en: 'Naru is stopping: nothing is changed any more',
    ko: 'Naru가 종료 중이라 더는 변경하지 않습니다',
    fix: { en: 'start it again, and then do it', ko: '다시 시작한 뒤 실행하세요' },
  },
  NOT_UNDONE: {
    exit: 1,
    en: 'still in force, as it could not be undone: {left}',
    ko: '되돌리지 못해 아직 열려 있습니다: {left}',
    fix: {
      en: '`naru stop` tries it again, and so does any start (`naru up`, `naru open`)',
      ko: '`naru stop`을 다시 실행하거나 Naru를 시작하면(`naru up`, `naru open`) 먼저 이것부터 되돌립니다',
    },
  },
  STILL_IN_FORCE: {
    exit: 1,
    en: 'the rule {name} wants it no more, but it could not be undone yet: {left}',
    ko: '{name} 규칙에 더는 필요 없지만 아직 되돌리지 못했습니다: {left}',
    fix: {
      en: 'Naru tries again by itself, every 30 s at the latest and when it starts next; `naru firewall ls` and `naru router ls` show what there is',
      ko: '늦어도 30초마다, 그리고 다음에 시작할 때 스스로 다시 시도합니다. `naru firewall ls`와 `naru router ls`로 확인하세요',
    },
  },
  HANDED_OVER: {
    exit: 1,
    en: 'another Naru has taken over; ask that one',
    ko: '다른 Naru가 넘겨받았습니다. 그쪽에 요청하세요',
    fix: { en: 'do it again: `naru` finds the one that runs', ko: '다시 실행하면 실행 중인 Naru를 찾습니다' },
  },
  VANTAGE_SILENT: {
    exit: 1,
    en: 'the vantage {place} cannot be asked: {why}',
    ko: '바깥 지점 {place}에 물어볼 수 없습니다: {why}',
    fix: {
      en: 'run `naru vantage` on that machine, and let its port in there',
      ko: '그 컴퓨터에서 `naru vantage`를 실행하고, 그쪽 방화벽에서 포트를 허용하세요',
    },
  },
  VANTAGE_KEY: {
    exit: 4,
    en: 'the vantage {place} does not know the key',
    ko: '바깥 지점 {place}의 키가 다릅니다',
    fix: {
      en: 'type the key that `naru vantage` printed there',
      ko: '그 컴퓨터의 `naru vantage`가 출력한 키를 입력하세요',
    },
  },
} as const satisfies Record<string, CodeEntry>
