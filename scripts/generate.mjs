// Writes what is made from the source: docs/cli.md, docs/cli.ko.md, docs/errors.md, docs/rules.md, docs/api.md,
// docs/import-export.md and dist/naru.schema.json. Reads the built dist/. `--check` writes nothing and exits 1 where a page is stale;
// `schema` writes the schema alone.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const { apiReference, commandReference, errorReference, fileSchema, ruleReference } =
  await import('../dist/cli/reference.js')
const { formatReference } = await import('../dist/formats/reference.js')
const { loadAll } = await import('../dist/cli/commands/index.js')

const verbs = await loadAll()
const schema = { 'dist/naru.schema.json': `${JSON.stringify(fileSchema(), null, 2)}\n` }
const pages = {
  'docs/cli.md': commandReference(verbs, 'en'),
  'docs/cli.ko.md': commandReference(verbs, 'ko'),
  'docs/errors.md': errorReference(),
  'docs/rules.md': ruleReference(),
  'docs/api.md': apiReference(),
  'docs/import-export.md': formatReference(),
}

if (process.argv.includes('--check')) {
  const stale = Object.entries(pages).filter(([path, text]) => read(path) !== text)
  for (const [path] of stale) console.error(`${path} is stale: node scripts/generate.mjs`)
  process.exitCode = stale.length === 0 ? 0 : 1
} else {
  const wanted = process.argv.includes('schema') ? schema : { ...schema, ...pages }
  for (const [path, text] of Object.entries(wanted)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
}

function read(path) {
  try {
    return readFileSync(join(root, path), 'utf8')
  } catch {
    return null
  }
}
