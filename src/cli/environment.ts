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
    text: say('the rules file, as --config'),
  },
  {
    name: 'NARU_STATE',
    value: 'FOLDER',
    text: say(
      'journals and sockets of running Narus (default: $XDG_STATE_HOME/naru, else /var/lib/naru as root and ~/.local/state/naru for others; on Windows %LOCALAPPDATA%\\naru); refused where others may write there',
    ),
  },
  {
    name: 'NARU_TRUST_FILE',
    value: '1',
    text: say(
      'as root, read the rules file also where another user may write it or a folder above it; that user may then do what root may',
    ),
  },
  {
    name: 'NARU_LANG',
    value: 'en | ko',
    text: say('the language, before LC_ALL, LC_MESSAGES and LANG'),
  },
  {
    name: 'NARU_LOG',
    value: 'debug | info | warn | error | silent',
    text: say('how much `naru up` logs (default: info)'),
  },
  {
    name: 'NARU_DEBUG',
    value: '1',
    text: say('an error also shows where it came from'),
  },
  {
    name: 'NARU_VANTAGE_KEY',
    value: 'KEY',
    text: say('the key of `naru vantage`, as --key, out of sight of `ps`'),
  },
  {
    name: 'NARU_QEMU_QMP',
    value: '/run/vms/web.qmp:/srv/vms/*.qmp',
    text: say(
      'QMP sockets of QEMU guests that are not found by their process, or are another user’s, `:` between them; the last part of a path may hold `*`',
    ),
  },
  {
    name: 'NARU_VMREST',
    value: 'http://USER:PASSWORD@127.0.0.1:8697',
    text: say('VMware’s REST server; without it VMware’s own tools and files are used'),
  },
  {
    name: 'NARU_VMWARE_RESTART',
    value: 'yes',
    text: say(
      'agree that VMware’s network starts again for a forward, which cuts off every VM for a moment (only without NARU_VMREST)',
    ),
  },
  {
    name: 'DOCKER_HOST',
    value: 'unix:///var/run/docker.sock',
    text: say('Docker’s API, where it is not at a usual place; also npipe:// and tcp://'),
  },
  {
    name: 'CONTAINER_HOST',
    value: 'unix:///run/podman/podman.sock',
    text: say('Podman’s API, likewise'),
  },
  {
    name: 'NARU_NO_KOFFI',
    value: '1',
    text: say('do without native calls: no splice engine, sockets by way of ss'),
  },
  {
    name: 'NARU_NO_IO_URING',
    value: '1',
    text: say('the splice engine does without io_uring, also where the kernel has it'),
  },
  {
    name: 'NARU_NO_OFFLOAD',
    value: '1',
    text: say(
      'no flow is carried by the kernel alone: the kernel and splice engines put no program on a device',
    ),
  },
  {
    name: 'NO_COLOR',
    value: '1',
    text: say('no colour; FORCE_COLOR=1 is colour also off a terminal'),
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
