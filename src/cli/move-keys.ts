/** The keys that move through a list on a full screen, alike wherever there is one. */

/** @param page rows in sight. @returns by how many rows the key moves, or undefined where it moves nothing. */
export function moveOf(key: string, page: number): number | undefined {
  const moves: Readonly<Record<string, number>> = {
    '\u001B[A': -1,
    '\u001BOA': -1,
    k: -1,
    '\u001B[B': 1,
    '\u001BOB': 1,
    j: 1,
    '\u001B[5~': -page,
    '\u001B[6~': page,
    '\u001B[H': -Infinity,
    '\u001B[F': Infinity,
  }
  return moves[key]
}
