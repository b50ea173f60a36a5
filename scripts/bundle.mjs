// Gathers what `naru` runs into few files: of 123 modules of ours and 200 of packages each costs about a millisecond to
// find and to link, more than half of what a start takes (`ls`: 155 ms of CPU time, and 125 with the packages inside;
// a daemon has 6 MB less). Names and line breaks stay: a stack can be read.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import { licencesOfPackages } from '../packaging/licences.mjs'

const root = new URL('..', import.meta.url).pathname.replace(/^\/([A-Z]:)/i, '$1')
/** As deep as the rooms are, so that what is found beside the package's root is found from here too. */
const out = join(root, 'dist/bundle')
/** It finds its library, one for each kind of machine, beside itself. */
const outside = ['koffi']

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
    test: /dist[\\/](base[\\/](?!yaml)|model|cli[\\/](run|io|live|rule-options|print[\\/](words|units|width))|daemon[\\/]index)\b/,
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

/** @returns paths of the modules that are inside */
async function bundle(input, codeSplitting) {
  const made = await rolldown({
    input: join(root, 'dist', input),
    platform: 'node',
    external: outside,
    logLevel: 'warn',
  })
  const { output } = await made.write({
    dir: out,
    format: 'esm',
    sourcemap: false,
    codeSplitting,
    entryFileNames: '[name].js',
  })
  await made.close()
  return output.flatMap((part) => part.moduleIds ?? [])
}

rmSync(out, { recursive: true, force: true })
const modules = await bundle('main.js', { groups })
// A thread loads its own part and nothing else.
modules.push(
  ...(await bundle('engines/splice/worker/worker.js')),
  ...(await bundle('daemon/exchange-worker.js')),
)
writeFileSync(join(out, 'LICENSES.txt'), licencesOfPackages(modules))
writeFileSync(join(root, 'dist/main.js'), "#!/usr/bin/env node\nimport './bundle/main.js'\n")
