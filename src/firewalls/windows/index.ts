/**
 * Windows Defender Firewall: an opening is one rule a protocol, `naru-RULE-TOKEN-tcp` in the group Naru. A block beats
 * every allow, also the one that "Cancel" in Windows' own prompt leaves for a program: those are looked for and named.
 */
import { withLimit } from '../../base/clock.ts'
import { formatCidr } from '../../base/address.ts'
import { NaruError, isNaruError } from '../../base/errors.ts'
import { formatPortRange } from '../../base/port.ts'
import { say, type Text } from '../../base/text.ts'
import type { Json, Lease, OpenOptions, Verdict } from '../../model/hop.ts'
import { newTag, parseTag } from '../../model/tag.ts'
import type {
  FirewallAnswer,
  FirewallMember,
  FirewallOptions,
  FirewallQuestion,
  FirewallRequest,
  FirewallStatus,
} from '../contract.ts'
import { FirewallLease, inFew } from '../lease.ts'
import { asList, powershell, text } from './powershell.ts'
import {
  applies,
  baseName,
  rangeOf,
  readProfiles,
  readRules,
  type WindowsPacket,
  type WindowsProfile,
  type WindowsRule,
} from './rules.ts'

export const windows: FirewallMember = {
  id: 'windows',
  async detect(options) {
    const { platform } = await options.host.facts()
    if (platform !== 'win32') return { ok: false, why: say('this is not Windows') }
    const on = (await readProfiles(options)).filter(({ enabled }) => enabled)
    if (on.length === 0)
      return {
        ok: false,
        why: say('Windows Defender Firewall is off'),
      }
    const names = on.map(({ name }) => name).join(', ')
    return {
      ok: true,
      why: say`Windows Defender Firewall is on (${names})`,
    }
  },
  status,
  decidesByDefault: ({ by }) => by.startsWith('profile '),
  explain: async (question, options) =>
    decide(question, await readProfiles(options), await readRules(options), options),
  open: (request, options) => inFew(options.host, options.signal, () => open(request, options)),
  byHand: (request) =>
    request.protocols.map((protocol) => newRuleCommand(request, `naru:${request.rule}`, protocol)).join('; '),
  async undo(effect, options) {
    const { names } = effect as { names?: unknown }
    if (Array.isArray(names)) await remove(names.map(text).filter(isOurName), options)
  },
}

async function open(request: FirewallRequest, options: FirewallOptions & OpenOptions): Promise<Lease> {
  const tag = newTag(request.rule)
  const names = request.protocols.map((protocol) => `${tag.replaceAll(':', '-')}-${protocol}`)
  const effect = await options.record.intend({ tag, names })
  const at = (signal: AbortSignal): FirewallOptions => ({ host: options.host, signal })
  try {
    await add(request, tag, options)
    const blocked = await blockOf(request, options)
    if (blocked) throw blocked
  } catch (error) {
    await remove(names, at(withLimit(undefined, 30_000))).then(
      () => effect.undone(),
      () => undefined,
    )
    throw error
  }
  return new FirewallLease({
    member: 'windows',
    text: say`${portsText(request)} let in by Windows Defender Firewall`,
    differs: () => [],
    data: (): Json => ({ tag, names, ports: portsText(request) }),
    verify: (signal) => verify(request, names, at(signal)),
    async renew(signal) {
      const verdict = await verify(request, names, at(signal))
      if (verdict.state === 'held') return
      if (isNaruError(verdict.why, 'FIREWALL_OVERRULED')) throw verdict.why
      await remove(names, at(signal))
      await add(request, tag, at(signal))
    },
    async release(signal) {
      await remove(names, at(signal))
      await effect.undone()
    },
  })
}

const portsText = ({ ports, protocols }: FirewallRequest): string =>
  `${formatPortRange(ports)}/${protocols.join('+')}`

/** What one would type as an administrator. */
export function newRuleCommand(request: FirewallRequest, tag: string, protocol: string): string {
  const words = [
    `New-NetFirewallRule -Name '${tag.replaceAll(':', '-')}-${protocol}' -DisplayName '${tag}' -Group 'Naru'`,
    '-Direction Inbound -Action Allow -Profile Any',
    `-Protocol ${protocol.toUpperCase()} -LocalPort ${formatPortRange(request.ports)}`,
    request.allow.length > 0
      ? `-RemoteAddress ${request.allow.map((one) => `'${formatCidr(one)}'`).join(',')}`
      : '',
    request.address === null ? '' : `-LocalAddress '${request.address}'`,
  ]
  return words.filter(Boolean).join(' ')
}

async function add(request: FirewallRequest, tag: string, options: FirewallOptions): Promise<void> {
  const commands = request.protocols.map((protocol) => newRuleCommand(request, tag, protocol))
  await powershell(commands.map((one) => `${one} | Out-Null`).join('; '), commands.join('; '), options)
}

/** A rule that is not there is gone already. */
async function remove(names: readonly string[], options: FirewallOptions): Promise<void> {
  const commands = names.map((name) => `Remove-NetFirewallRule -Name '${name}'`)
  const body = names.map(
    (name) => `Get-NetFirewallRule -Name '${name}' -ErrorAction SilentlyContinue | Remove-NetFirewallRule`,
  )
  await powershell(body.join('; '), commands.join('; '), options)
}

const isOurName = (name: string): boolean => /^naru-[A-Za-z0-9._-]+$/.test(name)

async function verify(
  request: FirewallRequest,
  names: readonly string[],
  options: FirewallOptions,
): Promise<Verdict> {
  const list = names.map((name) => `'${name}'`).join(',')
  const found = asList(
    await powershell(
      `ConvertTo-Json -Compress @(Get-NetFirewallRule -Name ${list} -ErrorAction SilentlyContinue | Where-Object { "$($_.Enabled)" -eq 'True' -and "$($_.Action)" -eq 'Allow' } | ForEach-Object { @{ name = $_.Name } })`,
      'Get-NetFirewallRule',
      options,
    ),
  ).map(({ name }) => text(name))
  if (!names.every((name) => found.includes(name))) {
    const parts = { ports: portsText(request), rule: request.rule, firewall: 'windows' }
    return { state: 'lost', why: new NaruError('FIREWALL_LOST', parts) }
  }
  const blocked = await blockOf(request, options)
  return blocked ? { state: 'lost', why: blocked } : { state: 'held', notes: [] }
}

/** A rule of someone else that still blocks what we opened. */
async function blockOf(request: FirewallRequest, options: FirewallOptions): Promise<NaruError | null> {
  const [profiles, rules] = [await readProfiles(options), await readRules(options)]
  const [source] = request.allow
  for (const protocol of request.protocols) {
    const question = {
      protocol,
      port: request.ports.first,
      from: source && isSingle(source) ? source.address : null,
    }
    const { verdict, by } = await decide(question, profiles, rules, options)
    // A profile's default blocks whoever our allow-list leaves out; a profile that blocks all blocks us.
    const outranked =
      !by.startsWith('profile ') || profiles.some(({ current, blocksAll }) => current && blocksAll)
    if (verdict === 'blocked' && outranked)
      return new NaruError('FIREWALL_OVERRULED', { ports: portsText(request), firewall: 'windows', by })
  }
  return null
}

const isSingle = ({ family, bits }: FirewallRequest['allow'][number]): boolean =>
  bits === (family === 4 ? 32 : 128)

/** In the profiles of the networks we are on: a block, then an allow, then what the profile says. */
async function decide(
  question: FirewallQuestion,
  profiles: readonly WindowsProfile[],
  rules: readonly WindowsRule[],
  options: FirewallOptions,
): Promise<FirewallAnswer> {
  const packet = await packetOf(question, options)
  const current = profiles.filter((profile) => profile.current)
  const answers = (current.length > 0 ? current : profiles).map((profile) => decideIn(profile, rules, packet))
  const strictest =
    answers.find(({ verdict }) => verdict === 'blocked') ??
    answers.find(({ verdict }) => verdict === 'unknown')
  return (
    strictest ??
    answers[0] ?? {
      verdict: 'unknown',
      by: '',
      why: say('Windows named no profile'),
    }
  )
}

function decideIn(
  profile: WindowsProfile,
  rules: readonly WindowsRule[],
  packet: WindowsPacket,
): FirewallAnswer {
  const name = `profile ${profile.name}`
  if (!profile.enabled) return answer('allowed', name, say('the firewall is off in this profile'))
  if (profile.blocksAll) return answer('blocked', name, say('the profile blocks all incoming connections'))
  const held = rules.map((rule) => ({ rule, holds: applies(rule, profile.name, packet) }))
  const first = (action: WindowsRule['action'], holds: string): WindowsRule | undefined =>
    held.find((one) => one.rule.action === action && one.holds === holds)?.rule
  const blocking = first('block', 'yes')
  if (blocking) return answer('blocked', ruleText(blocking), say('a block beats every allow'))
  const perhaps = first('block', 'maybe')
  if (perhaps) return answer('unknown', ruleText(perhaps), unsure)
  const allowing = first('allow', 'yes')
  if (allowing) return answer('allowed', ruleText(allowing), say('this rule lets it in'))
  if (profile.defaultInput === 'allow') return answer('allowed', name, say('the profile allows by default'))
  const open = first('allow', 'maybe')
  if (open) return answer('unknown', ruleText(open), unsure)
  const some = first('allow', 'some')
  const why = some
    ? say`the profile blocks by default; some sources are let in by: ${ruleText(some)}`
    : say('no rule lets it in, and the profile blocks by default')
  return { ...answer('blocked', name, why), ...(some && { partly: ruleText(some) }) }
}

const unsure = say('whether this rule applies depends on which program listens')

const answer = (verdict: FirewallAnswer['verdict'], by: string, why: Text): FirewallAnswer => ({
  verdict,
  by,
  why,
})

/** With the command that shows it, since many rules have one title. */
const ruleText = ({ title, name, action, program }: WindowsRule): string =>
  `${action === 'block' ? 'Block' : 'Allow'} "${title}"${program === 'Any' ? '' : ` (${program})`}: Get-NetFirewallRule -Name '${name}'`

async function packetOf(
  { protocol, port, from }: FirewallQuestion,
  { host, signal }: FirewallOptions,
): Promise<WindowsPacket> {
  const [sockets, route] = await Promise.all([
    host.sockets.list({ signal }).catch(() => []),
    from === null ? null : host.network.routeTo(from, { signal }).catch(() => null),
  ])
  const listening = sockets.filter((one) => one.protocol === protocol && one.port === port)
  const programs = listening.flatMap(({ process: owner }) => (owner ? [baseName(owner.name)] : []))
  return {
    protocol,
    port,
    from,
    fromLocalSubnet: route === null ? null : route.gateway === null,
    // Nobody listens yet: it will be this program.
    programs: programs.length > 0 ? programs : [baseName(process.execPath)],
  }
}

async function status(options: FirewallOptions): Promise<FirewallStatus> {
  const profiles = await readProfiles(options)
  const rules = await readRules(options)
  const current = profiles.filter((profile) => profile.current && profile.enabled)
  return {
    member: 'windows',
    active: profiles.some(({ enabled }) => enabled),
    defaultInput: current.some(({ defaultInput }) => defaultInput === 'block')
      ? 'block'
      : current.length > 0
        ? 'allow'
        : 'unknown',
    open: rules.filter(({ action }) => action === 'allow').flatMap(openPorts),
  }
}

function openPorts(rule: WindowsRule): FirewallStatus['open'][number][] {
  const written = rule.protocol.toLowerCase()
  const protocol = written === 'tcp' || written === 'udp' ? written : 'any'
  const from = rule.from.includes('Any') ? null : rule.from.join(', ')
  const entry = { protocol, from, ours: parseTag(rule.title)?.rule ?? null, text: ruleText(rule) } as const
  return rule.ports.map((ports) => ({ ...entry, ports: rangeOf(ports) }))
}
