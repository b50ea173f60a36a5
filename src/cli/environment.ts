/** Every variable of the environment that Naru reads, for the reference. A test holds this table and the source equal. */
import { say, type Text } from '../base/text.ts'

export interface Variable {
  readonly name: string
  /** Its value's shape, or an example. */
  readonly value: string
  readonly text: Text
}

export const variables: readonly Variable[] = [
  {
    name: 'NARU_CONFIG',
    value: 'FILE',
    text: say('the rules file, as --config', '규칙 파일, --config와 같음'),
  },
  {
    name: 'NARU_STATE',
    value: 'FOLDER',
    text: say(
      'journals and sockets of running Narus (default: $XDG_STATE_HOME/naru, else /var/lib/naru as root and ~/.local/state/naru for others; on Windows %LOCALAPPDATA%\\naru); refused where others may write there',
      '실행 중인 Naru의 저널과 소켓 (기본: $XDG_STATE_HOME/naru, 없으면 root는 /var/lib/naru, 그 외 ~/.local/state/naru, Windows는 %LOCALAPPDATA%\\naru). 다른 사용자가 쓸 수 있으면 거부',
    ),
  },
  {
    name: 'NARU_TRUST_FILE',
    value: '1',
    text: say(
      'as root, read the rules file also where another user may write it or a folder above it; that user may then do what root may',
      'root로 실행할 때 다른 사용자가 규칙 파일이나 상위 폴더에 쓸 수 있어도 읽음. 그 사용자는 root의 권한을 갖게 됨',
    ),
  },
  {
    name: 'NARU_LANG',
    value: 'en | ko',
    text: say(
      'the language, before LC_ALL, LC_MESSAGES and LANG',
      '언어. LC_ALL, LC_MESSAGES, LANG보다 먼저 봄',
    ),
  },
  {
    name: 'NARU_LOG',
    value: 'debug | info | warn | error | silent',
    text: say('how much `naru up` logs (default: info)', '`naru up`이 남기는 로그 수준 (기본: info)'),
  },
  {
    name: 'NARU_DEBUG',
    value: '1',
    text: say('an error also shows where it came from', '오류가 난 위치까지 표시'),
  },
  {
    name: 'NARU_VANTAGE_KEY',
    value: 'KEY',
    text: say(
      'the key of `naru vantage`, as --key, out of sight of `ps`',
      '`naru vantage`의 키. --key와 같지만 `ps`에 보이지 않음',
    ),
  },
  {
    name: 'NARU_QEMU_QMP',
    value: '/run/vms/web.qmp:/srv/vms/*.qmp',
    text: say(
      'QMP sockets of QEMU guests that are not found by their process, or are another user’s, `:` between them; the last part of a path may hold `*`',
      '프로세스로 찾지 못하거나 다른 사용자가 실행한 QEMU 게스트의 QMP 소켓. `:`로 구분하며 경로의 마지막 부분에 `*` 사용 가능',
    ),
  },
  {
    name: 'NARU_VMREST',
    value: 'http://USER:PASSWORD@127.0.0.1:8697',
    text: say(
      'VMware’s REST server; without it VMware’s own tools and files are used',
      'VMware REST 서버. 없으면 VMware 도구와 파일을 사용',
    ),
  },
  {
    name: 'NARU_VMWARE_RESTART',
    value: 'yes',
    text: say(
      'agree that VMware’s network starts again for a forward, which cuts off every VM for a moment (only without NARU_VMREST)',
      '포워딩을 위해 VMware 네트워크를 다시 시작하는 데 동의. 모든 VM의 연결이 잠시 끊김 (NARU_VMREST가 없을 때만)',
    ),
  },
  {
    name: 'DOCKER_HOST',
    value: 'unix:///var/run/docker.sock',
    text: say(
      'Docker’s API, where it is not at a usual place; also npipe:// and tcp://',
      '기본 위치가 아닐 때의 Docker API. npipe://와 tcp://도 가능',
    ),
  },
  {
    name: 'CONTAINER_HOST',
    value: 'unix:///run/podman/podman.sock',
    text: say('Podman’s API, likewise', 'Podman API, 위와 같음'),
  },
  {
    name: 'NARU_NO_KOFFI',
    value: '1',
    text: say(
      'do without native calls: no splice engine, sockets by way of ss',
      '네이티브 호출을 쓰지 않음: splice 엔진 없음, 소켓은 ss로 읽음',
    ),
  },
  {
    name: 'NARU_NO_IO_URING',
    value: '1',
    text: say(
      'the splice engine does without io_uring, also where the kernel has it',
      '커널이 지원해도 splice 엔진이 io_uring을 쓰지 않음',
    ),
  },
  {
    name: 'NARU_NO_OFFLOAD',
    value: '1',
    text: say(
      'no flow is carried by the kernel alone: the kernel and splice engines put no program on a device',
      '바쁜 흐름도 커널에 맡기지 않음. kernel, splice 엔진이 네트워크 장치에 프로그램을 붙이지 않음',
    ),
  },
  {
    name: 'NO_COLOR',
    value: '1',
    text: say(
      'no colour; FORCE_COLOR=1 is colour also off a terminal',
      '색 없음. FORCE_COLOR=1이면 터미널이 아니어도 색 사용',
    ),
  },
]

export function variableTable(spoken: (text: Text) => string): string[] {
  return [
    '| | | |',
    '|---|---|---|',
    ...variables.map(
      ({ name, value, text }) =>
        `| \`${name}\` | \`${value.replaceAll('|', '\\|')}\` | ${spoken(text).replaceAll('|', '\\|')} |`,
    ),
  ]
}
