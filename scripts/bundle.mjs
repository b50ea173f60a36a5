// Gathers what `naru` runs into few files: of 123 modules each costs about a millisecond to find and to link, half of
// what a start takes. Packages stay where they are but for one, and so do names and line breaks: a stack can be read.
import { copyFileSync, rmSync, writeFileSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { rolldown } from 'rolldown'

const root = new URL('..', import.meta.url).pathname.replace(/^\/([A-Z]:)/i, '$1')
/** As deep as the rooms are, so that what is found beside the package's root is found from here too. */
const out = join(root, 'dist/bundle')
/** CommonJS costs 20 ms to read beside our own, in the process and in each of its threads: it comes along. */
const withinBundle = ['ipaddr.js']
const packages = (id) => /^[^./]/.test(id) && !isAbsolute(id) && !withinBundle.includes(id)

/**
 * What every command needs, what looking at this machine needs, and what a rule in force needs on top, each with all
 * that it imports; what is imported only when it is asked for is a file of its own. A file costs a start 1 ms, and
 * 100 KB of text 4 ms.
 */
const groups = [
  {
    name: 'early',
    test: /dist[\\/](engines[\\/]splice[\\/](main[\\/]prestart|shared[\\/]messages)|base[\\/]own-(files|thread)|linux[\\/]add-on-inside)\.js/,
    priority: 3,
  },
  {
    name: 'core',
    test: /dist[\\/](base|model|cli[\\/](run|io|live|rule-options|print[\\/](words|units|width))|daemon[\\/]index)\b/,
    priority: 2,
  },
  {
    name: 'machine',
    test: /dist[\\/](host[\\/](index|facts|runner)|machine[\\/](machine|port-rows))\.js/,
    priority: 1,
  },
  {
    name: 'host',
    test: /dist[\\/](daemon[\\/](compose-ports|open-rules)|host[\\/]linux[\\/](network|sockets))\.js/,
  },
  {
    name: 'ferry',
    test: /dist[\\/](daemon[\\/](open|recover|compose)|engines[\\/]index|stores[\\/]memory|cli[\\/]commands[\\/]open)\.js/,
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
await bundle('engines/splice/worker/worker.js')
await bundle('daemon/exchange-worker.js')
for (const name of withinBundle)
  copyFileSync(join(root, 'node_modules', name, 'LICENSE'), join(out, `${name}.LICENSE`))
writeFileSync(join(root, 'dist/main.js'), "#!/usr/bin/env node\nimport './bundle/main.js'\n")
