/**
 * A package that may be missing, from the `node_modules` beside us and above and from nowhere else: `require` would go
 * on to `$NODE_PATH`, `~/.node_modules` and `~/.node_libraries`, where another user's files may lie when root runs us.
 * Where Naru is one file, it is the add-on inside.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isOneFile } from '../base/own-files.ts'
import { addOnInside } from './add-on-inside.ts'

/** @param from URL of the module that asks. @throws Error where there is none */
export function requireOwn(name: string, from: string): unknown {
  if (isOneFile) return addOnInside(name)
  for (let folder = dirname(fileURLToPath(from)); ; folder = dirname(folder)) {
    const place = join(folder, 'node_modules', name)
    if (existsSync(place)) return createRequire(from)(place)
    if (folder === dirname(folder)) throw new Error(`${name} is not installed`)
  }
}
