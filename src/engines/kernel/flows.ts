/**
 * conntrack's view of the connections: its lines in, one record a connection out. It counts whole packets, so bytes
 * here include IP and TCP headers (nf_conntrack_acct).
 */
import type { Protocol } from '../../base/port.ts'
import { familyOf, formatEndpoint, type Family } from '../../base/address.ts'
import { NaruError } from '../../base/errors.ts'
import type { Runner } from '../../host/contract.ts'
import { endpointOnWire } from '../../linux/bpf/flows.ts'
import { Conntrack } from '../../linux/bpf/conntrack.ts'

export interface ConntrackFlow {
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
  /^(tcp|udp) +\d+ (\d+) (?:([A-Z_0-9]+) )?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) (?:packets=(\d+) bytes=(\d+) )?(\[UNREPLIED\] )?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) (?:packets=(\d+) bytes=(\d+) )?(.*)$/s

/** Null for a line of another protocol. */
export function parseFlow(text: string): ConntrackFlow | null {
  const match = line.exec(text)
  if (!match) return null
  const [, protocol = '', expires, state = '', client = '', listen = '', clientPort, listenPort] = match
  const [packetsOut, bytesOut, unreplied, target = '', upstream = '', targetPort, upstreamPort, ...rest] =
    match.slice(8)
  const [packetsIn, bytesIn, further = ''] = rest
  const id = / id=(\d+)$/.exec(` ${further.trim()}`)?.[1] ?? ''
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
export function listFlows(
  runner: Runner,
  families: readonly Family[],
  options: { signal: AbortSignal },
): Promise<ConntrackFlow[]> {
  return list(runner, families, ['--dst-nat'], options)
}

/** UDP flows that go where their client sent them: older than the rule that would send them on. */
export async function listUntouched(
  runner: Runner,
  families: readonly Family[],
  options: { signal: AbortSignal },
): Promise<ConntrackFlow[]> {
  const flows = await list(runner, families, ['-p', 'udp'], options)
  return flows.filter(
    ({ listen, listenPort, target, targetPort }) => listen === target && listenPort === targetPort,
  )
}

async function list(
  runner: Runner,
  families: readonly Family[],
  which: readonly string[],
  options: { signal: AbortSignal },
): Promise<ConntrackFlow[]> {
  const flows: ConntrackFlow[] = []
  for (const family of families) {
    const argv = ['conntrack', '-L', '-f', `ipv${family}`, ...which, '-o', 'id'] as const
    const { exit, stdout, stderr } = await runner.run([...argv], options)
    if (exit !== 0) throw failed(exit, stderr)
    for (const text of stdout.split('\n')) {
      const flow = parseFlow(text)
      if (flow) flows.push(flow)
    }
  }
  return flows
}

const failed = (exit: number, stderr: string): NaruError =>
  new NaruError('COMMAND_FAILED', { command: 'conntrack', exit, stderr: stderr.trim().slice(0, 500) })

/**
 * Forgets connections: their next packet belongs to none, and both ends are answered by RST. By netlink in microseconds
 * each; what is still there, as this process may not, by conntrack(8), which reads the whole table for each command.
 * @throws NaruError COMMAND_FAILED where one is there in the end
 */
export async function cutFlows(
  runner: Runner,
  flows: readonly ConntrackFlow[],
  options: { signal: AbortSignal },
): Promise<void> {
  const families = [...new Set(flows.map(({ client }) => familyOf(client)))]
  // A client that goes on sending has a new flow under the same names, which leads elsewhere.
  const nameOf = ({ key, target, targetPort }: ConntrackFlow): string => `${key} ${target} ${targetPort}`
  const wanted = new Set(flows.map(nameOf))
  const conntrack = Conntrack.open()
  for (const { protocol, client, clientPort, listen, listenPort } of flows)
    conntrack?.forget(protocol, [endpointOnWire(client, clientPort), endpointOnWire(listen, listenPort)])
  conntrack?.close()
  for (let tries = 0; tries < 3; tries++) {
    const there = await list(runner, families, [], options)
    const left = there.filter((flow) => wanted.has(nameOf(flow)))
    if (left.length === 0) return
    for (const argv of deletions(left, there)) await runner.run(['conntrack', ...argv], options)
  }
  throw failed(1, 'connections that were cut are still there')
}

/** Where all connections to a target end, one command for all of them. */
function deletions(flows: readonly ConntrackFlow[], there: readonly ConntrackFlow[]): string[][] {
  const targetOf = ({ protocol, target, targetPort }: ConntrackFlow): string =>
    `${protocol} ${target} ${targetPort}`
  const all = grouped(there, targetOf)
  return [...grouped(flows, targetOf)].flatMap(([target, group]) => {
    const [flow] = group
    if (!flow || group.length < 2 || group.length < (all.get(target) ?? []).length)
      return group.map(deletionOf)
    const { protocol, target: address, targetPort } = flow
    const reply = ['-r', address, '--reply-port-src', String(targetPort)]
    return [['-D', '-f', familyWord(flow), '-p', protocol, ...reply]]
  })
}

function grouped(
  flows: readonly ConntrackFlow[],
  by: (flow: ConntrackFlow) => string,
): Map<string, ConntrackFlow[]> {
  const groups = new Map<string, ConntrackFlow[]>()
  for (const flow of flows) {
    const group = groups.get(by(flow))
    if (group) group.push(flow)
    else groups.set(by(flow), [flow])
  }
  return groups
}

const familyWord = ({ client }: ConntrackFlow): string => `ipv${familyOf(client)}`

function deletionOf(flow: ConntrackFlow): string[] {
  const ports = ['--sport', String(flow.clientPort), '--dport', String(flow.listenPort)]
  return ['-D', '-f', familyWord(flow), '-p', flow.protocol, '-s', flow.client, '-d', flow.listen, ...ports]
}
