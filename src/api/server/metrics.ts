/** What Prometheus reads at /metrics: every rule's counters, as they are when it asks. */
import { Counter, Gauge, Registry } from 'prom-client'
import type { Naru, RuleStatus } from '../../model/naru-api.ts'

export const metricsType = Registry.PROMETHEUS_CONTENT_TYPE

export async function metricsOf(naru: Naru): Promise<string> {
  const registry = new Registry()
  const [about, rules] = await Promise.all([naru.about(), naru.rules.list()])
  const gauge = <L extends string>(name: string, help: string, labelNames: L[]): Gauge<L> =>
    new Gauge({ name, help, labelNames, registers: [registry] })
  gauge('naru_info', 'version of this Naru, always 1', ['version']).set({ version: about.version }, 1)
  gauge('naru_start_time_seconds', 'when it started, in seconds since the Unix epoch', []).set(
    about.startedAt / 1000,
  )
  gauge('naru_file_valid', '1 while the file on disk is valid', []).set(about.fileProblem === null ? 1 : 0)
  gauge('naru_process_resident_memory_bytes', 'memory of the process', []).set(process.memoryUsage.rss())
  count(registry, rules)
  states(registry, rules)
  return registry.metrics()
}

function count(registry: Registry, rules: readonly RuleStatus[]): void {
  const counter = <L extends string>(name: string, help: string, labelNames: L[]): Counter<L> =>
    new Counter({ name, help, labelNames, registers: [registry] })
  const open = new Gauge({
    name: 'naru_connections_open',
    help: 'connections and UDP sessions now',
    labelNames: ['rule'],
    registers: [registry],
  })
  const offloaded = new Gauge({
    name: 'naru_connections_offloaded',
    help: 'how many of them the kernel carries by itself now',
    labelNames: ['rule'],
    registers: [registry],
  })
  const opened = counter('naru_connections_total', 'connections and UDP sessions since the rule was opened', [
    'rule',
  ])
  const closed = counter('naru_connections_closed_total', 'how many ended, by reason', ['rule', 'reason'])
  const bytes = counter('naru_bytes_total', 'bytes carried', ['rule', 'direction'])
  const datagrams = counter('naru_datagrams_total', 'UDP datagrams carried', ['rule', 'direction'])
  const lost = counter('naru_datagrams_lost_total', 'UDP datagrams that could not be delivered', ['rule'])
  for (const { name: rule, counters } of rules) {
    open.set({ rule }, counters.open)
    offloaded.set({ rule }, counters.offloaded)
    opened.inc({ rule }, counters.opened)
    for (const [reason, times] of Object.entries(counters.closed)) closed.inc({ rule, reason }, times)
    bytes.inc({ rule, direction: 'to_target' }, counters.bytesToTarget)
    bytes.inc({ rule, direction: 'to_client' }, counters.bytesToClient)
    datagrams.inc({ rule, direction: 'to_target' }, counters.datagramsToTarget)
    datagrams.inc({ rule, direction: 'to_client' }, counters.datagramsToClient)
    lost.inc({ rule }, counters.datagramsLost)
  }
}

function states(registry: Registry, rules: readonly RuleStatus[]): void {
  const state = new Gauge({
    name: 'naru_rule_state',
    help: '1 for the state the rule is in',
    labelNames: ['rule', 'state'],
    registers: [registry],
  })
  const hop = new Gauge({
    name: 'naru_hop_ok',
    help: '1 while the hop does what was asked',
    labelNames: ['rule', 'hop', 'member'],
    registers: [registry],
  })
  for (const rule of rules) {
    state.set({ rule: rule.name, state: rule.state }, 1)
    for (const { hop: place, member, state: now } of rule.hops)
      if (now !== 'off')
        hop.set({ rule: rule.name, hop: place, member: member ?? '' }, now === 'broken' ? 0 : 1)
  }
}
