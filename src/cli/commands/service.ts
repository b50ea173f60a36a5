/** `naru service install`: the unit that lets systemd run `naru up`, printed, or written where it belongs. */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { ExitCode } from '../../base/codes/entry.ts'
import { NaruError, errnoOf, messageOf } from '../../base/errors.ts'
import { say, verbatim } from '../../base/text.ts'
import { usage } from '../parse.ts'
import { systemdUnit, unitPath } from '../systemd-unit.ts'
import type { Context, Verb } from '../verb.ts'

const install: Verb = {
  name: 'install',
  summary: say(
    'the systemd unit of `naru up`: printed, or written with --write',
    '`naru up`의 systemd 유닛 출력, --write로 저장',
  ),
  about: say(
    'The service keeps no more of root’s powers than CAP_NET_BIND_SERVICE and CAP_NET_ADMIN, and writes only to its state, beside its file and to /etc/ufw, /run and /tmp, which ufw and iptables need.',
    '서비스는 root 권한 중 CAP_NET_BIND_SERVICE와 CAP_NET_ADMIN만 가지며, 상태 폴더와 규칙 파일이 있는 폴더, 그리고 ufw와 iptables에 필요한 /etc/ufw, /run, /tmp에만 씁니다.',
  ),
  options: [
    { name: 'write', text: say(`to ${unitPath}`, `${unitPath}에 저장`) },
    { name: 'api', value: 'ADDRESS:PORT|off', text: say('as with naru up', 'naru up과 같음') },
  ],
  examples: [
    { command: 'naru service install', text: say('look at it first', '먼저 내용 보기') },
    { command: 'sudo naru service install --write', text: say('then install it', '설치') },
  ],
  json: say('{path, unit, written}', '{path, unit, written}'),
  run,
}

export const verb: Verb = {
  name: 'service',
  summary: say('let systemd run the daemon', 'systemd로 데몬 실행'),
  verbs: [install],
  examples: install.examples ?? [],
}

async function run(context: Context): Promise<ExitCode> {
  const { io, print, json } = context
  if (io.platform !== 'linux')
    throw usage(
      'naru service install',
      say('there is a unit for systemd on Linux only', 'Linux의 systemd용 유닛만 있습니다'),
    )
  const file = resolve(context.file ?? io.env['NARU_CONFIG'] ?? '/etc/naru/naru.yaml')
  const unit = systemdUnit({ command: io.self, file, api: context.option('api') })
  const written = context.switched('write')
  if (written) {
    await write(unitPath, unit)
    await write(dirname(file), null)
  }
  if (json) print.json({ path: unitPath, unit, written })
  else if (written)
    print.talk(
      say(
        `written: ${unitPath}. Now: systemctl daemon-reload && systemctl enable --now naru`,
        `저장: ${unitPath}. 이어서: systemctl daemon-reload && systemctl enable --now naru`,
      ),
    )
  else print.data(unit.trimEnd())
  return 0
}

/** @param text null makes the folder. */
async function write(path: string, text: string | null): Promise<void> {
  try {
    if (text === null) await mkdir(path, { recursive: true, mode: 0o755 })
    else await writeFile(path, text, { mode: 0o644 })
  } catch (error) {
    if (errnoOf(error) === 'EACCES' || errnoOf(error) === 'EPERM')
      throw new NaruError(
        'NOT_PERMITTED',
        { what: verbatim(`write ${path}`), command: 'sudo naru service install --write' },
        { cause: error },
      )
    throw new NaruError('FILE_UNWRITABLE', { file: path, why: messageOf(error) }, { cause: error })
  }
}
