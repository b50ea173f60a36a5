/** A router is asked a few things at once, not a hundred: weak ones drop what they cannot queue. */

const atOnce = 8

/** Results in the order of `all`. */
export async function inBatches<T, R>(all: readonly T[], each: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let at = 0; at < all.length; at += atOnce)
    results.push(...(await Promise.all(all.slice(at, at + atOnce).map(each))))
  return results
}
