/**
 * VMware where its REST server does not run: guests by `vmrun` and the inventory file; the NAT's forwards where VMware
 * keeps them (the registry on Windows, the `networking` file elsewhere), as nat.conf is generated from there. A change
 * takes effect only when VMware's network starts again, which cuts off every VM for a moment.
 */
import { existsSync } from 'node:fs'
import { chmod, open, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf, NaruError } from '../../base/errors.ts'
import { homeFolder } from '../../base/home.ts'
import type { PortRange } from '../../base/port.ts'
import { shellWord } from '../../base/shell.ts'
import { say, sayOf } from '../../base/text.ts'
import type { Runner } from '../../host/contract.ts'
import { changeMs } from '../shared/patience.ts'
import { mustRun, toolOf } from '../shared/tool.ts'
import { textOf } from './text-file.ts'
import { nameOfVmx, type NatForward, type Vm, type VmNic, type VmwareSide } from './side.ts'

const kind = 'vmware'

export interface ToolsPlace {
  readonly platform: NodeJS.Platform
  readonly vmrun: string
  /** Where guests that are off are known from. */
  readonly inventory: string
  /** Linux and macOS: where forwards and pins stand. */
  readonly networking: string
  /** Windows: VMware's own folder, and the half of the registry that a program of its kind writes. */
  readonly windows?: { readonly folder: string; readonly registry: '/reg:32' | '/reg:64' }
  /** A change may cut every VM's network for a moment. */
  readonly mayRestart: boolean
}

/** Where VMware's installers put things. */
export function usualPlace(
  platform: NodeJS.Platform,
  env: NodeJS.ProcessEnv,
  isThere: (path: string) => boolean = existsSync,
): ToolsPlace {
  const mayRestart = env.NARU_VMWARE_RESTART === 'yes'
  if (platform === 'win32') {
    const windows = windowsPlace(env, isThere)
    return {
      platform,
      mayRestart,
      windows,
      vmrun: join(windows.folder, 'vmrun.exe'),
      inventory: join(env.APPDATA ?? '', 'VMware', 'inventory.vmls'),
      networking: '',
    }
  }
  if (platform === 'darwin')
    return {
      platform,
      mayRestart,
      vmrun: '/Applications/VMware Fusion.app/Contents/Library/vmrun',
      inventory: atHome(env, 'Library/Application Support/VMware Fusion/vmInventory'),
      networking: '/Library/Preferences/VMware Fusion/networking',
    }
  return {
    platform,
    mayRestart,
    vmrun: 'vmrun',
    inventory: atHome(env, '.vmware/inventory.vmls'),
    networking: '/etc/vmware/networking',
  }
}

/** Nowhere for whoever has no home. */
function atHome(env: NodeJS.ProcessEnv, path: string): string {
  try {
    return join(homeFolder(env), path)
  } catch {
    return ''
  }
}

/** Workstation is a 64-bit program since 26H1, and was a 32-bit one before. Both never stand side by side. */
function windowsPlace(
  env: NodeJS.ProcessEnv,
  isThere: (path: string) => boolean,
): NonNullable<ToolsPlace['windows']> {
  const under = (programs: string): string => join(programs, 'VMware', 'VMware Workstation')
  const older = under(env['ProgramFiles(x86)'] ?? String.raw`C:\Program Files (x86)`)
  // A 32-bit Node.js is told the older folder by %ProgramFiles%.
  const newer = under(env.ProgramW6432 ?? env.ProgramFiles ?? String.raw`C:\Program Files`)
  return !isThere(join(newer, 'vmrun.exe')) && isThere(join(older, 'vmrun.exe'))
    ? { folder: older, registry: '/reg:32' }
    : { folder: newer, registry: '/reg:64' }
}

export function toolsSide(place: ToolsPlace, runner: Runner): VmwareSide {
  const tool = toolOf(kind, runner)
  const run = (argv: readonly [string, ...string[]], signal: AbortSignal, ms?: number): Promise<string> =>
    mustRun(kind, tool, argv, { signal, ...(ms !== undefined && { ms }) })
  const table = place.windows ? registry(run, place.windows.registry) : networkingFile(place.networking)
  const restart = async (vmnet: string, signal: AbortSignal): Promise<void> => {
    for (const argv of restartCommands(place, vmnet)) await run(argv, signal, changeMs)
  }

  return {
    where: place.vmrun,
    costly: place.mayRestart ? null : restartIsCostly,
    async permitted(vmnet, wanted) {
      if (place.windows || (await mayWrite(place.networking))) return
      throw new NaruError('NOT_PERMITTED', {
        what: sayOf('permission')`write ${place.networking}`,
        command: byHand(place, vmnet, wanted),
      })
    },
    notes: [say('VMware’s network started again: every VM was cut off for a moment')],
    async vms(signal) {
      const running = parseVmrunList(await run([place.vmrun, 'list'], signal))
      const known = parseInventory(await textOf(place.inventory))
      const paths = [...new Set([...running, ...known.keys()])]
      return paths.map((path): Vm => ({
        id: path,
        path,
        name: known.get(path) ?? nameOfVmx(path),
        state: running.includes(path) ? 'running' : 'stopped',
      }))
    },
    async addressOf({ path }, signal) {
      const { exit, stdout } = await tool([place.vmrun, 'getGuestIPAddress', path], { signal })
      return exit === 0 && stdout.trim() !== 'unknown' ? stdout.trim() || null : null
    },
    nicsOf: async ({ path }) => parseVmx(await textOf(path)),
    forwards: (vmnet, signal) => table.forwards(vmnet, signal),
    async add(vmnet, forward, signal) {
      await table.add(vmnet, forward, signal)
      await restart(vmnet, signal)
    },
    async remove(vmnet, forward, signal) {
      await table.remove(vmnet, forward, signal)
      await restart(vmnet, signal)
    },
    pinOf: (vmnet, mac, signal) => table.pinOf(vmnet, mac, signal),
    // Takes effect with the restart that the forward needs anyway.
    pin: (vmnet, mac, address, signal) => table.pin(vmnet, mac, address, signal),
  }
}

const restartIsCostly = {
  why: say('without vmrest VMware’s network would have to start again, which cuts off every VM'),
  fix: say(
    'start vmrest and set NARU_VMREST=http://USER:PASSWORD@127.0.0.1:8697, dial the guest itself (--guest direct), or agree with NARU_VMWARE_RESTART=yes',
  ),
}

function restartCommands(place: ToolsPlace, vmnet: string): readonly [string, ...string[]][] {
  if (place.windows) {
    const vnetlib = join(place.windows.folder, 'vnetlib64.exe')
    return [
      [vnetlib, '--', 'update', 'nat', vmnet],
      [vnetlib, '--', 'stop', 'nat'],
      [vnetlib, '--', 'start', 'nat'],
    ]
  }
  if (place.platform === 'darwin') {
    const cli = '/Applications/VMware Fusion.app/Contents/Library/vmnet-cli'
    return [
      [cli, '--configure'],
      [cli, '--stop'],
      [cli, '--start'],
    ]
  }
  return [
    ['vmware-networks', '--migrate-network-settings', place.networking],
    ['vmware-networks', '--stop'],
    ['vmware-networks', '--start'],
  ]
}

/** Asked by opening it, which changes nothing. What else is wrong with it shows when it is read. */
async function mayWrite(file: string): Promise<boolean> {
  try {
    await (await open(file, 'r+')).close()
    return true
  } catch (error) {
    return !['EACCES', 'EPERM', 'EROFS'].includes(errnoOf(error) ?? '')
  }
}

/** What does the same with rights. The forward is then there already, and is used without any. */
function byHand(
  place: ToolsPlace,
  vmnet: string,
  { protocol, address, guestPorts }: { protocol: string; address: string; guestPorts: PortRange },
): string {
  const { first } = guestPorts
  const hostPort = first < 50_000 ? first + 10_000 : first - 10_000
  const line = `add_nat_portfwd ${vmnet.replace(/^vmnet/, '')} ${protocol} ${hostPort} ${address} ${first}`
  const commands = restartCommands(place, vmnet).map((argv) => argv.map((word) => shellWord(word)).join(' '))
  return `sudo sh -c ${shellWord([`echo ${shellWord(line)} >> ${shellWord(place.networking)}`, ...commands].join(' && '))}`
}

type Table = Pick<VmwareSide, 'forwards' | 'add' | 'remove' | 'pinOf' | 'pin'>
type Run = (argv: readonly [string, ...string[]], signal: AbortSignal, ms?: number) => Promise<string>

const windowsConfig = 'HKLM\\SOFTWARE\\VMware, Inc.\\VMnetLib\\VMnetConfig'

/** Windows keeps them in the registry, without a description. Pins are left alone there. */
function registry(run: Run, view: '/reg:32' | '/reg:64'): Table {
  const key = (vmnet: string, protocol: string): string =>
    `${windowsConfig}\\${vmnet}\\NAT\\${protocol.toUpperCase()}Forward`
  return {
    async forwards(vmnet, signal) {
      const texts = await Promise.all(
        (['tcp', 'udp'] as const).map(async (protocol) => ({
          protocol,
          // The key is there only once a forward was.
          text: await run(['reg', 'query', key(vmnet, protocol), view], signal).catch(() => ''),
        })),
      )
      return texts.flatMap(({ protocol, text }) =>
        [...text.matchAll(/^[ \t]+(\d{1,5})[ \t]+REG_SZ[ \t]+([\d.]+):(\d{1,5})[ \t\r]*$/gm)].map(
          ([, hostPort, guestAddress = '', guestPort]): NatForward => ({
            protocol,
            hostPort: Number(hostPort),
            guestAddress,
            guestPort: Number(guestPort),
            tag: null,
          }),
        ),
      )
    },
    async add(vmnet, { protocol, hostPort, guestAddress, guestPort }, signal) {
      const value = `${guestAddress}:${guestPort}`
      await run(
        ['reg', 'add', key(vmnet, protocol), '/v', String(hostPort), '/t', 'REG_SZ', '/d', value, '/f', view],
        signal,
      )
    },
    async remove(vmnet, { protocol, hostPort }, signal) {
      await run(['reg', 'delete', key(vmnet, protocol), '/v', String(hostPort), '/f', view], signal)
    },
    pinOf: () => Promise.resolve(null),
    pin: () => Promise.resolve(),
  }
}

/**
 * Linux and macOS: `add_nat_portfwd 8 tcp 8888 192.168.79.128 80 naru-web` and
 * `add_dhcp_mac_to_ip 8 00:0c:29:11:22:33 192.168.79.128`, a line each; other lines are not touched.
 */
function networkingFile(path: string): Table {
  const read = async (): Promise<string[]> => (await readFile(path, 'utf8')).split('\n')
  const number = (vmnet: string): string => vmnet.replace(/^vmnet/, '')
  const isForward = (line: string, vmnet: string, { protocol, hostPort }: NatForward): boolean =>
    line.startsWith(`add_nat_portfwd ${number(vmnet)} ${protocol} ${hostPort} `)
  const isPin = (line: string, vmnet: string, mac: string): boolean =>
    line.toLowerCase().startsWith(`add_dhcp_mac_to_ip ${number(vmnet)} ${mac} `)
  return {
    async forwards(vmnet) {
      return (await read()).flatMap((line): NatForward[] => {
        const [command, net, protocol, hostPort, guestAddress = '', guestPort, ...tag] = line
          .trim()
          .split(/\s+/)
        if (command !== 'add_nat_portfwd' || net !== number(vmnet)) return []
        if (protocol !== 'tcp' && protocol !== 'udp') return []
        const row = {
          protocol,
          hostPort: Number(hostPort),
          guestAddress,
          guestPort: Number(guestPort),
        } as const
        return [{ ...row, tag: tag.join(' ') }]
      })
    },
    async add(vmnet, forward) {
      const { protocol, hostPort, guestAddress, guestPort, tag } = forward
      const line = `add_nat_portfwd ${number(vmnet)} ${protocol} ${hostPort} ${guestAddress} ${guestPort} ${tag ?? ''}`
      const others = (await read()).filter((other) => !isForward(other, vmnet, forward))
      await write(path, withLine(others, line.trim()))
    },
    async remove(vmnet, forward) {
      await write(
        path,
        (await read()).filter((line) => !isForward(line, vmnet, forward)),
      )
    },
    async pinOf(vmnet, mac) {
      const line = (await read()).find((one) => isPin(one, vmnet, mac))
      return line?.trim().split(/\s+/)[3] ?? null
    },
    async pin(vmnet, mac, address) {
      const others = (await read()).filter((line) => !isPin(line, vmnet, mac))
      const line = `add_dhcp_mac_to_ip ${number(vmnet)} ${mac} ${address}`
      await write(path, address === null ? others : withLine(others, line))
    },
  }
}

/** A last line that does not end stays one: taking ours away again leaves the file as it was. */
function withLine(lines: readonly string[], line: string): readonly string[] {
  return lines.at(-1) === '' ? [...lines.slice(0, -1), line, ''] : [...lines, line]
}

/** Beside the file and then in its place, with its mode, so that VMware never reads half of it. */
async function write(path: string, lines: readonly string[]): Promise<void> {
  const { mode } = await stat(path)
  await writeFile(`${path}.naru`, lines.join('\n'))
  await chmod(`${path}.naru`, mode)
  await rename(`${path}.naru`, path)
}

/** `Total running VMs: 1`, then a path a line. */
export function parseVmrunList(text: string): readonly string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => /\.vmx$/i.test(line))
}

/** `vmlist1.config = "PATH"` and `vmlist1.DisplayName = "NAME"`. */
export function parseInventory(text: string): ReadonlyMap<string, string> {
  const of = (property: string): Map<string, string> =>
    new Map(
      [...text.matchAll(new RegExp(`^(vmlist\\d+)\\.${property} = "(.*)"[ \\t\\r]*$`, 'gm'))].map(
        ([, entry = '', value = '']) => [entry, value],
      ),
    )
  const names = of('DisplayName')
  return new Map(
    [...of('config')]
      .filter(([, path]) => path !== '')
      .map(([entry, path]) => [path, names.get(entry) || nameOfVmx(path)]),
  )
}

/** `ethernet0.connectionType = "nat"`, and its address under one of two names. */
export function parseVmx(text: string): readonly VmNic[] {
  const values = new Map(
    [...text.matchAll(/^[ \t]*(ethernet\d+\.\w+)[ \t]*=[ \t]*"(.*)"[ \t\r]*$/gim)].map(
      ([, key = '', value = '']) => [key.toLowerCase(), value],
    ),
  )
  const cards = [...values.keys()].filter(
    (key) => key.endsWith('.present') && values.get(key)?.toUpperCase() === 'TRUE',
  )
  return cards.map((key) => {
    const card = key.slice(0, -'.present'.length)
    const type = (values.get(`${card}.connectiontype`) ?? 'bridged').toLowerCase()
    const usual = type === 'nat' ? 'vmnet8' : type === 'hostonly' ? 'vmnet1' : 'vmnet0'
    const mac = values.get(`${card}.address`) ?? values.get(`${card}.generatedaddress`) ?? ''
    return {
      type,
      vmnet: (values.get(`${card}.vnet`) ?? usual).split('/').pop() as string,
      mac: mac.toLowerCase(),
    }
  })
}
