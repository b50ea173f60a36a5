/** Answers that are asked for once in a diagnosis, whoever asks. */
import type { Host, Network } from '../host/contract.ts'

/**
 * What a diagnosis asks the machine is asked once, whoever asks: members ask too, each asking is a command, and with
 * two hundred rules the answers would differ by when they came. Neighbours and single routes are asked each time, as
 * they are waited for.
 */
export function readOnce(host: Host, signal: AbortSignal): Host {
  const { network, sockets, runner } = host
  const read: Network = {
    interfaces: once(() => network.interfaces({ signal })),
    defaultRoutes: once(() => network.defaultRoutes({ signal })),
    routeTo: (address, how) => network.routeTo(address, how),
    nameServers: once(() => network.nameServers({ signal })),
    neighbours: (how) => network.neighbours(how),
  }
  return {
    facts: (how) => host.facts(how),
    network: read,
    sockets: {
      list: once((how) => sockets.list({ ...how, signal })),
      owner: once((protocol, port) => sockets.owner(protocol, port, { signal })),
    },
    runner: {
      run: once((argv, how) => runner.run(argv, { ...how, signal })),
      hold: (argv, how) => runner.hold(argv, how),
    },
  }
}

/** Once for each different question; whose signal it comes with makes no difference (JSON has none). */
export function once<A extends readonly unknown[], T>(
  make: (...asked: A) => Promise<T>,
): (...asked: A) => Promise<T> {
  const made = new Map<string, Promise<T>>()
  return (...asked) => {
    const key = JSON.stringify(asked)
    const known = made.get(key)
    if (known) return known
    const answer = make(...asked)
    made.set(key, answer)
    // Each check that asked gets the failure; without one, nobody is told of an unhandled one.
    answer.catch(() => {})
    return answer
  }
}
