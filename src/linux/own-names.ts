/** What of this machine's tables and rules is a Naru's, whichever one's: whoever asks who else decides leaves it out. */

/** The table of a guard that no flush takes away (engines/kernel/guard.ts). */
export const guardTable = /^naru_guard_\d+_\d+_\d+$/

/**
 * Every base chain that a Naru makes, by the exact name of its table; each is of family inet. A process is its number and
 * its start, with `keep` also its namespace. Whoever calls a table or a chain alike, and not the same, is somebody else.
 */
const chains: readonly (readonly [table: RegExp, chains: readonly string[]])[] = [
  // engines/kernel/base-table.ts
  [/^naru$/, ['loopback', 'passing', 'arriving', 'martian', 'carry_arriving', 'carry_local', 'way_back']],
  // engines/kernel/guard.ts
  [guardTable, ['loopback', 'martian', 'passing']],
  // engines/splice/main/tproxy.ts
  [/^naru_keep_\d+_\d+_\d+$/, ['answers']],
  // doctor/outside/syn-counter.ts
  [/^naru_syn_\d+_\d+$/, ['prerouting']],
]

export function isOurChain({
  family,
  table,
  name,
}: {
  family: string
  table: string
  name: string
}): boolean {
  return family === 'inet' && chains.some(([ours, names]) => ours.test(table) && names.includes(name))
}

/**
 * The routing rule of `source: keep` (engines/splice/main/tproxy.ts): it asks for a mark that only answers to our sockets have.
 * Marks and routing tables are 32-bit numbers that begin with this byte, the `n` of Naru; the rest is made of the process.
 */
export const keepRule = { priority: 6278, firstByte: 0x6e } as const
