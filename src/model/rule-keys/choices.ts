/** The words to choose from in a rule; a test holds members' names to their registries. */
export const balances = ['round-robin', 'least-connections', 'source-hash'] as const
export type Balance = (typeof balances)[number]

export const sourceModes = ['auto', 'relay', 'keep', 'proxy-v1', 'proxy-v2'] as const
export type SourceMode = (typeof sourceModes)[number]

export const engineIds = ['kernel', 'splice', 'sockets'] as const
export type EngineId = (typeof engineIds)[number]

export const routerIds = ['pcp', 'nat-pmp', 'upnp'] as const
export const firewallIds = ['nftables', 'iptables', 'ufw', 'firewalld', 'windows', 'macos'] as const
