/**
 * The systemd unit of `naru service install`: root's files, but of root's powers only the three that forwarding uses
 * (systemd.exec(5), CapabilityBoundingSet), and no place to write but its own two folders and what ufw writes.
 */
export interface UnitOptions {
  /** What starts Naru: node and the script, or one program. Absolute paths. */
  readonly command: readonly string[]
  /** The rules file. Absolute. */
  readonly file: string
  /** `--api`; null is the default. */
  readonly api: string | null
}

export const unitPath = '/etc/systemd/system/naru.service'

export function systemdUnit({ command, file, api }: UnitOptions): string {
  const folder = file.slice(0, file.lastIndexOf('/')) || '/'
  const options = ['--config', file, ...(api === null ? [] : ['--api', api])]
  const line = (...words: string[]): string => [...command, ...words, ...options].map(quoted).join(' ')
  return `[Unit]
Description=Naru port forwarding
Documentation=man:systemd.service(5)
Wants=network-online.target
After=network-online.target nftables.service ufw.service firewalld.service docker.service

[Service]
Type=exec
ExecStart=${line('up')}
# A new process takes the old one's place without a gap, and tells systemd that it is the main one now.
ExecReload=${line('up', '--replace', '--background')}
NotifyAccess=all
Restart=on-failure
RestartSec=2
# Everything is undone within 5 s of SIGTERM.
TimeoutStopSec=15
Environment=NARU_STATE=/var/lib/naru
# Such as NARU_QEMU_QMP=/srv/vms/*.qmp: docs/cli.md, "Environment".
EnvironmentFile=-/etc/default/naru
StateDirectory=naru
StateDirectoryMode=0700
# CAP_BPF is for busy flows that the kernel carries by itself; Naru forwards without it too.
CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_NET_ADMIN CAP_BPF
AmbientCapabilities=CAP_NET_BIND_SERVICE CAP_NET_ADMIN CAP_BPF
NoNewPrivileges=yes
ProtectSystem=strict
# ufw keeps its rules in /etc/ufw; it and iptables keep locks in /run and make their files in /tmp.
ReadWritePaths=-${quoted(folder)} -/etc/ufw -/run -/tmp
ProtectHome=read-only
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET
RestrictSUIDSGID=yes
LockPersonality=yes
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
`
}

/** systemd.service(5), "Command lines": quotes keep spaces, `%` and `$` are doubled. */
function quoted(word: string): string {
  const plain = word.replaceAll('%', '%%').replaceAll('$', '$$$$')
  return /^[\w@%+=:,./$-]+$/.test(plain)
    ? plain
    : `"${plain.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}
