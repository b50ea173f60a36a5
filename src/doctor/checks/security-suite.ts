/** Another maker's firewall sits in front of Windows' own, where Naru cannot add a rule. */
import { say } from '../../base/text.ts'
import { defineCheck, listenOf } from './contract.ts'

export const securitySuite = defineCheck({
  code: 'security-suite',
  hop: 'firewall',
  severity: 'warns',
  title: say('another security program has a firewall'),
  explains: say(
    'Windows’ Security Center lists a firewall product of another maker as switched on (root/SecurityCenter2, FirewallProduct).',
  ),
  remedy: say('allow the port in that program'),
  async look(subject, { signal }) {
    const listen = listenOf(subject)
    const { platform } = await subject.look.facts()
    if (platform !== 'win32' || !listen) return null
    const script =
      '[Console]::OutputEncoding=[Text.Encoding]::UTF8; Get-CimInstance -Namespace root/SecurityCenter2 -ClassName FirewallProduct | Select-Object displayName,productState | ConvertTo-Json -Compress'
    const { stdout } = await subject.host.runner.run(
      ['powershell', '-NoProfile', '-NonInteractive', '-Command', script],
      { signal, limitMs: 8000 },
    )
    const active = parseFirewallProducts(stdout).filter(({ on }) => on)
    if (active.length === 0) return null
    const names = active.map(({ name }) => name).join(', ')
    return {
      evidence: [say`Security Center: ${names} is on`],
      fixes: [
        {
          text: say`in ${names}: Firewall → Rules → add an inbound rule for ${listen.protocols.join('+')} port ${listen.ports.first}`,
        },
      ],
    }
  },
})

/** Bits 12–15 of productState: 1 is on (as Windows' own Security Center reads it). */
export function parseFirewallProducts(json: string): { name: string; on: boolean }[] {
  try {
    const parsed: unknown = JSON.parse(json)
    return (Array.isArray(parsed) ? parsed : [parsed]).flatMap((row: unknown) => {
      const { displayName, productState } = row as { displayName?: unknown; productState?: unknown }
      if (typeof displayName !== 'string' || typeof productState !== 'number') return []
      return [{ name: displayName, on: ((productState >> 12) & 0xf) === 1 }]
    })
  } catch {
    return []
  }
}
