/**
 * A task of Windows' Task Scheduler: schtasks.exe, and the schema of tasks 1.2 (MS-TSCH, section 2.5). It runs as the person who
 * installs it, whose rules file, VMs and WSL distributions it knows, with the highest rights, whether he is logged on or
 * not, and without his password (S4U).
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, win32 } from 'node:path'
import { NaruError } from '../base/errors.ts'
import { asRoot } from '../base/privilege.ts'
import { say } from '../base/text.ts'
import { escapeXml } from '../base/xml.ts'
import type { ServiceRequest } from '../model/service.ts'
import type { ServiceMember, ServiceOptions } from './contract.ts'
import { ask, must } from './shared/command.ts'

type Env = Readonly<Record<string, string | undefined>>

export function taskScheduler(env: Env = process.env): ServiceMember {
  return {
    id: 'task-scheduler',
    platform: 'win32',
    where: task,
    defaultFile: null,
    undoesAtEnd: false,
    definition: (request) => Promise.resolve(taskXml(request, env)),
    doubts: (request) => Promise.resolve(doubtsOf(request, env)),
    async install(request, options) {
      await register(taskXml(request, env), options).catch((error: unknown) =>
        asAdministrator(error, options),
      )
      await must(['schtasks', '/Run', '/TN', task], options)
    },
    async status(options) {
      const installed = await isThere(options)
      // What schtasks says of a task's state is in the system's language.
      return {
        manager: 'task-scheduler',
        where: task,
        installed,
        enabled: installed,
        running: null,
        pid: null,
      }
    },
    async uninstall(options) {
      if (!(await isThere(options))) return false
      await must(['schtasks', '/Delete', '/TN', task, '/F'], options).catch((error: unknown) =>
        asAdministrator(error, options),
      )
      return true
    },
  }
}

const task = 'Naru'

async function isThere(options: ServiceOptions): Promise<boolean> {
  return (await ask(['schtasks', '/Query', '/TN', task], options)).exit === 0
}

/** schtasks reads UTF-16, as it writes it. */
async function register(xml: string, options: ServiceOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'naru-task-'))
  try {
    const file = join(folder, 'naru.xml')
    await writeFile(file, `\uFEFF${xml}`, { encoding: 'utf16le', mode: 0o600 })
    await must(['schtasks', '/Create', '/TN', task, '/XML', file, '/F'], options)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What schtasks says is in the system's language; `net session` is answered to administrators alone. */
async function asAdministrator(error: unknown, options: ServiceOptions): Promise<never> {
  if ((await ask(['net', 'session'], options)).exit === 0) throw error
  throw new NaruError(
    'NOT_PERMITTED',
    {
      what: say('change tasks without an administrator’s rights (PowerShell → "Run as administrator")'),
      command: asRoot(['service', 'install']),
    },
    { cause: error },
  )
}

/** Tasks end after three days, on batteries, or when a machine is idle no more, unless they say that they do not. */
export function taskXml({ command, file, api }: ServiceRequest, env: Env): string {
  const [program = '', ...rest] = command
  const words = [
    ...rest,
    'up',
    ...(file === null ? [] : ['--config', file]),
    ...(api === null ? [] : ['--api', api]),
  ]
  const user = env['USERDOMAIN'] ? `${env['USERDOMAIN']}\\${env['USERNAME']}` : (env['USERNAME'] ?? '')
  return `<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>Naru port forwarding</Description>
    <URI>\\${task}</URI>
  </RegistrationInfo>
  <Triggers>
    <BootTrigger><Enabled>true</Enabled></BootTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>${escapeXml(user)}</UserId>
      <LogonType>S4U</LogonType>
      <RunLevel>HighestAvailable</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <IdleSettings>
      <StopOnIdleEnd>false</StopOnIdleEnd>
      <RestartOnIdle>false</RestartOnIdle>
    </IdleSettings>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>4</Priority>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>255</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>${escapeXml(program)}</Command>
      <Arguments>${escapeXml(words.map(argument).join(' '))}</Arguments>
    </Exec>
  </Actions>
</Task>
`
}

/** As CommandLineToArgvW takes it apart: backslashes count double before a quote. */
function argument(word: string): string {
  if (/^[^\s"]+$/.test(word)) return word
  return `"${word.split('"').map(doubledAtEnd).join('\\"')}"`
}

function doubledAtEnd(text: string): string {
  let end = text.length
  while (text[end - 1] === '\\') end--
  return text + text.slice(end)
}

/** In `C:\Program Files` only administrators write; elsewhere, such as in `C:\naru`, whoever logs on does. */
function doubtsOf({ command }: ServiceRequest, env: Env): readonly NaruError[] {
  const safe = ['ProgramFiles', 'ProgramFiles(x86)', 'SystemRoot'].flatMap((name) => env[name] ?? [])
  const open = command.slice(0, 2).find((path) => !safe.some((folder) => isWithin(path, folder)))
  if (open === undefined) return []
  const folder = env['ProgramFiles'] ?? String.raw`C:\Program Files`
  return [
    new NaruError('UNTRUSTED_PATH', {
      path: open,
      why: say`outside of ${folder} other users may write, and it would run with an administrator's rights`,
      mend: say`move naru.exe into ${folder}\\Naru and run it from there, or add --force`,
    }),
  ]
}

function isWithin(path: string, folder: string): boolean {
  const way = win32.relative(folder.toLowerCase(), path.toLowerCase())
  return way !== '' && !way.startsWith('..') && !win32.isAbsolute(way)
}
