/** What `supports()` may ask about this machine. Read once by `host`, handed on as plain data. */
export interface Facts {
  readonly platform: NodeJS.Platform
  readonly arch: string
  /** `uname -r`; empty where there is none. */
  readonly kernel: string
  /** Effective root or Administrator. */
  readonly privileged: boolean
  /** Effective capabilities on Linux, such as `CAP_NET_ADMIN`; empty elsewhere. */
  readonly capabilities: readonly string[]
  /** First port that needs no privilege: 1024, or what `ip_unprivileged_port_start` says; 0 where any may. */
  readonly firstUnprivilegedPort: number
  /** Absolute paths of the tools that are installed: `nft`, `ufw`, `VBoxManage` … */
  readonly tools: Readonly<Record<string, string>>
}

/** May this process change packet filters and routes? */
export function mayAdministerNetwork(facts: Facts): boolean {
  return facts.platform === 'linux' ? facts.capabilities.includes('CAP_NET_ADMIN') : facts.privileged
}
