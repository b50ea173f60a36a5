/** The port is open for another network than the one we are on: a Windows profile, a firewalld zone. */
import { say } from '../../base/text.ts'
import { isNaruError } from '../../base/errors.ts'
import { defineCheck, listenOf, type CheckSubject } from './contract.ts'

export const firewallProfile = defineCheck({
  code: 'firewall-profile',
  hop: 'firewall',
  title: say('the rule is for another network profile'),
  explains: say(
    'Windows keeps rules by profile (Domain, Private, Public), firewalld by zone. The port is allowed, but not in that of the interface that faces the LAN.',
  ),
  remedy: say('allow it for every profile, or for that zone'),
  async look(subject, { signal }) {
    const listen = listenOf(subject)
    if (!listen) return null
    const { platform } = await subject.look.facts()
    if (platform === 'win32') return onWindows(subject, listen.ports.first, signal)
    if ((await subject.look.firewall())?.member.id !== 'firewalld') return null
    return onFirewalld(subject, `${listen.ports.first}/${listen.protocols[0]}`, signal)
  },
})

const categories = ['Public', 'Private', 'Domain'] as const
/** Bits of MSFT_NetFirewallRule.Profiles. */
const profileBits = { Domain: 1, Private: 2, Public: 4 } as const

async function onWindows({ host, look }: CheckSubject, port: number, signal: AbortSignal) {
  const lan = await look.lan()
  const script =
    '[Console]::OutputEncoding=[Text.Encoding]::UTF8; @{ networks = @(Get-NetConnectionProfile | Select-Object InterfaceAlias,@{n="Category";e={[int]$_.NetworkCategory}}); ' +
    `rules = @(Get-NetFirewallPortFilter | Where-Object { $_.LocalPort -eq "${port}" } | Get-NetFirewallRule | Where-Object { $_.Direction -eq "Inbound" -and $_.Enabled -eq "True" } | Select-Object DisplayName,@{n="Profiles";e={[int]$_.Profile}},@{n="Action";e={[int]$_.Action}}) } | ConvertTo-Json -Depth 3 -Compress`
  const { stdout } = await host.runner.run(
    ['powershell', '-NoProfile', '-NonInteractive', '-Command', script],
    { signal, limitMs: 8000 },
  )
  const told = parseProfiles(stdout)
  const network = told.networks.find(({ name }) => name === lan?.interface.name) ?? told.networks[0]
  if (!network || told.allows.length === 0) return null
  const bit = profileBits[network.category]
  if (told.allows.some(({ profiles }) => profiles === 0 || (profiles & bit) !== 0)) return null
  const names = told.allows.map(({ name }) => name).join(', ')
  return {
    evidence: [say`${network.name} is a ${network.category} network; "${names}" does not hold there`],
    fixes: [
      {
        text: say('let it hold in every profile, as administrator'),
        command: `Set-NetFirewallRule -DisplayName "${told.allows[0]?.name}" -Profile Any`,
      },
    ],
  }
}

export interface Profiles {
  readonly networks: readonly { readonly name: string; readonly category: (typeof categories)[number] }[]
  readonly allows: readonly { readonly name: string; readonly profiles: number }[]
}

/** NetworkCategory 0 Public, 1 Private, 2 DomainAuthenticated; Action 2 Allow, 4 Block; Profiles 0 is Any. */
export function parseProfiles(json: string): Profiles {
  const parsed = asObject(parse(json))
  const networks = asArray(parsed['networks']).flatMap((row) => {
    const category = categories[Number(row['Category'])]
    return category ? [{ name: String(row['InterfaceAlias']), category }] : []
  })
  const allows = asArray(parsed['rules'])
    .filter((row) => row['Action'] === 2)
    .map((row) => ({ name: String(row['DisplayName']), profiles: Number(row['Profiles']) || 0 }))
  return { networks, allows }
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return null
  }
}

const asObject = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

const asArray = (value: unknown): Record<string, unknown>[] =>
  Array.isArray(value) ? value.map(asObject) : []

async function onFirewalld({ host, look }: CheckSubject, port: string, signal: AbortSignal) {
  const lan = await look.lan()
  if (!lan) return null
  try {
    // One answer takes firewall-cmd a good part of a second; the rest stands in it, and in the file that it keeps.
    const [zones, file] = await Promise.all([
      host.runner.run(['firewall-cmd', '--list-all-zones'], { signal }),
      host.runner.run(['cat', '/etc/firewalld/firewalld.conf'], { signal }),
    ])
    const all = parseZones(zones.stdout)
    const standard = /^[ \t]*DefaultZone=(\S+)/m.exec(file.stdout)?.[1] ?? 'public'
    const zone = all.find(({ interfaces }) => interfaces.includes(lan.interface.name))?.name ?? standard
    const open = all.filter(({ ports }) => ports.includes(port))
    if (open.length === 0 || open.some(({ name }) => name === zone)) return null
    const names = open.map(({ name }) => name).join(', ')
    return {
      evidence: [say`${lan.interface.name} is in zone ${zone}; ${port} is open in ${names}`],
      fixes: [
        {
          text: say('open it in that zone'),
          command: `sudo firewall-cmd --zone=${zone} --add-port=${port}`,
        },
      ],
    }
  } catch (error) {
    if (isNaruError(error, 'COMMAND_MISSING')) return null
    throw error
  }
}

interface Zone {
  readonly name: string
  readonly interfaces: string[]
  readonly ports: string[]
}

/** `firewall-cmd --list-all-zones`: a zone's name at the margin, its `interfaces:` and `ports:` lines below. */
export function parseZones(text: string): Zone[] {
  const zones: Zone[] = []
  for (const line of text.split('\n')) {
    const name = /^(\S+)/.exec(line)?.[1]
    if (name) zones.push({ name, interfaces: [], ports: [] })
    const [, what, words] = /^\s+(interfaces|ports):\s*(\S.*)$/.exec(line) ?? []
    if (what && words) zones.at(-1)?.[what as 'interfaces' | 'ports'].push(...words.trim().split(/\s+/))
  }
  return zones
}
