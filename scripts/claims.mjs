// SECURITY.md names, beside each claim, the test that holds it: a file, and titles as they stand there.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const page = readFileSync(join(root, 'SECURITY.md'), 'utf8')
const [, guarded = ''] = /^## What is guarded\n([^]*?)^## /m.exec(page) ?? []
const claims = guarded.split(/^- /m).slice(1)
/** `path` “title”, “title”; a title may be broken over lines. */
const holder = /`([\w./-]+\.test\.tsx?)`((?:,?\s“[^”]+”)*)/g

const faults = claims.flatMap((claim) => [...faultsOf(claim)])
for (const fault of faults) console.error(fault)
const count = [...guarded.matchAll(/“[^”]+”/g)].length
console.log(`claims: ${claims.length}, held by ${count} tests, ${faults.length} faults`)
process.exitCode = faults.length === 0 && claims.length > 10 ? 0 : 1

function* faultsOf(claim) {
  const name = claim.slice(0, 60).split('\n')[0]
  const holders = [...claim.matchAll(holder)]
  if (holders.length === 0) yield `${name}: no test is named`
  for (const [, path, said] of holders) {
    if (!existsSync(join(root, path))) {
      yield `${name}: ${path} is not there`
      continue
    }
    const text = readFileSync(join(root, path), 'utf8')
    const titles = [...said.matchAll(/“([^”]+)”/g)].map(([, title]) => title.replace(/\s+/g, ' '))
    if (titles.length === 0) yield `${name}: ${path} is named without the title of a test`
    for (const title of titles) if (!has(text, title)) yield `${name}: ${path} has no test “${title}”`
  }
}

/** As a whole string of the file, in whatever quotes. */
function has(text, title) {
  return [`'${title}'`, `"${title}"`, `\`${title}\``].some((quoted) => text.includes(quoted))
}
