/** What `supports()` may ask of this machine: read from the kernel's own files, no command is run on Linux. */
import { existsSync, readFileSync } from 'node:fs'
import { arch, platform, release } from 'node:os'
import { delimiter, join } from 'node:path'
import { withLimit } from '../base/clock.ts'
import type { Facts } from '../model/facts.ts'
import type { Runner } from './contract.ts'
import { searchPath } from './runner.ts'

/** The commands some member may want to run. */
const knownTools = [
  'VBoxManage', 'conntrack', 'docker', 'firewall-cmd', 'getent', 'ip', 'ip6tables', 'iptables', 'iptables-save',
  'launchctl', 'lsof', 'netsh', 'nft', 'pfctl', 'podman', 'powershell', 'prlsrvctl', 'pwsh', 'qemu-system-aarch64',
  'qemu-system-x86_64', 'resolvectl', 'sc', 'socketfilterfw', 'ss', 'sudo', 'sysctl', 'systemctl', 'ufw', 'virsh',
  'vmnet-cli', 'vmrest', 'vmrun', 'vmware', 'vmware-networks', 'vnetlib', 'wsl',
] as const // prettier-ignore

/** Bits of CapEff, in the kernel's order (linux/capability.h). */
const capabilityNames = [
  'CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_DAC_READ_SEARCH', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_KILL', 'CAP_SETGID',
  'CAP_SETUID', 'CAP_SETPCAP', 'CAP_LINUX_IMMUTABLE', 'CAP_NET_BIND_SERVICE', 'CAP_NET_BROADCAST', 'CAP_NET_ADMIN',
  'CAP_NET_RAW', 'CAP_IPC_LOCK', 'CAP_IPC_OWNER', 'CAP_SYS_MODULE', 'CAP_SYS_RAWIO', 'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE', 'CAP_SYS_PACCT', 'CAP_SYS_ADMIN', 'CAP_SYS_BOOT', 'CAP_SYS_NICE', 'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME', 'CAP_SYS_TTY_CONFIG', 'CAP_MKNOD', 'CAP_LEASE', 'CAP_AUDIT_WRITE', 'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP', 'CAP_MAC_OVERRIDE', 'CAP_MAC_ADMIN', 'CAP_SYSLOG', 'CAP_WAKE_ALARM', 'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ', 'CAP_PERFMON', 'CAP_BPF', 'CAP_CHECKPOINT_RESTORE',
] as const // prettier-ignore

export async function readFacts(runner: Runner): Promise<Facts> {
  const capabilities = platform() === 'linux' ? parseCapabilities(readText('/proc/self/status')) : []
  return {
    platform: platform(),
    arch: arch(),
    kernel: release(),
    privileged: await isPrivileged(runner),
    capabilities,
    firstUnprivilegedPort: firstUnprivilegedPort(capabilities),
    tools: findTools(knownTools),
  }
}

/** Names of the bits that are set in `CapEff`; a bit newer than our table is left out. */
export function parseCapabilities(status: string): string[] {
  const hex = /^CapEff:\s*([0-9a-f]{1,16})$/im.exec(status)?.[1]
  if (hex === undefined) return []
  const bits = BigInt(`0x${hex}`)
  return capabilityNames.filter((_, bit) => (bits >> BigInt(bit)) & 1n)
}

/** Root, or on Windows a process whose token may do what Administrators may. */
async function isPrivileged(runner: Runner): Promise<boolean> {
  if (platform() !== 'win32') return process.geteuid?.() === 0
  try {
    // `fltmc` answers only to an elevated token; it neither asks nor changes anything.
    return (await runner.run(['fltmc'], { signal: withLimit(undefined, 3000) })).exit === 0
  } catch {
    return false
  }
}

/** 0 where any port may be bound: Windows, macOS (since 10.14), or CAP_NET_BIND_SERVICE. */
function firstUnprivilegedPort(capabilities: readonly string[]): number {
  if (platform() !== 'linux' || capabilities.includes('CAP_NET_BIND_SERVICE')) return 0
  return firstUnprivilegedPortOfKernel()
}

/** `net.ipv4.ip_unprivileged_port_start`, or 1024. */
export function firstUnprivilegedPortOfKernel(): number {
  const start = Number.parseInt(readText('/proc/sys/net/ipv4/ip_unprivileged_port_start'), 10)
  return Number.isNaN(start) ? 1024 : start
}

/** Absolute paths of those that are there, by name. */
export function findTools(names: readonly string[]): Record<string, string> {
  const folders = searchPath().split(delimiter).filter(Boolean)
  const found: Record<string, string> = {}
  for (const name of names) {
    const path = folders.flatMap((folder) => filesOf(folder, name)).find((file) => existsSync(file))
    if (path) found[name] = path
  }
  return found
}

function filesOf(folder: string, name: string): string[] {
  return platform() === 'win32' ? [join(folder, `${name}.exe`)] : [join(folder, name)]
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
