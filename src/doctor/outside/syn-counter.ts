/**
 * Counts the SYNs that reach this machine, port by port, before any rule may drop them: an own nft table at
 * prerouting, priority raw (−300), removed at the end. That a packet came is the one thing a closed port cannot hide.
 */
import { withLimit } from '../../base/clock.ts'
import { NaruError } from '../../base/errors.ts'
import { asRoot } from '../../base/privilege.ts'
import { say } from '../../base/text.ts'
import type { Host } from '../../host/contract.ts'

export interface SynCounter extends AsyncDisposable {
  /** SYNs by port since it was made. */
  read(): Promise<ReadonlyMap<number, number>>
}

let made = 0

/** @throws NaruError NOT_PERMITTED, COMMAND_MISSING where nft is not installed */
export async function countSyns(
  ports: readonly number[],
  { host, signal }: { host: Host; signal: AbortSignal },
): Promise<SynCounter> {
  const table = `naru_syn_${process.pid}_${made++}`
  const nft = async (argv: readonly string[], input?: string): Promise<string> => {
    const { exit, stdout, stderr } = await host.runner.run(['nft', ...argv], {
      signal,
      limitMs: 5000,
      ...(input === undefined ? {} : { input }),
    })
    if (exit === 0) return stdout
    if (/not permitted/i.test(stderr))
      throw new NaruError('NOT_PERMITTED', {
        what: say('count packets'),
        command: asRoot(['doctor']),
      })
    throw new NaruError('COMMAND_FAILED', { command: 'nft', exit, stderr: stderr.trim() })
  }
  await nft(['-f', '-'], programOf(table, [...new Set(ports)]))
  let removed = false
  return {
    read: async () => parseCounters(await nft(['-j', 'list', 'counters', 'table', 'inet', table])),
    async [Symbol.asyncDispose]() {
      if (removed) return
      removed = true
      // Removed also where the diagnosis was stopped: its signal has fired by then.
      await host.runner.run(['nft', 'delete', 'table', 'inet', table], { signal: withLimit(undefined, 5000) })
    },
  }
}

/** Loopback is not "from outside"; a repeated SYN counts again, which harms nobody. */
function programOf(table: string, ports: readonly number[]): string {
  const counters = ports.map((port) => `  counter p${port} { }`)
  const rules = ports.map(
    (port) => `    iifname != "lo" tcp dport ${port} tcp flags & (syn | ack) == syn counter name "p${port}"`,
  )
  return `table inet ${table} {
${counters.join('\n')}
  chain prerouting {
    type filter hook prerouting priority raw; policy accept;
${rules.join('\n')}
  }
}
`
}

function parseCounters(json: string): Map<number, number> {
  const { nftables = [] } = JSON.parse(json) as {
    nftables?: readonly { counter?: { name?: string; packets?: number } }[]
  }
  const counted = new Map<number, number>()
  for (const { counter } of nftables) {
    const port = /^p(\d+)$/.exec(counter?.name ?? '')?.[1]
    if (port) counted.set(Number(port), counter?.packets ?? 0)
  }
  return counted
}
