/** What of this machine's tables and rules is a Naru's, whichever one's: whoever asks who else decides leaves it out. */

/** A table of the kernel engine or of a Naru's firewall hop. */
export const isOurTable = (table: string): boolean => /^naru\b|^naru[-_]/.test(table)

/**
 * The routing rule of `source: keep` (engines/splice/keep.ts): it asks for a mark that only answers to our sockets have.
 * Marks and routing tables are 32-bit numbers that begin with this byte, the `n` of Naru; the rest is the process.
 */
export const keepRule = { priority: 6278, firstByte: 0x6e } as const
