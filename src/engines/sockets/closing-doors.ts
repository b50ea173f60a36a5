/**
 * Doors of retired rules that could not close, as their sessions have no other ear: each closes once somebody in this
 * process wants its port.
 */
const left = new Map<number, Set<() => void>>()

/** @param close ends the sessions, and gives up the port. */
export function leaveDoor(port: number, close: () => void): Disposable {
  const doors = left.get(port) ?? new Set()
  left.set(port, doors.add(close))
  return {
    [Symbol.dispose]: () => {
      doors.delete(close)
      if (doors.size === 0 && left.get(port) === doors) left.delete(port)
    },
  }
}

/** @returns whether any door made way. */
export function makeWay(port: number): boolean {
  const doors = left.get(port)
  for (const close of doors ?? []) close()
  return doors !== undefined
}
