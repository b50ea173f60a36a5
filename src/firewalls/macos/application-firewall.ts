/**
 * The application firewall of macOS by `socketfilterfw`: it knows programs, not ports. Its sentences changed over the
 * years and its exit code is 0 either way, so only the words that all versions share are read.
 */
import { NaruError } from '../../base/errors.ts'
import { say, verbatim } from '../../base/text.ts'
import type { FirewallOptions } from '../contract.ts'

export const socketfilterfw = '/usr/libexec/ApplicationFirewall/socketfilterfw'

export interface ApplicationFirewall {
  readonly enabled: boolean
  /** "Block all incoming connections" is on: no program is let in. */
  readonly blocksAll: boolean
  readonly programs: readonly { readonly path: string; readonly allowed: boolean }[]
}

export async function readApplicationFirewall(options: FirewallOptions): Promise<ApplicationFirewall> {
  const [state, all, apps] = await Promise.all([
    run(['--getglobalstate'], options),
    run(['--getblockall'], options),
    run(['--listapps'], options),
  ])
  return { enabled: isOn(state), blocksAll: isBlockingAll(all), programs: parseApps(apps) }
}

/** `Firewall is enabled. (State = 1)`; 2 is "block all". */
function isOn(text: string): boolean {
  const state = /State = (\d)/.exec(text)?.[1]
  return state === undefined ? /is enabled|is on\b/i.test(text) : state !== '0'
}

/** `Block all DISABLED!`, `Firewall is set to block all non-essential incoming connections`, `has block all state set to enabled`. */
function isBlockingAll(text: string): boolean {
  return /block all/i.test(text) && !/disabled/i.test(text)
}

/** `1 :  /usr/local/bin/node` and, on the next line, `( Allow incoming connections )`. */
export function parseApps(text: string): ApplicationFirewall['programs'] {
  const lines = text.split('\n').map((line) => line.trim())
  return lines.flatMap((line, index) => {
    const path = /^\d+\s*:\s*(\/.*)$/.exec(line)?.[1]
    const word = /^\(\s*(Allow|Block)/i.exec(lines[index + 1] ?? '')?.[1]
    return path === undefined || word === undefined ? [] : [{ path, allowed: word.toLowerCase() === 'allow' }]
  })
}

/** What a program was to the firewall before we came. */
export type ProgramState = 'absent' | 'allowed' | 'blocked'

export function stateOf(firewall: ApplicationFirewall, program: string): ProgramState {
  const found = firewall.programs.find(({ path }) => path === program)
  return found ? (found.allowed ? 'allowed' : 'blocked') : 'absent'
}

/** Puts a program into a state, by the fewest commands. @throws NaruError NOT_PERMITTED, COMMAND_FAILED */
export async function setState(program: string, to: ProgramState, options: FirewallOptions): Promise<void> {
  if (to === 'absent') return void (await run(['--remove', program], options))
  await run(['--add', program], options)
  await run([to === 'allowed' ? '--unblockapp' : '--blockapp', program], options)
}

export const allowCommand = (program: string): string =>
  `sudo ${socketfilterfw} --add '${program}' && sudo ${socketfilterfw} --unblockapp '${program}'`

async function run(args: readonly string[], { host, signal }: FirewallOptions): Promise<string> {
  const { exit, stdout, stderr } = await host.runner.run([socketfilterfw, ...args], { signal })
  const said = `${stdout}${stderr}`
  const command = [socketfilterfw, ...args].join(' ')
  if (/must be root|requires root|not permitted/i.test(said))
    throw new NaruError('NOT_PERMITTED', {
      what: say('change the application firewall'),
      command: `sudo ${command}`,
    })
  if (exit !== 0) throw new NaruError('COMMAND_FAILED', { command, exit, stderr: said.trim() })
  if (/cannot modify|managed by/i.test(said))
    throw new NaruError('FIREWALL_CANNOT', { firewall: 'macos', why: verbatim(said.trim().slice(0, 200)) })
  return said
}
