/** `naru service`: what lets the system start `naru up` with the machine: installed, looked at, taken away. */
import { resolve } from 'node:path'
import type { ExitCode } from '../../base/codes/entry.ts'
import { systemClock, withLimit } from '../../base/clock.ts'
import { isNaruError, NaruError } from '../../base/errors.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import type { SystemService, ServiceRequest, ServiceStatus } from '../../model/service.ts'
import { usage } from '../parse.ts'
import { printProblem } from '../print/errors.ts'
import { answering, gone } from '../stop-daemon.ts'
import type { Context, Verb } from '../verb.ts'

const install: Verb = {
  name: 'install',
  summary: say('start `naru up` now and with the machine'),
  about: say(
    'On Linux a unit of systemd: root without most of root’s powers. It keeps CAP_NET_BIND_SERVICE, CAP_NET_ADMIN and CAP_BPF, and writes only to its state, to /run/naru, beside its file, to /etc/ufw and to the network’s switches in /proc/sys; comments in the unit say what each line left open is for. On macOS a daemon of launchd, on Windows a task that runs as you, with the highest rights, whether you are logged on or not. Installed again it takes what changed: on Linux the new process takes the old one’s place without a gap. A program or a file that another user may write is refused, as that user would get these rights: --force takes it all the same.',
  ),
  options: [
    { name: 'print', text: say('only print what would be written') },
    {
      name: 'force',
      text: say('also where another user may write the program or the rules file'),
    },
    { name: 'api', value: 'ADDRESS:PORT|off', text: say('as with naru up') },
  ],
  examples: [
    { command: 'naru service install --print', text: say('look at it first') },
    { command: 'sudo naru service install', text: say('then install it') },
  ],
  json: verbatim('{where, definition, installed}'),
  run: runInstall,
}

const status: Verb = {
  name: 'status',
  summary: say('is it installed, does it run'),
  about: say('Exit code 1 where it is not installed or does not run.'),
  examples: [{ command: 'naru service status', text: say('is it installed, does it run') }],
  json: verbatim('{manager, where, installed, enabled, running, pid}'),
  run: runStatus,
}

const uninstall: Verb = {
  name: 'uninstall',
  summary: say('stop it and take it away; rules stay'),
  about: say('What it opened is undone. The rules file and the state folder stay.'),
  examples: [
    {
      command: 'sudo naru service uninstall',
      text: say('no start with the machine any more'),
    },
  ],
  json: verbatim('{where, uninstalled}'),
  run: runUninstall,
}

export const verb: Verb = {
  name: 'service',
  summary: say('let the system start the daemon with the machine'),
  verbs: [install, status, uninstall],
  examples: [...(install.examples ?? []), ...(uninstall.examples ?? [])],
}

async function runInstall(context: Context): Promise<ExitCode> {
  const { print, json } = context
  const service = await serviceOf(context)
  const request = requestOf(service, context)
  const definition = await service.definition(request)
  const doubts = await service.doubts(request)
  const installed = !context.switched('print')
  let serves = false
  if (installed) {
    const signal = context.interrupt()
    if (!request.force) for (const error of doubts) throw error
    if (!service.undoesAtEnd && (await service.status({ signal })).installed) await endDaemon(context)
    else await mustBeTheServices(service, request, context)
    await service.install(request, { signal })
    serves = await waitUntilServed(service, request, context)
  }
  const { where } = service
  if (json) print.json({ where, definition, installed })
  else if (installed) sayInstalled(context, { where, file: request.file, serves })
  else {
    print.data(definition.trimEnd())
    for (const error of doubts) printProblem(error.toJSON(), print)
  }
  return 0
}

function sayInstalled(
  { print }: Context,
  { where, file, serves }: { where: string; file: string | null; serves: boolean },
): void {
  print.talk(
    serves
      ? say`installed: ${where}. It runs, and starts with the machine`
      : say`installed: ${where}. It starts with the machine, and does not answer yet`,
  )
  if (file !== null) print.talk(say`its rules: ${file}`)
  print.talk(say('look at it with `naru service status`, take it away with `naru service uninstall`'))
}

async function runStatus(context: Context): Promise<ExitCode> {
  const { print, json } = context
  const service = await serviceOf(context)
  const status = await withDaemon(await service.status({ signal: context.interrupt() }), context)
  if (json) print.json(status)
  else print.data(print.say(sentenceOf(status)))
  return status.installed && status.running === true ? 0 : 1
}

/** Where the system does not tell whether it runs, the daemon itself does. */
async function withDaemon(status: ServiceStatus, context: Context): Promise<ServiceStatus> {
  if (status.running !== null) return status
  const pid = await runningOn(context.file, context).catch(() => null)
  return { ...status, running: pid !== null, pid }
}

function sentenceOf({ installed, enabled, running, pid, where }: ServiceStatus): ReturnType<typeof say> {
  if (!installed) return say('not installed: `naru service install`')
  const start = enabled === false ? say('does not start with the machine') : say('starts with the machine')
  const now = running === true ? say`runs${pid === null ? '' : say` (pid ${pid})`}` : say('does not run')
  return say`${now}, ${start}: ${where}`
}

async function runUninstall(context: Context): Promise<ExitCode> {
  const { print, json } = context
  const service = await serviceOf(context)
  const signal = context.interrupt()
  if (!service.undoesAtEnd && (await service.status({ signal })).installed) await endDaemon(context)
  const uninstalled = await service.uninstall({ signal })
  if (uninstalled) await mustBeOver(requestOf(service, context).file, context)
  if (json) print.json({ where: service.where, uninstalled })
  else if (uninstalled)
    print.talk(say`taken away: ${service.where}. What it had opened is undone; rules and state stay`)
  else print.talk(say`nothing to take away: ${service.where} is not there`)
  return 0
}

/** Who answers for that file; null where nobody does. */
function runningOn(file: string | null, { deps }: Context): Promise<number | null> {
  return answering(deps, file).then(
    ({ pid }) => pid,
    (error: unknown) => {
      if (isNaruError(error, 'NOT_RUNNING')) return null
      throw error
    },
  )
}

const stillRuns = (pid: number, file: string | null): NaruError =>
  new NaruError('RUNS_OUTSIDE', { pid, file: file ?? '' })

/**
 * What a service that was killed left is undone here: nobody starts it again.
 * @throws NaruError RUNS_OUTSIDE where one that a person started goes on, NOT_UNDONE
 */
async function mustBeOver(file: string | null, context: Context): Promise<void> {
  const { deps, print, json } = context
  const pid = await runningOn(file, context)
  if (pid !== null) throw stillRuns(pid, file)
  const tell = (text: Text): void => {
    if (!json) print.talk(text)
  }
  await deps.undoLeftOvers({ signal: context.interrupt(), tell })
  await deps.mustBeUndone({ file })
}

/** One that a person started holds the file, and the service's would not get it. @throws NaruError RUNS_OUTSIDE */
async function mustBeTheServices(
  service: SystemService,
  { file }: ServiceRequest,
  context: Context,
): Promise<void> {
  const pid = await runningOn(file, context)
  if (pid === null) return
  const { running, pid: itsPid } = await service.status({ signal: context.interrupt() })
  if (running === false || (itsPid !== null && itsPid !== pid)) throw stillRuns(pid, file)
}

/**
 * The system says that it started a program; that it serves is another thing.
 * @returns false where nobody answers, and the system does not tell whether it runs
 * @throws NaruError SERVICE_NOT_UP
 */
async function waitUntilServed(
  service: SystemService,
  { file }: ServiceRequest,
  context: Context,
): Promise<boolean> {
  const signal = withLimit(context.interrupt(), servesWithinMs)
  for (;;) {
    const pid = await runningOn(file, context)
    const status = await service.status({ signal: context.interrupt() })
    if (pid !== null && (status.pid === null || status.pid === pid)) return true
    if (pid === null && status.running === false) break
    if (signal.aborted && status.running === null) return false
    if (signal.aborted) break
    await systemClock.sleep(lookAgainMs, signal).catch(() => {})
  }
  throw new NaruError('SERVICE_NOT_UP', { where: service.where })
}

/** Routers and firewalls take their time at a start. */
const servesWithinMs = 15_000
const lookAgainMs = 200

/** To end the task would kill the daemon, which undoes what it opened where it is asked to stop. */
async function endDaemon(context: Context): Promise<void> {
  try {
    const { daemon, pid, itsFile } = await answering(context.deps, context.file)
    await daemon.stop()
    await gone(daemon, pid, context.interrupt())
    await context.deps.mustBeUndone({ file: itsFile ?? context.file })
  } catch (error) {
    if (!isNaruError(error, 'NOT_RUNNING')) throw error
  }
}

async function serviceOf({ deps, io }: Context): Promise<SystemService> {
  const service = await deps.service()
  if (service) return service
  throw usage(
    'naru service',
    say`of ${io.platform} Naru does not know how it starts programs with the machine`,
  )
}

function requestOf({ defaultFile }: SystemService, context: Context): ServiceRequest {
  const { io, file } = context
  const named = file ?? io.env['NARU_CONFIG'] ?? null
  return {
    command: io.self,
    file: named === null ? defaultFile : resolve(named),
    api: context.option('api'),
    force: context.switched('force'),
  }
}
