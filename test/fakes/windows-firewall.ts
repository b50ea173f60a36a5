/**
 * A Windows that answers our PowerShell scripts as the NetSecurity module does: JSON with names of .NET enumerations,
 * titles and messages in Korean. It keeps rules, so that what was added can be asked for and removed.
 */
import type { RunResult } from '../../src/host/contract.ts'

export interface FakeRule {
  name: string
  title: string
  group: string
  action: 'Allow' | 'Block'
  profiles: string
  protocol: string
  ports: string[]
  from: string[]
  to: string[]
  program: string
}

/** Rules as a Korean Windows 11 has them; the second is what "Cancel" in the prompt leaves. */
export const koreanRules: readonly FakeRule[] = [
  {
    name: 'CoreNet-ICMP6-DU-In',
    title: '코어 네트워킹 - 대상에 도달할 수 없음(ICMPv6-In)',
    group: '@FirewallAPI.dll,-25000',
    action: 'Allow',
    profiles: 'Any',
    protocol: 'ICMPv6',
    ports: ['RPC'],
    from: ['Any'],
    to: ['Any'],
    program: 'System',
  },
  {
    name: 'RemoteDesktop-UserMode-In-TCP',
    title: '원격 데스크톱 - 사용자 모드(TCP-In)',
    group: '@FirewallAPI.dll,-28752',
    action: 'Allow',
    profiles: 'Domain, Private',
    protocol: 'TCP',
    ports: ['3389'],
    from: ['LocalSubnet'],
    to: ['Any'],
    program: 'Any',
  },
]

export const promptBlock: FakeRule = {
  name: 'TCP Query User{0C1B7A52-6D5F-4C0F-9A51-1A2B3C4D5E6F}C:\\program files\\nodejs\\node.exe',
  title: 'Node.js JavaScript Runtime',
  group: '',
  action: 'Block',
  profiles: 'Public',
  protocol: 'TCP',
  ports: ['Any'],
  from: ['Any'],
  to: ['Any'],
  program: 'C:\\program files\\nodejs\\node.exe',
}

export class FakeWindows {
  readonly rules: FakeRule[]
  /** Bodies of the scripts that were run, without what is around every one. */
  readonly ran: string[] = []
  administrator = true
  profile = 'Public'
  enabled = true
  /** How many New-NetFirewallRule commands work before one fails. */
  additions = Number.POSITIVE_INFINITY

  constructor(rules: readonly FakeRule[] = koreanRules) {
    this.rules = rules.map((rule) => ({ ...rule }))
  }

  answer(argv: readonly string[]): Partial<RunResult> | undefined {
    if (argv[0] !== 'powershell') return undefined
    const body = /try \{ (.*) \} catch \{/s.exec(argv.at(-1) ?? '')?.[1] ?? ''
    this.ran.push(body)
    return { stdout: this.#run(body) }
  }

  #run(body: string): string {
    if (/(?:New|Remove)-NetFirewallRule/.test(body)) return this.#change(body)
    if (body.includes('Get-NetFirewallProfile')) return JSON.stringify(this.#profiles())
    if (body.includes('Get-NetFirewallPortFilter')) return JSON.stringify(this.rules)
    const named = [...body.matchAll(/'([^']+)'/g)].map(([, name]) => name)
    return JSON.stringify(this.rules.filter(({ name }) => named.includes(name)).map(({ name }) => ({ name })))
  }

  #profiles(): object[] {
    return ['Domain', 'Private', 'Public'].map((name) => ({
      name,
      enabled: this.enabled ? 'True' : 'False',
      input: 'NotConfigured',
      rules: 'NotConfigured',
      current: name === this.profile,
    }))
  }

  #change(body: string): string {
    const additions = [...body.matchAll(/New-NetFirewallRule [^|]*/g)].map(([command]) => command)
    const removals = [...body.matchAll(/Get-NetFirewallRule -Name '([^']+)'/g)].map(([, name]) => name)
    if (
      !this.administrator &&
      (additions.length > 0 || this.rules.some(({ name }) => removals.includes(name)))
    )
      return JSON.stringify({
        error: {
          category: 'PermissionDenied',
          id: 'Windows System Error 5,New-NetFirewallRule',
          message: '액세스가 거부되었습니다.',
        },
      })
    for (const command of additions) {
      if (this.additions-- <= 0)
        return JSON.stringify({
          error: {
            category: 'NotSpecified',
            id: 'HRESULT 0x80070057,New-NetFirewallRule',
            message: '매개 변수가 틀립니다.',
          },
        })
      this.rules.push(parseRule(command))
    }
    for (const name of removals) {
      const at = this.rules.findIndex((rule) => rule.name === name)
      if (at >= 0) this.rules.splice(at, 1)
    }
    return ''
  }
}

function parseRule(command: string): FakeRule {
  const value = (option: string): string | undefined =>
    new RegExp(`-${option} (\\S+)`).exec(command)?.[1]?.replaceAll("'", '')
  return {
    name: value('Name') ?? '',
    title: value('DisplayName') ?? '',
    group: value('Group') ?? '',
    action: 'Allow',
    profiles: value('Profile') ?? 'Any',
    protocol: value('Protocol') ?? 'Any',
    ports: [value('LocalPort') ?? 'Any'],
    // Windows gives prefixes back with masks.
    from: (value('RemoteAddress') ?? 'Any').split(',').map((one) => one.replace('/16', '/255.255.0.0')),
    to: [value('LocalAddress') ?? 'Any'],
    program: 'Any',
  }
}
