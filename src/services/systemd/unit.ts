/**
 * The systemd unit of `naru service install`: root's files, but of root's powers only those that forwarding uses
 * (systemd.exec(5)), and no place to write but its own folders and what firewalls write. What a line would have cost is
 * said where one is left out or loosened.
 */
import type { ServiceRequest } from '../../model/service.ts'

export interface UnitOptions extends Omit<ServiceRequest, 'file' | 'force'> {
  readonly file: string
  /** Others may write the rules file, and the person who installs agreed. @default false */
  readonly trustFile?: boolean
  /** The folder of the program's package, where it is no single file. @default none */
  readonly program?: string | null
}

const ourDescription = 'Description=Naru port forwarding'

/** By the line that every unit of ours has had, whatever an administrator changed beside it. */
export const isOurUnit = (text: string): boolean => text.split('\n').includes(ourDescription)

// oxlint-disable-next-line max-lines-per-function -- the text of one file
export function systemdUnit(options: UnitOptions): string {
  const { command, file, api, trustFile = false, program = null } = options
  const folder = file.slice(0, file.lastIndexOf('/')) || '/'
  const last = ['--config', file, ...(api === null ? [] : ['--api', api])]
  const line = (...words: string[]): string => [...command, ...words, ...last].map(quoted).join(' ')
  return `[Unit]
${ourDescription}
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
# A wrong file is not right 2 s later, and a start after it is mended is a person's: \`systemctl start naru\`.
RestartPreventExitStatus=2
# Everything is undone within 5 s of SIGTERM, by tools that may be at work just then: the main process alone hears it. It
# ends those that still carry connections of before a reload, and what is left after it is killed.
KillMode=mixed
TimeoutStopSec=15
Environment=NARU_STATE=/var/lib/naru${trustFile ? ' NARU_TRUST_FILE=1' : ''}
# Such as NARU_QEMU_QMP=/srv/vms/*.qmp: docs/cli.md, "Environment".
EnvironmentFile=-/etc/default/naru
StateDirectory=naru
StateDirectoryMode=0700
# For rules that listen on unix:/run/naru/...; other folders: a drop-in with ReadWritePaths= (systemctl edit naru).
RuntimeDirectory=naru
# ufw and iptables lock by these, and make them where they are not there yet.
ExecStartPre=+/usr/bin/touch -a /run/ufw.lock /run/xtables.lock

# Of root's powers: ports below 1024, filters and routes, and busy flows that the kernel carries by itself (CAP_BPF,
# which Naru can do without).
CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_NET_ADMIN CAP_BPF
AmbientCapabilities=CAP_NET_BIND_SERVICE CAP_NET_ADMIN CAP_BPF
NoNewPrivileges=yes
# No PrivateNetwork, IPAddressDeny or AF_INET out of here: to carry traffic is its work. AF_NETLINK: routes and filters.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
# No MemoryDenyWriteExecute: Node compiles as it runs.
SystemCallArchitectures=native
SystemCallFilter=@system-service bpf
SystemCallFilter=~@clock @cpu-emulation @debug @module @mount @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM

ProtectSystem=strict
# Said for itself: beside other lines systemd 252 leaves it writable.
ReadOnlyPaths=/run
# The kernel engine switches on forwarding in /proc/sys/net; ufw keeps its rules in /etc/ufw.
ProtectKernelTunables=yes
ReadWritePaths=-${quotedPath(folder)} -/etc/ufw -/run/ufw.lock -/run/xtables.lock /proc/sys/net
# Not /run as a whole: Docker, libvirt and firewalld (by D-Bus) are spoken to there. Who speaks to them as root has their
# powers; where none of them is used, InaccessiblePaths=/run/dbus /run/docker.sock /run/libvirt takes them away.
InaccessiblePaths=-/run/systemd/private -/run/systemd/system -/run/udev
# Read-only and not closed: rules, programs and sockets of guests may lie there.
ProtectHome=read-only
# Sockets in /tmp are out of sight, a guest's too: put them into /run.
PrivateTmp=yes
${shownOf(program, folder)}PrivateDevices=yes
PrivateMounts=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
# No ProtectProc: holders of ports and guests are found by their processes.
KeyringMode=private
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
`
}

/** What lies in a temporary folder has to be shown to a service with one of its own. */
function shownOf(program: string | null, folder: string): string {
  const isTemporary = (path: string): boolean => /^\/(?:var\/)?tmp\//.test(`${path}/`)
  return [
    ...(program !== null && isTemporary(program) ? [`BindReadOnlyPaths=${quotedPath(program)}\n`] : []),
    ...(isTemporary(folder) ? [`BindPaths=-${quotedPath(folder)}\n`] : []),
  ].join('')
}

/** systemd.service(5), "Command lines": there `$` is doubled as well. */
function quoted(word: string): string {
  return quotedPath(word.replaceAll('$', '$$$$'))
}

/** systemd.syntax(7): quotes keep spaces, `\xHH`; `%` is doubled. */
function quotedPath(path: string): string {
  const plain = path.replaceAll('%', '%%')
  return /^[\w@%+=:,./$-]+$/.test(plain)
    ? plain
    : `"${plain
        .replaceAll('\\', '\\\\')
        .replaceAll('"', '\\"')
        .replaceAll(/\p{Cc}/gu, asHex)}"`
}

/** A line break in a name would begin a line of its own. */
function asHex(control: string): string {
  return Array.from(Buffer.from(control), (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')
}
