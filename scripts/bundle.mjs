// Gathers what `naru` runs into few files: of 123 modules each costs about a millisecond to find and to link, half of
// what a start takes. Packages stay where they are, and so do names and line breaks: a stack can be read.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'

const root = new URL('..', import.meta.url).pathname.replace(/^\/([A-Z]:)/i, '$1')
/** As deep as the rooms are, so that what is found beside the package's root is found from here too. */
const out = join(root, 'dist/bundle')
const packages = /^[^./]/

/**
 * What every command needs, what looking at this machine needs, and what a rule in force needs; the rest comes when it
 * is asked for.
 */
const groups = [
  { name: 'core', test: /dist[\\/](base|model)[\\/]/ },
  { name: 'start', test: /dist[\\/](control[\\/]instance|daemon[\\/](files|version))\.js/ },
  {
    name: 'host',
    test: /dist[\\/](host[\\/](?!windows|darwin|filter)|control[\\/](machine|port-rows)\.js|daemon[\\/]open-rules)/,
  },
  {
    name: 'ferry',
    test: /dist[\\/](control|engines|relay|daemon[\\/](open|rooms|left-over|log))/,
  },
]

async function bundle(input, codeSplitting) {
  const made = await rolldown({
    input: join(root, 'dist', input),
    platform: 'node',
    external: packages,
    logLevel: 'warn',
  })
  await made.write({ dir: out, format: 'esm', sourcemap: false, codeSplitting, entryFileNames: '[name].js' })
  await made.close()
}

rmSync(out, { recursive: true, force: true })
await bundle('main.js', { groups })
// A thread loads its own part and nothing else.
await bundle('engines/splice/worker.js')
writeFileSync(join(root, 'dist/main.js'), "#!/usr/bin/env node\nimport './bundle/main.js'\n")
