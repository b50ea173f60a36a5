/** `naru up`: the daemon on naru.yaml, in the foreground. */
import { say } from '../../base/text.ts'
import type { Ready } from '../deps.ts'
import { roomOf } from '../io.ts'
import { printProblem, printProblems } from '../print/errors.ts'
import { ruleTable } from '../print/rules.ts'
import { connections as counted } from '../print/units.ts'
import type { ExitCode } from '../../base/codes/entry.ts'
import { tellPageShut } from '../shut-out.ts'
import type { Context, Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'up',
  summary: say('run the daemon: the rules of the file, the API, the web page'),
  about: say(
    'Stays in the foreground, as systemd wants it. The file is watched; an invalid one changes nothing, and a rule that cannot be as the file says goes on as it was. SIGHUP re-reads it; SIGTERM, Ctrl-C and a closed terminal undo everything within 5 s, SIGUSR1 lets connections finish first.',
  ),
  options: [
    {
      name: 'api',
      value: 'ADDRESS:PORT|off',
      text: say('where the web page and the API listen (default 127.0.0.1:6278, or the next free port)'),
    },
    {
      name: 'replace',
      text: say('take the place of the daemon that runs: no client is refused, no connection is cut (Linux)'),
    },
    {
      name: 'background',
      text: say(
        'go on in the background: the command ends once the daemon serves, or with its exit code where it cannot; `naru logs` tells what happens then',
      ),
    },
  ],
  examples: [
    { command: 'naru up', text: say('the default file') },
    {
      command: 'naru up --config ./naru.yaml --api off',
      text: say('another file, no web page'),
    },
    {
      command: 'naru up --replace',
      text: say('after an upgrade, without a gap'),
    },
  ],
  json: say(
    'One object once the rules are open: {about, loginUrl, readOnlyUrl, pageOnNetwork, sampleUrl, rules, failures}',
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

const stopping = say('Stopping; everything is being undone …')
const stopped = say('Stopped; nothing is left open.')

function sayPassedOn(
  { pid, connections }: { readonly pid: number; readonly connections: number },
  { print }: Context,
): void {
  print.talk(say`Naru (pid ${pid}) has taken over; what goes on here until it ends: ${counted(connections)}.`)
}

function sayReady(ready: Ready, inBackground: boolean, context: Context): void {
  const { print, json, io } = context
  if (json) {
    const forAll = io.stdout.isJournal ? { loginUrl: null, readOnlyUrl: null } : {}
    return print.json({ ...ready, ...forAll }, { line: true })
  }
  const { about, rules, failures, sampleUrl } = ready
  print.data(`Naru ${about.version}  ${about.file ?? ''}`)
  if (sampleUrl !== null) print.data(`${print.say(say('forwarded page'))}: ${print.paint.cyan(sampleUrl)}`)
  sayPage(ready, context)
  if (ready.pageOnNetwork) print.talk(unencrypted)
  // Told behind the rest: reading the firewall may take a moment, and nobody waits for it.
  if (ready.pageOnNetwork && about.web !== null && !inBackground) void tellPageShut(about.web, context)
  if (rules.length > 0)
    for (const line of ruleTable(rules, print, { now: io.now(), room: roomOf(io.stdout) })) print.data(line)
  printProblems(failures, print)
  if (about.fileProblem) printProblem(about.fileProblem, print)
  print.talk(
    inBackground
      ? say('naru stop stops it and undoes everything.')
      : say('Ctrl-C stops and undoes everything.'),
  )
}

const unencrypted = say(
  'Note: others on this network can read the page’s traffic, its token too (HTTP without TLS). `ssh -L 6278:127.0.0.1:6278 THIS_MACHINE` reaches a page on loopback safely.',
)

/** The links log in, so the journal gets the address alone: others may read it. */
function sayPage({ about, loginUrl, readOnlyUrl }: Ready, { print, io }: Context): void {
  const { bold, cyan } = print.paint
  const page = print.say(say('web page'))
  if (loginUrl !== null && io.stdout.isJournal) {
    print.data(`${page}: ${about.web ?? ''}`)
    print.talk(say('`naru status` shows the link to log in with.'))
    return
  }
  if (loginUrl !== null) print.data(`${page}: ${bold(cyan(loginUrl))}`)
  if (readOnlyUrl !== null) print.data(`${print.say(say('to look only'))}: ${cyan(readOnlyUrl)}`)
}
