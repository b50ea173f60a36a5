/**
 * Hypervisors' command-line tools as they answer: output in the form that was recorded from the real ones or stands in
 * their manuals, with a state behind it that changes as theirs would.
 */
import type { Answer, Answering } from './host.ts'

const forever = new Promise<never>(() => {})

/** Switches that every tool has. */
export class ToolSwitches {
  silent = false
  refuseNext = false

  /** Undefined: answer as usual. */
  before(isChange: boolean): Answer | Promise<never> | null {
    if (this.silent) return forever
    if (!isChange || !this.refuseNext) return null
    this.refuseNext = false
    return { exit: 1, stderr: 'error: the hypervisor refused' }
  }
}

export interface FakeMachine {
  readonly name: string
  readonly uuid: string
  state: 'running' | 'poweroff'
  readonly nic: 'nat' | 'hostonly'
  address: string
  forwards: string[]
}

/** VBoxManage 7.0. */
export class FakeVBoxManage extends ToolSwitches {
  readonly machines: FakeMachine[]

  constructor(machines: FakeMachine[]) {
    super()
    this.machines = machines
  }

  readonly answer: Answering = (argv) => {
    if (argv[0] !== 'VBoxManage') return undefined
    const [, verb, ...words] = argv
    const [who = '', ...rest] = verb === 'guestproperty' ? words.slice(1) : words
    const early = this.before(verb === 'controlvm' || verb === 'modifyvm')
    if (early) return early
    if (verb === 'list') return this.machines.map(({ name, uuid }) => `"${name}" {${uuid}}\n`).join('')
    const machine = this.machines.find(({ uuid }) => uuid === who)
    if (!machine)
      return { exit: 1, stderr: `VBoxManage: error: Could not find a registered machine named '${who}'\n` }
    if (verb === 'showvminfo') return machineReadable(machine)
    if (verb === 'guestproperty') return properties(machine)
    const [slot = '', ...rule] = rest
    if (verb === 'controlvm' && machine.state !== 'running')
      return { exit: 1, stderr: `VBoxManage: error: Machine '${machine.name}' is not currently running.\n` }
    if (!/^(--)?natpf1$/.test(slot)) return { exit: 1, stderr: 'VBoxManage: error: Unknown option\n' }
    return changeForwards(machine, rule)
  }
}

function changeForwards(machine: FakeMachine, rule: readonly string[]): Answer {
  if (rule[0] === 'delete') {
    const left = machine.forwards.filter((forward) => !forward.startsWith(`${rule[1]},`))
    if (left.length === machine.forwards.length)
      return { exit: 1, stderr: `VBoxManage: error: A NAT rule with such name does not exist\n` }
    machine.forwards = left
    return ''
  }
  const name = rule[0]?.split(',')[0]
  if (machine.forwards.some((forward) => forward.startsWith(`${name},`)))
    return { exit: 1, stderr: 'VBoxManage: error: A NAT rule of this name already exists\n' }
  machine.forwards = [...machine.forwards, rule[0] as string]
  return ''
}

function machineReadable({ name, uuid, state, nic, forwards }: FakeMachine): string {
  const card = `natnet1="nat"
macaddress1="080027C9F1E5"
cableconnected1="on"
nic1="${nic}"
nictype1="82540EM"
nicspeed1="0"
mtu="0"
sockSnd="64"
sockRcv="64"
tcpWndSnd="64"
tcpWndRcv="64"`
  const rules = forwards.map((forward, index) => `Forwarding(${index})="${forward}"`)
  const head = [
    `name="${name}"`,
    'groups="/"',
    'ostype="Windows 10 (64-bit)"',
    `UUID="${uuid}"`,
    `VMState="${state}"`,
  ]
  return `${[...head, card, ...rules, 'nic2="none"', 'nic3="none"', 'hidpointing="usbtablet"'].join('\n')}\n`
}

function properties({ address }: FakeMachine): string {
  return [
    `/VirtualBox/GuestInfo/Net/0/V4/IP             = '${address}'       @ 2026-11-22T10:00:00.000Z`,
    `/VirtualBox/GuestInfo/Net/0/V4/Netmask        = '255.255.255.0'  @ 2026-11-22T10:00:00.000Z`,
    `/VirtualBox/GuestInfo/OS/Product              = 'Windows 10'     @ 2026-11-22T10:00:00.000Z`,
    '',
  ].join('\n')
}

export interface FakeDomain {
  readonly name: string
  state: 1 | 3 | 5
  id: number
  readonly network: 'network' | 'user' | 'passt'
  address: string
  /** Rows of `info usernet`: `tcp 127.0.0.1 8888 80`. */
  forwards: string[]
}

/** virsh 9.0 with QEMU. */
export class FakeVirsh extends ToolSwitches {
  readonly domains: FakeDomain[]

  constructor(domains: FakeDomain[]) {
    super()
    this.domains = domains
  }

  readonly answer: Answering = (argv) => {
    if (argv[0] !== 'virsh') return undefined
    const [verb, who, ...rest] = argv.slice(1).filter((word) => word !== '--quiet')
    const early = this.before(rest.some((word) => word.startsWith('hostfwd_')))
    if (early) return early
    if (verb === 'domstats')
      return this.domains
        .map(({ name, state }) => `Domain: '${name}'\n  state.state=${state}\n  state.reason=1\n\n`)
        .join('')
    const domain = this.domains.find(({ name }) => name === who)
    if (!domain) return { exit: 1, stderr: `error: failed to get domain '${who}'\n` }
    if (verb === 'domid') return `${domain.id}\n\n`
    if (verb === 'dumpxml') return domainXml(domain)
    if (verb === 'domifaddr') {
      if (rest[1] !== 'lease' || domain.network !== 'network')
        return { exit: 1, stderr: 'error: Failed to query for interfaces addresses\n' }
      return ` vnet0      52:54:00:9a:1b:2c    ipv4         ${domain.address}/24\n\n`
    }
    return monitor(domain, rest[1] ?? '')
  }
}

function monitor(domain: FakeDomain, line: string): Answer {
  const [command, , rule = ''] = line.split(' ')
  const [protocol, address, hostPort, guestPort] = rule.split(/:|-:/)
  const row = (port: string): string => `${protocol} ${address === '' ? '*' : address} ${hostPort} ${port}`
  if (command === 'hostfwd_add') {
    domain.forwards.push(row(guestPort as string))
    return '\r\n'
  }
  if (command === 'hostfwd_remove') {
    const left = domain.forwards.filter((forward) => !forward.startsWith(row('')))
    const found = left.length < domain.forwards.length
    domain.forwards = left
    return `host forwarding rule for ${rule} ${found ? 'removed' : 'not found'}\r\n`
  }
  const rows = domain.forwards.map((forward) => {
    const [kind = '', source = '', from = '', to = ''] = forward.split(' ')
    return `  ${kind.toUpperCase()}[HOST_FORWARD]  13 ${source.padStart(15)} ${from.padStart(5)}       10.0.2.15 ${to.padStart(5)}     0     0\r\n`
  })
  return `Hub -1 (hostnet0):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n${rows.join('')}`
}

function domainXml({ name, network }: FakeDomain): string {
  const card = {
    network: `<interface type='network'><mac address='52:54:00:9a:1b:2c'/><source network='default'/><alias name='net0'/></interface>`,
    user: `<interface type='user'><mac address='52:54:00:9a:1b:2c'/><model type='virtio'/><alias name='net0'/></interface>`,
    passt: `<interface type='user'><backend type='passt'/><portForward proto='tcp' address='127.0.0.1'><range start='2022' to='22'/></portForward><alias name='net0'/></interface>`,
  }[network]
  return `<domain type='kvm'><name>${name}</name><devices>\n${card}\n</devices></domain>\n`
}

export interface FakeHyperVMachine {
  readonly Name: string
  readonly Id: string
  State: 2 | 3 | 9
  Addresses: string[]
}

interface FakeMapping {
  readonly StaticMappingID: number
  readonly NatName: string
  readonly Protocol: string
  readonly ExternalIPAddress: string
  readonly ExternalPort: number
  readonly InternalIPAddress: string
  readonly InternalPort: number
}

/** Windows' PowerShell with the Hyper-V, NetNat and NetSecurity modules; it speaks Korean where it complains. */
export class FakePowerShell extends ToolSwitches {
  readonly machines: FakeHyperVMachine[]
  mappings: FakeMapping[] = []
  rules: string[] = []
  #next = 0

  constructor(machines: FakeHyperVMachine[] = []) {
    super()
    this.machines = machines
  }

  readonly answer: Answering = (argv) => {
    if (argv[0] !== 'powershell.exe') return undefined
    const script = (argv.at(-1) as string).replace(/^.*?'Stop'; /, '')
    if (this.silent) return forever
    if (/^(Add|Remove|New)-/.test(script) && this.refuseNext) {
      this.refuseNext = false
      return { exit: 1, stderr: denied }
    }
    if (script.startsWith('Get-VM ')) return json(this.machines)
    if (script.startsWith('Get-NetNatStaticMapping')) return json(this.mappings)
    if (script.startsWith('Get-NetNat '))
      return json([{ Name: 'NaruNat', InternalIPInterfaceAddressPrefix: '192.168.50.0/24' }])
    if (script.startsWith('Get-NetFirewallHyperVRule'))
      return json(this.rules.filter((Name) => script.includes(`'${Name}'`)).map((Name) => ({ Name })))
    return this.#change(script)
  }

  #change(script: string): Answer {
    const value = (name: string): string => new RegExp(`-${name} '?([^' ]+)'?`).exec(script)?.[1] ?? ''
    if (script.startsWith('Add-NetNatStaticMapping'))
      this.mappings.push({
        StaticMappingID: this.#next++,
        NatName: value('NatName'),
        Protocol: value('Protocol'),
        ExternalIPAddress: value('ExternalIPAddress'),
        ExternalPort: Number(value('ExternalPort')),
        InternalIPAddress: value('InternalIPAddress'),
        InternalPort: Number(value('InternalPort')),
      })
    else if (script.startsWith('Remove-NetNatStaticMapping'))
      this.mappings = this.mappings.filter(
        ({ StaticMappingID }) => StaticMappingID !== Number(value('StaticMappingID')),
      )
    else if (script.startsWith('New-NetFirewallHyperVRule')) this.rules.push(value('Name'))
    else if (script.startsWith('Remove-NetFirewallHyperVRule'))
      this.rules = this.rules.filter((rule) => rule !== value('Name'))
    else
      return {
        exit: 1,
        stderr: `'${script.split(' ')[0]}' 용어가 cmdlet, 함수, 스크립트 파일 또는 실행할 수 있는 프로그램 이름으로 인식되지 않습니다.`,
      }
    return ''
  }
}

const denied = `Add-NetNatStaticMapping : 액세스가 거부되었습니다.
    + CategoryInfo          : PermissionDenied: (MSFT_NetNatStaticMapping:root/StandardCimv2/MSFT_NetNatStaticMapping) [Add-NetNatStaticMapping], CimException
    + FullyQualifiedErrorId : Windows System Error 5,Add-NetNatStaticMapping
`

/** As ConvertTo-Json does: one is an object, none is nothing. */
function json(rows: readonly unknown[]): string {
  return rows.length === 0 ? '' : `${JSON.stringify(rows.length === 1 ? rows[0] : rows)}\r\n`
}

export interface FakeDistribution {
  readonly name: string
  running: boolean
  address: string
}

/** wsl.exe on a Korean Windows; `utf16` is one that does not know WSL_UTF8. */
export class FakeWsl extends ToolSwitches {
  readonly distributions: FakeDistribution[]
  utf16 = false
  /** Distributions made on busybox have no `hostname -I`. */
  busybox = false

  constructor(distributions: FakeDistribution[]) {
    super()
    this.distributions = distributions
  }

  readonly answer: Answering = (argv, { env }) => {
    if (argv[0] !== 'wsl.exe') return undefined
    const early = this.before(false)
    if (early) return early
    const [, option, value = ''] = argv
    if (option === '--list') return this.#list(value === '--running', env?.WSL_UTF8 === '1' && !this.utf16)
    const one = this.distributions.find(({ name }) => name === value)
    if (argv.includes('hostname'))
      return this.busybox
        ? { exit: 1, stderr: 'hostname: unrecognized option: I\n' }
        : `${one?.address} 172.17.0.1 \n`
    return `2: eth0    inet ${one?.address}/20 brd 172.28.127.255 scope global eth0\\       valid_lft forever preferred_lft forever\n`
  }

  #list(runningOnly: boolean, utf8: boolean): Answer {
    const names = this.distributions.filter(({ running }) => running || !runningOnly).map(({ name }) => name)
    const text = names.length > 0 ? `${names.join('\r\n')}\r\n` : '실행 중인 배포가 없습니다.\r\n'
    // What is UTF-16 reaches us decoded as UTF-8.
    const stdout = utf8 ? text : Buffer.from(text, 'utf16le').toString('utf8')
    return { exit: names.length > 0 ? 0 : 4_294_967_295, stdout }
  }
}
