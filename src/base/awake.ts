/**
 * What this machine's work waits for may keep no process alive: the clock, and children that are there for a whole run.
 * Node then ends in the middle of it (exit code 13), and what should be undone stays. Whoever waits in the foreground
 * says so here.
 */

/** The longest that a timer of Node's takes, ms. */
const longestMs = 2_147_483_647

/** The process goes on until the answer is disposed, whatever else it has to do. */
export function keepAlive(): Disposable {
  const held = setInterval(() => {}, longestMs)
  return { [Symbol.dispose]: () => clearInterval(held) }
}

/** The process lives until `work` has ended, however that is. */
export async function awake<T>(work: () => Promise<T>): Promise<T> {
  using _alive = keepAlive()
  return await work()
}
