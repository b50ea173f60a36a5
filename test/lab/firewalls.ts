/**
 * Hosts of the lab behind real firewalls: an nft or iptables that drops by default, ufw with its files, firewalld
 * with its bus. Each has a mount namespace of its own where its tool keeps files, so that the machine's own stay as
 * they are. `snapshot` is everything the firewall is, with handles and counters left out.
 */
import { execFileSync, type ChildProcess } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Host } from '../../src/host/contract.ts'
import { labHost } from './host.ts'
import type { LabHost } from './namespaces.ts'

export interface LabFirewall extends AsyncDisposable {
  readonly kind: 'nftables' | 'iptables-nft' | 'iptables-legacy' | 'ufw' | 'firewalld' | 'none'
  /** The machine as the rooms see it: its commands run where the firewall's files are. */
  readonly host: Host
  /** The same machine, commands run as nobody. */
  readonly unprivileged: Host
  /** Words that take a command to where the firewall's files are. */
  readonly through: readonly string[]
  /** Runs a command there. @returns its standard output. @throws where it fails */
  run(argv: readonly string[], input?: string): string
  /** All that the firewall is, comparable before and after. */
  snapshot(): string
}

/** An nftables host: `inet filter input` drops what no rule accepts. `rules` stand before the end of that chain. */
export function nftFirewall(host: LabHost, rules: readonly string[] = []): LabFirewall {
  const firewall = plain('nftables', host)
  firewall.run(['nft', '-f', '-'], nftDefaultDrop(rules))
  return firewall
}

/** As /etc/nftables.conf might have it. */
export function nftDefaultDrop(rules: readonly string[] = []): string {
  return `table inet filter {
  chain input {
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    ct state invalid drop
    iifname "lo" accept
    icmp type echo-request accept
    meta l4proto ipv6-icmp accept
    ${rules.join('\n    ')}
  }
}
`
}

/** An iptables host that drops by default, both families, over nftables or legacy. */
export function iptablesFirewall(
  host: LabHost,
  kind: 'iptables-nft' | 'iptables-legacy',
  rules: readonly (readonly string[])[] = [],
): LabFirewall {
  const firewall = plain(kind, host)
  for (const tool of iptablesTools(kind)) {
    firewall.run([tool, '-A', 'INPUT', '-i', 'lo', '-j', 'ACCEPT'])
    firewall.run([tool, '-A', 'INPUT', '-m', 'conntrack', '--ctstate', 'RELATED,ESTABLISHED', '-j', 'ACCEPT'])
    firewall.run([tool, '-A', 'INPUT', '-p', tool.startsWith('ip6') ? 'ipv6-icmp' : 'icmp', '-j', 'ACCEPT'])
    firewall.run([tool, '-P', 'INPUT', 'DROP'])
    // Restoring makes the table's other built-in chains too, as a boot script does.
    firewall.run([`${tool}-restore`], firewall.run([`${tool}-save`]))
  }
  for (const rule of rules) firewall.run(rule)
  return firewall
}

export const iptablesTools = (kind: 'iptables-nft' | 'iptables-legacy'): readonly [string, string] =>
  kind === 'iptables-nft' ? ['iptables-nft', 'ip6tables-nft'] : ['iptables-legacy', 'ip6tables-legacy']

/** A host without any filter. */
export function noFirewall(host: LabHost): LabFirewall {
  return plain('none', host)
}

function plain(kind: LabFirewall['kind'], host: LabHost): LabFirewall {
  return new Firewall(kind, host, ['ip', 'netns', 'exec', host.namespace], null, null)
}

/** A host with ufw on: its /etc/ufw and /etc/default/ufw are copies of its own. */
export async function ufwFirewall(host: LabHost): Promise<LabFirewall> {
  const folder = mkdtempSync(join(tmpdir(), 'naru-lab-ufw-'))
  cpSync('/etc/ufw', join(folder, 'ufw'), { recursive: true, preserveTimestamps: true })
  cpSync('/etc/default/ufw', join(folder, 'default'))
  const keeper = await keep(
    host,
    folder,
    `mount --bind "$1/ufw" /etc/ufw
     mount --bind "$1/default" /etc/default/ufw
     mkdir -p "$1/run" && mount --bind "$1/run" /run/lock
     echo ready
     exec sleep infinity`,
  )
  const firewall = inside('ufw', host, keeper, folder, [join(folder, 'ufw')])
  firewall.run(['ufw', '--force', 'enable'])
  // The first reload completes chains that enabling leaves half filled (ufw 0.36.2, IPv6 limit).
  firewall.run(['ufw', 'reload'])
  return firewall
}

/** A host with a running firewalld and a system bus of its own. */
export async function firewalldFirewall(host: LabHost): Promise<LabFirewall> {
  const folder = mkdtempSync(join(tmpdir(), 'naru-lab-firewalld-'))
  cpSync('/etc/firewalld', join(folder, 'firewalld'), { recursive: true, preserveTimestamps: true })
  const keeper = await keep(
    host,
    folder,
    `mount -t tmpfs tmpfs /run
     mkdir -p /run/dbus /run/firewalld /run/lock
     mount --bind "$1/firewalld" /etc/firewalld
     dbus-daemon --system --nofork --nopidfile --nosyslog 2>/dev/null &
     for turn in $(seq 100); do [ -S /run/dbus/system_bus_socket ] && break; sleep 0.05; done
     firewalld --nofork --nopid >"$1/log" 2>&1 &
     for turn in $(seq 100); do firewall-cmd --state >/dev/null 2>&1 && break; sleep 0.1; done
     firewall-cmd --state >/dev/null && echo ready
     wait`,
  )
  return inside('firewalld', host, keeper, folder, [join(folder, 'firewalld')])
}

/** Starts a shell in namespaces of its own that holds them open; resolves when it says so. */
async function keep(host: LabHost, folder: string, script: string): Promise<ChildProcess> {
  const child = host.start(['unshare', '-m', 'sh', '-ec', `mount --make-rprivate /\n${script}`, 'sh', folder])
  let said = ''
  await new Promise<void>((resolve, reject) => {
    child.stderr?.on('data', (data: Buffer) => (said += data.toString()))
    child.stdout?.on('data', (data: Buffer) => data.toString().includes('ready') && resolve())
    child.once('exit', () => reject(new Error(`the firewall's host ended: ${said}`)))
  })
  return child
}

function inside(
  kind: 'ufw' | 'firewalld',
  host: LabHost,
  keeper: ChildProcess,
  folder: string,
  files: readonly string[],
): LabFirewall {
  const through = ['nsenter', '--target', String(keeper.pid), '--mount', '--net', '--']
  return new Firewall(kind, host, through, { pid: keeper.pid ?? 0, folder }, files)
}

class Firewall implements LabFirewall {
  readonly kind: LabFirewall['kind']
  readonly host: Host
  readonly unprivileged: Host
  readonly through: readonly string[]
  readonly #namespace: string
  readonly #keeper: { readonly pid: number; readonly folder: string } | null
  readonly #files: readonly string[]

  constructor(
    kind: LabFirewall['kind'],
    host: LabHost,
    through: readonly string[],
    keeper: { readonly pid: number; readonly folder: string } | null,
    files: readonly string[] | null,
  ) {
    this.kind = kind
    this.#namespace = host.namespace
    this.#keeper = keeper
    this.#files = files ?? []
    this.through = through
    const where = keeper ? { pid: keeper.pid } : {}
    this.host = labHost(host, { through, ...where })
    const nobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups']
    this.unprivileged = labHost(host, { through: [...through, ...nobody], ...where })
  }

  run(argv: readonly string[], input = ''): string {
    const [command = '', ...args] = [...this.through, ...argv]
    return execFileSync(command, args, {
      encoding: 'utf8',
      timeout: 30_000,
      input,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
  }

  snapshot(): string {
    const parts = [
      normalized(this.run(['nft', '-j', 'list', 'ruleset'])),
      ...['iptables-legacy-save', 'ip6tables-legacy-save', 'iptables-nft-save', 'ip6tables-nft-save'].map(
        (tool) => normalized(this.run([tool])),
      ),
      ...this.#files.map(filesBelow),
    ]
    if (this.kind === 'firewalld') parts.push(this.run(askZone))
    return parts.join('\n----\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#keeper) return
    const files = mountNamespace(this.#keeper.pid)
    for (const pid of processesIn(this.#namespace))
      if (files !== null && mountNamespace(pid) === files) kill(pid)
    rmSync(this.#keeper.folder, { recursive: true, force: true })
    await Promise.resolve()
  }
}

/** All that firewalld's zone has now, without starting an interpreter for it. */
const askZone = [
  'dbus-send', '--system', '--print-reply=literal', '--dest=org.fedoraproject.FirewallD1', '/org/fedoraproject/FirewallD1',
  'org.fedoraproject.FirewallD1.zone.getZoneSettings2', 'string:public',
] // prettier-ignore

/** Handles, counters, metadata and dates left out. */
export function normalized(listing: string): string {
  return listing
    .replaceAll(/"handle": \d+/g, '"handle": 0')
    .replaceAll(/"(packets|bytes)": \d+/g, '"$1": 0')
    .replaceAll(/\[\d+:\d+\]/g, '[0:0]')
    .replaceAll(/^#.*\n/gm, '')
}

/** Every file of a folder with its bytes and mode. */
function filesBelow(folder: string): string {
  if (!existsSync(folder)) return ''
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map(
      (path) =>
        `${path.slice(folder.length)} ${statSync(path).mode.toString(8)}\n${readFileSync(path, 'utf8')}`,
    )
    .join('\n')
}

function processesIn(namespace: string): number[] {
  return execFileSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' })
    .split('\n')
    .filter(Boolean)
    .map(Number)
}

/** Which mount namespace a process is in; null where it has ended. */
function mountNamespace(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`)
  } catch {
    return null
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself.
  }
}
