// The files of the house, for the checks that read them all.
import { existsSync, readdirSync } from 'node:fs'
import { join, sep } from 'node:path'

/** Every source file of the program and of the web page, without tests, by its path from here, with slashes. */
export function* sources() {
  for (const root of ['src', 'web/src']) if (existsSync(root)) yield* below(root)
}

function* below(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* below(path)
    else if (/\.tsx?$/.test(entry.name) && !/\.test\.tsx?$/.test(entry.name)) yield path.split(sep).join('/')
  }
}

/** A path as the house tells it: below `src`, or with `web`. */
export const place = (path) =>
  path
    .split(sep)
    .join('/')
    .replace(/^src\//, '')
