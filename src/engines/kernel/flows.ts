/**
 * conntrack's view of the connections: its lines in, one record a connection out. It counts whole packets, so bytes
 * here include IP and TCP headers (nf_conntrack_acct).
 */
import type { Protocol } from '../../base/port.ts'
import { formatEndpoint, type Family } from '../../base/address.ts'
import type { Runner } from '../../host/contract.ts'

export interface Flow {
  /** Stable while the connection lives. */
  readonly key: string
  readonly protocol: Protocol
  readonly client: string
  readonly clientPort: number
  readonly listen: string
  readonly listenPort: number
  readonly target: string
  readonly targetPort: number
  /** Whom the target answers: the client itself, or this machine where that hides it. */
  readonly upstream: string
  readonly upstreamPort: number
  /** TCP's state as conntrack names it; empty for UDP. */
  readonly state: string
  /** Without another packet conntrack forgets it after so long. */
  readonly expiresSeconds: number
  /** Nothing has come back yet. */
  readonly unreplied: boolean
  readonly packetsToTarget: number
  readonly packetsToClient: number
  readonly bytesToTarget: number
  readonly bytesToClient: number
  /** conntrack sees a packet a second of it; the kernel carries the rest by itself. conntrack does not tell this. */
  readonly offloaded: boolean
}

const line =
  /^(tcp|udp) +\d+ (\d+) (?:([A-Z_0-9]+) )?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) (?:packets=(\d+) bytes=(\d+) )?(\[UNREPLIED\] )?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) (?:packets=(\d+) bytes=(\d+) )?.*?(?:id=(\d+))?\s*$/

/** Null for a line of another protocol. */
export function parseFlow(text: string): Flow | null {
  const match = line.exec(text)
  if (!match) return null
  const [, protocol = '', expires, state = '', client = '', listen = '', clientPort, listenPort] = match
  const [packetsOut, bytesOut, unreplied, target = '', upstream = '', targetPort, upstreamPort, ...rest] =
    match.slice(8)
  const [packetsIn, bytesIn, id = ''] = rest
  return {
    key: `${protocol} ${formatEndpoint(client, clientPort ?? '')} ${formatEndpoint(listen, listenPort ?? '')} ${id}`,
    protocol: protocol as Protocol,
    client,
    clientPort: Number(clientPort),
    listen,
    listenPort: Number(listenPort),
    target,
    targetPort: Number(targetPort),
    upstream,
    upstreamPort: Number(upstreamPort),
    state,
    expiresSeconds: Number(expires),
    unreplied: unreplied !== undefined,
    packetsToTarget: Number(packetsOut ?? 0),
    packetsToClient: Number(packetsIn ?? 0),
    bytesToTarget: Number(bytesOut ?? 0),
    bytesToClient: Number(bytesIn ?? 0),
    offloaded: false,
  }
}

/** Every connection whose destination was changed, ours and others'. */
export async function listFlows(
  runner: Runner,
  families: readonly Family[],
  options: { signal: AbortSignal },
): Promise<Flow[]> {
  const flows: Flow[] = []
  for (const family of families) {
    const argv = ['conntrack', '-L', '-f', `ipv${family}`, '--dst-nat', '-o', 'id'] as const
    const { stdout } = await runner.run([...argv], options)
    for (const text of stdout.split('\n')) {
      const flow = parseFlow(text)
      if (flow) flows.push(flow)
    }
  }
  return flows
}

/** Forgets connections: their next packet belongs to none, and both ends are answered by RST. */
export async function cutFlows(
  runner: Runner,
  flows: readonly Flow[],
  options: { signal: AbortSignal },
): Promise<void> {
  const several = 8
  if (flows.length <= several) {
    for (const flow of flows) await runner.run(['conntrack', ...deletionOf(flow)], options)
    return
  }
  const input = `${flows.map((flow) => deletionOf(flow).join(' ')).join('\n')}\n`
  await runner.run(['conntrack', '-R', '-'], { ...options, input, limitMs: 60_000 })
}

function deletionOf(flow: Flow): string[] {
  const family = flow.client.includes(':') ? 'ipv6' : 'ipv4'
  const ports = ['--sport', String(flow.clientPort), '--dport', String(flow.listenPort)]
  return ['-D', '-f', family, '-p', flow.protocol, '-s', flow.client, '-d', flow.listen, ...ports]
}
