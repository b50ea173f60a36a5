/** The shape of JSON: each path with the types that were seen there, as lines that can be compared. */

/** What has names of rules and the like for keys, by where it is. */
const named = /\.(?:rules|details|params)$/

/** `rules[].hops[].state string`, sorted; `[]` is any element. `{}` stands for keys that are names. */
export function shapeOf(values: readonly unknown[]): string[] {
  const seen = new Map<string, Set<string>>()
  for (const value of values) walk(value, '', seen)
  return [...seen]
    .map(([path, types]) => `${path || '.'} ${[...types].toSorted((a, b) => a.localeCompare(b)).join('|')}`)
    .toSorted((a, b) => (a < b ? -1 : 1))
}

function walk(value: unknown, path: string, seen: Map<string, Set<string>>): void {
  const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
  const types = seen.get(path) ?? new Set()
  seen.set(path, types.add(type))
  if (Array.isArray(value)) for (const one of value) walk(one, `${path}[]`, seen)
  else if (value !== null && typeof value === 'object')
    for (const [key, one] of Object.entries(value))
      walk(one, named.test(path) ? `${path}.{}` : `${path}.${key}`, seen)
}
