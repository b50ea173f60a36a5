/** `naru service install`: the unit that lets systemd run `naru up`, printed, or written where it belongs. */
import { mkdir, realpath, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { ExitCode } from '../../base/codes/entry.ts'
import { NaruError, errnoOf, messageOf } from '../../base/errors.ts'
import { asService } from '../../base/privilege.ts'
import { say } from '../../base/text.ts'
import { untrusted, whyUntrusted } from '../../base/trust.ts'
import { usage } from '../parse.ts'
import { printProblem } from '../print/errors.ts'
import { systemdUnit, unitPath } from '../systemd-unit.ts'
import type { Context, Verb } from '../verb.ts'

const install: Verb = {
  name: 'install',
  summary: say(
    'the systemd unit of `naru up`: printed, or written with --write',
    '`naru up`의 systemd 유닛 출력, --write로 저장',
  ),
  about: say(
    'The service is root without most of root’s powers: it keeps CAP_NET_BIND_SERVICE, CAP_NET_ADMIN and CAP_BPF, and writes only to its state, to /run/naru, beside its file, to /etc/ufw and to the network’s switches in /proc/sys. Comments in the unit say what each line left open is for. A program or a file that another user may write is refused, as that user would be root: --force takes it all the same.',
    '서비스는 root로 실행되지만 권한은 CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_BPF만 가지며, 상태 폴더, /run/naru, 규칙 파일이 있는 폴더, /etc/ufw, /proc/sys의 네트워크 설정에만 씁니다. 열어 둔 항목의 이유는 유닛의 주석에 있습니다. 다른 사용자가 쓸 수 있는 프로그램이나 파일은 그 사용자가 root가 되는 셈이므로 거부하며, --force로 강제할 수 있습니다.',
  ),
  options: [
    { name: 'write', text: say(`to ${unitPath}`, `${unitPath}에 저장`) },
    {
      name: 'force',
      text: say(
        'also where another user may write the program or the rules file',
        '다른 사용자가 프로그램이나 규칙 파일에 쓸 수 있어도 진행',
      ),
    },
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
  const written = context.switched('write')
  const doubt = (await programOf(io.self)).map(doubtAbout).find((one) => one !== null) ?? null
  const doubtOfFile = doubtAbout(file)
  if (written && !context.switched('force')) for (const error of [doubt, doubtOfFile]) if (error) throw error
  const unit = systemdUnit({
    command: io.self,
    file,
    api: context.option('api'),
    program: await packageOf(io.self),
    trustFile: doubtOfFile !== null && context.switched('force'),
  })
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
  else {
    print.data(unit.trimEnd())
    for (const error of [doubt, doubtOfFile]) if (error) printProblem(error.toJSON(), print)
  }
  return 0
}

/** The folder that the script is part of; null where there is none. */
async function packageOf([, script]: readonly string[]): Promise<string | null> {
  return script === undefined ? null : dirname(dirname(await realpath(script).catch(() => script)))
}

/** What runs as root: node, the script, and the package that it is part of. */
async function programOf(self: readonly string[]): Promise<readonly string[]> {
  const [program = '', script] = self
  const root = await packageOf(self)
  if (script === undefined || root === null) return [program]
  return [program, script, ...['dist/bundle', 'dist/main.js', 'node_modules'].map((path) => join(root, path))]
}

const whereRootWrites = say(
  'keep it where only root writes (`sudo npm install -g naru`, /etc/naru/naru.yaml), or add --force',
  'root만 쓸 수 있는 곳에 두거나(`sudo npm install -g naru`, /etc/naru/naru.yaml) --force를 추가하세요',
)

/** As root would judge it, whoever asks. */
function doubtAbout(path: string): NaruError | null {
  const distrust = whyUntrusted(path, 0)
  return distrust && untrusted(path, distrust, whereRootWrites)
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
        { what: say(`write ${path}`, `${path} 쓰기`), command: asService() },
        { cause: error },
      )
    throw new NaruError('FILE_UNWRITABLE', { file: path, why: messageOf(error) }, { cause: error })
  }
}
