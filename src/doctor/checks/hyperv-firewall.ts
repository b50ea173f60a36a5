/** WSL in mirrored mode has a firewall of its own between Windows and the distribution. */
import { say } from '../../base/text.ts'
import { defineCheck } from './contract.ts'

/** The VM creator id that WSL's firewall settings carry (learn.microsoft.com, Hyper-V firewall). */
const wslCreator = '{40E0AC32-46A5-438A-A0B2-2B479E8F2E90}'

export const hypervFirewall = defineCheck({
  code: 'hyperv-firewall',
  hop: 'firewall',
  title: say('the Hyper-V firewall blocks WSL'),
  explains: say(
    'For a WSL target: the Hyper-V firewall’s default inbound action for WSL is Block and no rule of it allows the port.',
  ),
  remedy: say('add a Hyper-V firewall rule for the port'),
  async look(subject, { signal }) {
    const target = subject.rule?.targets
      .map(({ to }) => to)
      .find((to) => to.kind === 'guest' && to.guest === 'wsl')
    const { platform } = await subject.look.facts()
    if (platform !== 'win32' || target?.kind !== 'guest') return null
    const port = target.ports.first
    const script =
      `[Console]::OutputEncoding=[Text.Encoding]::UTF8; @{ action = [int](Get-NetFirewallHyperVVMSetting -PolicyStore ActiveStore -Name '${wslCreator}').DefaultInboundAction; ` +
      `allowed = @(Get-NetFirewallHyperVRule -VMCreatorId '${wslCreator}' | Where-Object { $_.Direction -eq 'Inbound' -and $_.Action -eq 'Allow' -and ($_.LocalPorts -contains '${port}' -or $_.LocalPorts -contains 'Any') }).Count } | ConvertTo-Json -Compress`
    const { stdout } = await subject.host.runner.run(
      ['powershell', '-NoProfile', '-NonInteractive', '-Command', script],
      { signal, limitMs: 8000 },
    )
    if (!blocksWsl(stdout)) return null
    return {
      evidence: [say('the default inbound action for WSL is Block, and no rule allows the port')],
      fixes: [
        {
          text: say('allow it, as administrator'),
          command: `New-NetFirewallHyperVRule -Name naru-${port} -DisplayName "naru ${port}" -Direction Inbound -VMCreatorId '${wslCreator}' -Protocol TCP -LocalPorts ${port} -Action Allow`,
        },
      ],
    }
  },
})

/** Action 4 is Block (2 Allow); 0 (NotConfigured) means block too. */
export function blocksWsl(json: string): boolean {
  try {
    const { action, allowed } = JSON.parse(json) as { action?: unknown; allowed?: unknown }
    return typeof action === 'number' && action !== 2 && allowed === 0
  } catch {
    return false
  }
}
