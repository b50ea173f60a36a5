/** systemd's service, for the whole machine: systemctl(1), systemd.unit(5). */
import { existsSync } from 'node:fs'
import { readlink } from 'node:fs/promises'
import { NaruError } from '../../base/errors.ts'
import { say, type Text } from '../../base/text.ts'
import type { ServiceRequest, ServiceStatus } from '../../model/service.ts'
import type { ServiceMember, ServiceOptions } from '../contract.ts'
import { ask, must } from '../shared/command.ts'
import {
  definitionAt,
  doubtAbout,
  doubtsOfRoot,
  packageOf,
  removeDefinition,
  writeDefinition,
} from '../shared/root-files.ts'
import { isOurUnit, systemdUnit } from './unit.ts'

export interface SystemdOptions {
  /** @default /etc/systemd/system/naru.service */
  readonly unit?: string
  /** There is one where systemd is the first process: sd_booted(3). @default /run/systemd/system */
  readonly booted?: string
}

export function systemd({
  unit = '/etc/systemd/system/naru.service',
  booted = '/run/systemd/system',
}: SystemdOptions = {}): ServiceMember {
  async function definition({ command, file, api, force }: ServiceRequest): Promise<string> {
    const rules = file ?? defaultFile
    const trustFile = force && doubtAbout(rules) !== null
    return systemdUnit({ command, file: rules, api, trustFile, program: await packageOf(command) })
  }

  function mustBeBooted(): void {
    if (existsSync(booted)) return
    const instead = say(
      'let whatever starts programs here run `naru up`; `naru service install --print` shows the unit',
    )
    throw new NaruError('SERVICE_MANAGER_MISSING', { manager: 'systemd', instead })
  }

  /** systemctl(1), `mask`: its unit is a link to /dev/null. */
  const isMasked = async (): Promise<boolean> => (await readlink(unit).catch(() => null)) === '/dev/null'

  /** @throws NaruError SERVICE_NOT_OURS where what is there is somebody else's, and nobody says that it may go */
  async function mustBeOurs({ force = false } = {}): Promise<void> {
    const there = await definitionAt(unit)
    if (there === null || (there.text !== null && (force || isOurUnit(there.text)))) return
    throw new NaruError('SERVICE_NOT_OURS', { where: unit, ...((await isMasked()) ? masked : another) })
  }

  return {
    id: 'systemd',
    platform: 'linux',
    where: unit,
    defaultFile,
    undoesAtEnd: true,
    definition,
    doubts: (request) => doubtsOfRoot({ ...request, file: request.file ?? defaultFile }),
    async install(request, options) {
      mustBeBooted()
      await mustBeOurs(request)
      await writeDefinition({
        path: unit,
        text: await definition(request),
        rules: request.file ?? defaultFile,
      })
      await must(['systemctl', 'daemon-reload'], options)
      await must(['systemctl', '--quiet', 'enable', name], options)
      // A new process takes the place of one that runs, without a gap.
      await begin((await isActive(options)) ? 'reload' : 'start', options)
    },
    async status(options) {
      if (!existsSync(booted))
        return { ...nothing(unit), installed: existsSync(unit), enabled: false, running: false }
      return statusIn(await must(['systemctl', 'show', name, `--property=${properties}`], options), unit)
    },
    async uninstall(options) {
      if ((await definitionAt(unit)) === null || (await isMasked())) return false
      await mustBeOurs()
      if (existsSync(booted)) await must(['systemctl', '--quiet', 'disable', '--now', name], options)
      await removeDefinition(unit)
      if (existsSync(booted)) await must(['systemctl', 'daemon-reload'], options)
      return true
    },
  }
}

const name = 'naru.service'
const defaultFile = '/etc/naru/naru.yaml'
const properties = 'LoadState,FragmentPath,UnitFileState,ActiveState,MainPID'

/** What is at the unit's place that we did not write, and the way out. */
type Stranger = { readonly what: Text; readonly instead: Text }

const masked: Stranger = {
  what: say('the administrator masked this service'),
  instead: say('where it may run again: `systemctl unmask naru`; then do this again'),
}
const another: Stranger = {
  what: say('another wrote that unit'),
  instead: say('move it away, or have it written anew with `naru service install --force`'),
}

async function isActive(options: ServiceOptions): Promise<boolean> {
  return (await ask(['systemctl', '--quiet', 'is-active', name], options)).exit === 0
}

/** What systemctl says of a start that failed is where to look; what Naru said is the reason. */
async function begin(verb: 'start' | 'reload', options: ServiceOptions): Promise<void> {
  const { exit, stderr } = await ask(['systemctl', verb, name], options)
  if (exit === 0) return
  const log = await ask(
    ['journalctl', '--unit', name, '--lines', '5', '--output', 'cat', '--no-pager'],
    options,
  )
  const command = `systemctl ${verb} ${name}`
  throw new NaruError('COMMAND_FAILED', { command, exit, stderr: `${stderr.trim()}\n${log.stdout.trim()}` })
}

function nothing(where: string): ServiceStatus {
  return { manager: 'systemd', where, installed: false, enabled: null, running: null, pid: null }
}

/** `KEY=value` a line: systemctl(1), `show`. A package brings a unit of its own, elsewhere. */
function statusIn({ stdout }: { readonly stdout: string }, unit: string): ServiceStatus {
  const values = new Map(
    stdout.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )
  const pid = Number(values.get('MainPID') ?? 0)
  return {
    manager: 'systemd',
    where: values.get('FragmentPath') || unit,
    installed: values.get('LoadState') === 'loaded',
    enabled: (values.get('UnitFileState') ?? '').startsWith('enabled'),
    running: ['active', 'reloading'].includes(values.get('ActiveState') ?? ''),
    pid: pid > 0 ? pid : null,
  }
}
