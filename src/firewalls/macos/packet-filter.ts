/**
 * pf, which macOS ships switched off: only where an administrator made it block, a pass rule of ours goes into an
 * anchor of ours below `com.apple/`, which the system's own /etc/pf.conf evaluates (pf.conf(5), anchors).
 */
import { formatCidr } from '../../base/address.ts'
import { NaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import type { RunResult } from '../../host/contract.ts'
import type { FirewallOptions, FirewallRequest } from '../contract.ts'

/** Does pf block anything that comes in? Who may not look is told no: pf is off unless somebody switched it on. */
export async function pfBlocks(options: FirewallOptions): Promise<boolean> {
  const info = await pfctl(['-s', 'info'], options)
  if (info.exit !== 0 || !/^Status: Enabled/m.test(info.stdout)) return false
  const rules = await pfctl(['-s', 'rules'], options)
  return /^block (?:drop |return\S* )?(?:in |log |quick |all|from|proto)/m.test(rules.stdout)
}

export const anchorFor = (tag: string): string => `com.apple/${tag.replaceAll(':', '.')}`

export const isOurAnchor = (anchor: string): boolean => /^com\.apple\/naru\.[A-Za-z0-9._-]+$/.test(anchor)

/** `pass in quick proto tcp from { 10.0.0.0/8 } to any port 8000:8010 flags S/SA keep state label "naru:…"`. */
export function anchorRules({ protocols, ports, address, allow }: FirewallRequest, tag: string): string {
  const from = allow.length > 0 ? `{ ${allow.map(formatCidr).join(' ')} }` : 'any'
  const port = ports.first === ports.last ? String(ports.first) : `${ports.first}:${ports.last}`
  return protocols
    .map(
      (protocol) =>
        `pass in quick proto ${protocol} from ${from} to ${address ?? 'any'} port ${port} keep state label "${tag}"\n`,
    )
    .join('')
}

export async function loadAnchor(anchor: string, rules: string, options: FirewallOptions): Promise<void> {
  const argv = ['pfctl', '-q', '-a', anchor, '-f', '-'] as const
  check(argv, await options.host.runner.run(argv, { signal: options.signal, input: rules }))
}

/** Only what is in our anchor; an empty one is none. */
export async function clearAnchor(anchor: string, options: FirewallOptions): Promise<void> {
  const argv = ['pfctl', '-q', '-a', anchor, '-F', 'rules'] as const
  const result = await options.host.runner.run(argv, { signal: options.signal })
  if (!/does not exist|anchor.{0,200}not/i.test(result.stderr)) check(argv, result)
}

export async function anchorHolds(anchor: string, tag: string, options: FirewallOptions): Promise<boolean> {
  return (await pfctl(['-a', anchor, '-s', 'rules'], options)).stdout.includes(`"${tag}"`)
}

function pfctl(args: readonly string[], { host, signal }: FirewallOptions): Promise<RunResult> {
  return host.runner.run(['pfctl', ...args], { signal })
}

function check(argv: readonly string[], { exit, stderr }: RunResult): void {
  const command = argv.join(' ')
  if (/permission denied|operation not permitted|must be root/i.test(stderr))
    throw new NaruError('NOT_PERMITTED', { what: say('change pf'), command: `sudo ${command}` })
  if (exit !== 0) throw new NaruError('COMMAND_FAILED', { command, exit, stderr: stderr.trim() })
}
