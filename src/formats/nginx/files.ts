/**
 * What `nginx -T` prints: every file behind a line `# configuration file PATH:`, the main one first. Their `include`
 * statements are followed there; the file of a plain configuration stands alone, and its includes stay as they are.
 */
import { dirname, resolve } from 'node:path/posix'
import { say } from '../../base/text.ts'
import type { ImportContext } from '../shared/import-context.ts'
import { treeOf, type Statement } from './tree.ts'

const marker = /^# configuration file (\/\S{1,1000}):[ \t]{0,10}\r?$/
/** Files within files; nginx has no bound, and no circle ends. */
const mostDepth = 16
/** What a file that is included many times may grow to. */
const mostStatements = 100_000

export function statementsOf(text: string, reading: ImportContext): Statement[] {
  const files = filesOf(text, reading)
  const [main] = files.keys()
  if (main === undefined) return treeOf(text, reading)
  const prefix = dirname(main)
  let count = 0
  const followed = (statements: readonly Statement[], depth: number): Statement[] =>
    statements.flatMap((statement): Statement[] => {
      if (++count > mostStatements || depth > mostDepth)
        throw reading.tooMuch(statement.place, say('its includes never end, or grow too large'))
      const pattern = statement.name === 'include' ? statement.args[0] : undefined
      const found = pattern === undefined ? null : includedBy(resolve(prefix, pattern), files)
      if (found) return found.flatMap((one) => followed(one, depth + 1))
      return [{ ...statement, block: statement.block && followed(statement.block, depth) }]
    })
  return followed(files.get(main) ?? [], 0)
}

/** Null where a file is named that is not there; a pattern may match none. */
function includedBy(path: string, files: ReadonlyMap<string, Statement[]>): (readonly Statement[])[] | null {
  const exact = files.get(path)
  if (exact) return [exact]
  if (!/[*?]/.test(path) || path.includes('[')) return null
  return [...files.keys()]
    .filter((file) => isLike(file, path))
    .toSorted()
    .map((file) => files.get(file) ?? [])
}

/** `*` and `?` stand for signs of one folder's name. Goes back to the last `*` alone, so it takes no more than both lengths. */
function isLike(path: string, pattern: string): boolean {
  let [at, from] = [0, 0]
  let [star, taken] = [-1, 0]
  while (at < path.length) {
    const sign = path[at]
    if (pattern[from] === sign || (pattern[from] === '?' && sign !== '/')) {
      at++
      from++
    } else if (pattern[from] === '*') {
      star = from++
      taken = at
    } else if (star !== -1 && path[taken] !== '/') {
      from = star + 1
      at = ++taken
    } else return false
  }
  return /^\**$/.test(pattern.slice(from))
}

/** By path, in order; none where no line says that it is such an output. */
function filesOf(text: string, reading: ImportContext): Map<string, Statement[]> {
  const files = new Map<string, Statement[]>()
  const lines = text.split(/\n/)
  const starts = lines.flatMap((line, at) => (marker.test(line) ? [at] : []))
  const [first] = starts
  // What nginx says of itself may come before.
  if (first === undefined || lines.slice(0, first).some((line) => !/^(?:nginx: |\s*$)/.test(line)))
    return files
  for (const [index, start] of starts.entries()) {
    const path = marker.exec(lines[start] ?? '')?.[1] ?? ''
    const body = lines.slice(start + 1, starts[index + 1] ?? lines.length).join('\n')
    files.set(path, treeOf(body, reading, start + 1))
  }
  return files
}
