/** `naru up`: the daemon on naru.yaml, in the foreground. */
import { say } from '../../base/text.ts'
import type { Ready } from '../deps.ts'
import { roomOf } from '../io.ts'
import { printProblem, printProblems } from '../print/errors.ts'
import { ruleTable } from '../print/rules.ts'
import { connections as counted } from '../print/units.ts'
import type { ExitCode } from '../../base/codes/entry.ts'
import type { Context, Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'up',
  summary: say(
    'run the daemon: the rules of the file, the API, the web page',
    '데몬 실행: 파일의 규칙, API, 웹 페이지',
  ),
  about: say(
    'Stays in the foreground, as systemd wants it. The file is watched; an invalid one changes nothing, and a rule that cannot be as the file says goes on as it was. SIGHUP re-reads it; SIGTERM, Ctrl-C and a closed terminal undo everything within 5 s, SIGUSR1 lets connections finish first.',
    'systemd에 맞게 포그라운드에서 동작합니다. 파일이 바뀌면 바로 반영하고, 파일이 잘못되었으면 아무것도 바꾸지 않고, 파일대로 할 수 없는 규칙은 이전 상태로 계속 동작합니다. SIGHUP은 다시 읽기, SIGTERM과 Ctrl-C, 터미널 닫힘은 5초 안에 모두 되돌리고 종료, SIGUSR1은 연결이 끝나기를 기다려 종료합니다.',
  ),
  options: [
    {
      name: 'api',
      value: 'ADDRESS:PORT|off',
      text: say(
        'where the web page and the API listen (default 127.0.0.1:6278, or the next free port)',
        '웹 페이지와 API 주소 (기본 127.0.0.1:6278, 쓰는 중이면 다음 포트)',
      ),
    },
    {
      name: 'replace',
      text: say(
        'take the place of the daemon that runs: no client is refused, no connection is cut (Linux)',
        '실행 중인 데몬을 넘겨받기: 거절되는 클라이언트도, 끊기는 연결도 없음 (리눅스)',
      ),
    },
    {
      name: 'background',
      text: say(
        'go on in the background: the command ends once the daemon serves, or with its exit code where it cannot; `naru logs` tells what happens then',
        '백그라운드에서 실행: 데몬이 준비되면 명령이 끝나고, 시작하지 못하면 그 종료 코드로 끝남. 이후 일은 `naru logs`로 확인',
      ),
    },
  ],
  examples: [
    { command: 'naru up', text: say('the default file', '기본 파일로 실행') },
    {
      command: 'naru up --config ./naru.yaml --api off',
      text: say('another file, no web page', '다른 파일, 웹 페이지 없이'),
    },
    {
      command: 'naru up --replace',
      text: say('after an upgrade, without a gap', '업그레이드 뒤 끊김 없이 교체'),
    },
  ],
  json: say(
    'One object once the rules are open: {about, loginUrl, readOnlyUrl, pageOnNetwork, sampleUrl, rules, failures}',
    '규칙이 열린 뒤 객체 하나: {about, loginUrl, readOnlyUrl, pageOnNetwork, sampleUrl, rules, failures}',
  ),
  run: (context) =>
    context.switched('background') ? context.deps.upInBackground(context.interrupt()) : upHere(context),
}

async function upHere(context: Context): Promise<ExitCode> {
  const { deps, print, json, language } = context
  const signal = context.interrupt({ reloads: true })
  let passedOn = false
  // Whoever started it in the background is back at the prompt: `naru stop` tells the end of it.
  let isAlone = false
  if (!json) signal.addEventListener('abort', () => isAlone || print.talk(stopping), { once: true })
  const code = await deps.up({
    file: context.file,
    api: context.option('api'),
    language,
    replace: context.switched('replace'),
    onPassedOn(to) {
      passedOn = true
      if (!isAlone) sayPassedOn(to, context)
    },
    onReady(ready, { inBackground }) {
      sayReady(ready, inBackground, context)
      isAlone = inBackground && context.io.stderr.isTTY
    },
    signal,
  })
  // What could not be undone is an error, and told as one.
  if (code === 0 && !passedOn && !json && !isAlone) print.talk(stopped)
  return code
}

const stopping = say('Stopping; everything is being undone …', '중지하는 중 … 열었던 것을 모두 되돌립니다')
const stopped = say('Stopped; nothing is left open.', '중지했습니다. 열린 채 남은 것은 없습니다.')

function sayPassedOn(
  { pid, connections }: { readonly pid: number; readonly connections: number },
  { print }: Context,
): void {
  print.talk(
    say(
      `Naru (pid ${pid}) has taken over; what goes on here until it ends: ${counted(connections, 'en')}.`,
      `Naru(pid ${pid})가 넘겨받았습니다. 연결 ${connections}개는 끝날 때까지 여기서 이어집니다.`,
    ),
  )
}

function sayReady(ready: Ready, inBackground: boolean, context: Context): void {
  const { print, json, io } = context
  if (json) {
    const forAll = io.stdout.isJournal ? { loginUrl: null, readOnlyUrl: null } : {}
    return print.json({ ...ready, ...forAll }, { line: true })
  }
  const { about, rules, failures, sampleUrl } = ready
  print.data(`Naru ${about.version}  ${about.file ?? ''}`)
  if (sampleUrl !== null)
    print.data(`${print.say(say('forwarded page', '포워딩된 페이지'))}: ${print.paint.cyan(sampleUrl)}`)
  sayPage(ready, context)
  if (ready.pageOnNetwork) print.talk(unencrypted)
  if (rules.length > 0)
    for (const line of ruleTable(rules, print, { now: io.now(), room: roomOf(io.stdout) })) print.data(line)
  printProblems(failures, print)
  if (about.fileProblem) printProblem(about.fileProblem, print)
  print.talk(
    inBackground
      ? say('naru stop stops it and undoes everything.', 'naru stop을 실행하면 모두 되돌리고 종료합니다.')
      : say('Ctrl-C stops and undoes everything.', 'Ctrl-C를 누르면 모두 되돌리고 종료합니다.'),
  )
}

const unencrypted = say(
  'Note: others on this network can read the page’s traffic, its token too (HTTP without TLS). `ssh -L 6278:127.0.0.1:6278 THIS_MACHINE` reaches a page on loopback safely.',
  '참고: 이 페이지는 TLS 없는 HTTP라서 같은 네트워크의 다른 사람이 토큰까지 엿볼 수 있습니다. 루프백에만 두고 `ssh -L 6278:127.0.0.1:6278 이_컴퓨터`로 접속하면 안전합니다.',
)

/** The links log in, so the journal gets the address alone: others may read it. */
function sayPage({ about, loginUrl, readOnlyUrl }: Ready, { print, io }: Context): void {
  const { bold, cyan } = print.paint
  const page = print.say(say('web page', '웹 페이지'))
  if (loginUrl !== null && io.stdout.isJournal) {
    print.data(`${page}: ${about.web ?? ''}`)
    print.talk(
      say('`naru status` shows the link to log in with.', '로그인 링크는 `naru status`로 확인하세요.'),
    )
    return
  }
  if (loginUrl !== null) print.data(`${page}: ${bold(cyan(loginUrl))}`)
  if (readOnlyUrl !== null) print.data(`${print.say(say('to look only', '읽기 전용'))}: ${cyan(readOnlyUrl)}`)
}
