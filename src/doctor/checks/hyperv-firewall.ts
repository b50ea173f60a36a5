/**
 * Windows 11 has a firewall of its own between Windows and WSL (networkingMode NAT or mirrored). Our relay dials from
 * Windows itself, which needs no rule there while LoopbackEnabled holds, as it does unless somebody switched it off.
 * Source: Microsoft, "Configure Hyper-V firewall".
 */
import { say } from '../../base/text.ts'
import { defineCheck } from './contract.ts'

/** The VM creator id that WSL's firewall settings carry. */
const wslCreator = '{40E0AC32-46A5-438A-A0B2-2B479E8F2E90}'

/** Settings as numbers: their names are translated. A system without this firewall fails at the first word. */
const script =
  `$ErrorActionPreference='Stop'; [Console]::OutputEncoding=[Text.Encoding]::UTF8; ` +
  `$s = Get-NetFirewallHyperVVMSetting -PolicyStore ActiveStore -Name '${wslCreator}'; ` +
  `@{ enabled = [int]$s.Enabled; loopback = [int]$s.LoopbackEnabled; action = [int]$s.DefaultInboundAction; ` +
  `allowed = @(Get-NetFirewallHyperVRule -VMCreatorId '${wslCreator}' | Where-Object { $_.Direction -eq 'Inbound' -and $_.Action -eq 'Allow' } | ForEach-Object { $_.LocalPorts }) } | ConvertTo-Json -Compress`

export const hypervFirewall = defineCheck({
  code: 'hyperv-firewall',
  hop: 'firewall',
  title: say('the Hyper-V firewall blocks WSL'),
  explains: say(
    'For a WSL target: the Hyper-V firewall does not let Windows itself in to WSL (LoopbackEnabled is off), its default inbound action is Block and no rule of it allows the port.',
  ),
  remedy: say('let Windows in to WSL again'),
  async look(subject, { signal }) {
    const target = subject.rule?.targets
      .map(({ to }) => to)
      .find((to) => to.kind === 'guest' && to.guest === 'wsl')
    const { platform } = await subject.look.facts()
    if (platform !== 'win32' || target?.kind !== 'guest') return null
    const { stdout } = await subject.host.runner.run(
      ['powershell', '-NoProfile', '-NonInteractive', '-Command', script],
      { signal, limitMs: 8000 },
    )
    if (!blocksWsl(stdout, target.ports.first)) return null
    return {
      evidence: [
        say(
          'LoopbackEnabled is off for WSL, its default inbound action is Block, and no rule allows the port',
        ),
      ],
      fixes: [
        {
          text: say('let Windows in, as administrator'),
          command: `Set-NetFirewallHyperVVMSetting -Name '${wslCreator}' -LoopbackEnabled True`,
        },
      ],
    }
  },
})

/** A switch is 0 (off), 1 (on) or 2 (not configured); an action 2 is Allow, 4 Block, and 0 (not configured) blocks, too. */
export function blocksWsl(json: string, port: number): boolean {
  try {
    const { enabled, loopback, action, allowed } = JSON.parse(json) as Record<string, unknown>
    if (enabled === 0 || loopback !== 0 || typeof action !== 'number' || action === 2) return false
    return Array.isArray(allowed) && !allowed.some((ports) => isIn(String(ports), port))
  } catch {
    return false
  }
}

/** `80`, `8000-8010`, `Any`; a word such as `RPC` is no port of ours. */
function isIn(ports: string, port: number): boolean {
  const [, first, last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(ports) ?? []
  return ports === 'Any' || (Number(first) <= port && port <= Number(last))
}
