/** What every Linux member asks first. */
import { say } from '../../base/text.ts'
import type { Support } from '../../model/support.ts'
import type { FirewallOptions } from '../contract.ts'

export async function onLinux({ host }: FirewallOptions, detect: () => Promise<Support>): Promise<Support> {
  const { platform } = await host.facts()
  return platform === 'linux' ? detect() : { ok: false, why: say('this is not Linux') }
}
