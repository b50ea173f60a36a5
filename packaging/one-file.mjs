// Naru as one file: Node with the program, its threads, the web page and koffi's library inside (a Node.js single
// executable application). Any machine builds it for each.
//   node packaging/one-file.mjs TARGET FILE
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { arch, argv, execPath, platform } from 'node:process'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { koffiOf, nodeOf, root, targets } from './packages.mjs'

/** The target that this machine itself is. */
const here = `${platform === 'win32' ? 'win' : platform}-${arch}`

/** What runs in threads of its own (src/base/own-thread.ts). */
const threads = ['engines/splice/worker/worker.js', 'daemon/exchange-worker.js']

/** @param target a name of `targets`. @param file where it goes. Needs a build. */
export async function oneFile(target, file) {
  const folder = mkdtempSync(join(tmpdir(), 'naru-one-file-'))
  try {
    const main = join(folder, 'main.js')
    const prepared = join(folder, 'naru.blob')
    await bundle('main.js', main)
    for (const thread of threads) await bundle(thread, join(folder, basename(thread)))
    const koffi = koffiOf(target)
    const settings = join(folder, 'sea.json')
    writeFileSync(
      settings,
      JSON.stringify({
        main,
        output: prepared,
        disableExperimentalSEAWarning: true,
        // Compiled ahead, which only the same kind of machine can do.
        useCodeCache: target === here,
        assets: {
          'package.json': join(root, 'package.json'),
          ...Object.fromEntries(threads.map((thread) => [basename(thread), join(folder, basename(thread))])),
          ...(koffi && { 'koffi.node': koffi }),
          ...page(),
        },
      }),
    )
    execFileSync(nodeOf(here), ['--experimental-sea-config', settings], {
      stdio: 'ignore',
      timeout: 60_000,
    })
    copyFileSync(nodeOf(target), file)
    chmodSync(file, 0o755)
    putIn(prepared, file, target)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Node finds what was put in by these names (nodejs.org, "Single executable applications"). */
function putIn(prepared, file, target) {
  const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'
  const segment = target.startsWith('darwin') ? ['--macho-segment-name', 'NODE_SEA'] : []
  const how = [file, 'NODE_SEA_BLOB', prepared, '--sentinel-fuse', fuse, ...segment]
  // It warns of the signature that Node's program had, and says nothing else.
  execFileSync(execPath, [join(root, 'node_modules/postject/dist/cli.js'), ...how], {
    stdio: 'ignore',
    timeout: 120_000,
  })
}

/** One text of CommonJS: what Node reads of a single executable and of a thread's text. */
async function bundle(input, file) {
  const made = await rolldown({
    input: join(root, 'dist', input),
    platform: 'node',
    logLevel: 'warn',
    // Nothing lies beside one file: whoever asks where the code is gets no place.
    transform: { define: { 'import.meta.url': '"file:///naru"' } },
  })
  // Comments are read at each start; names and lines stay, so that a stack can be read.
  await made.write({ file, format: 'cjs', sourcemap: false, codeSplitting: false, comments: false })
  await made.close()
}

/** The web page's files by their names inside. */
function page() {
  const folder = join(root, 'web/dist')
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== '.built')
    .map(({ parentPath, name }) => join(parentPath, name).slice(root.length).replaceAll('\\', '/'))
  return Object.fromEntries(names.toSorted().map((name) => [name, join(root, name)]))
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const [target, file] = argv.slice(2)
  if (!(target in targets) || file === undefined) {
    console.error(`node packaging/one-file.mjs ${Object.keys(targets).join('|')} FILE`)
    process.exit(2)
  }
  await oneFile(target, file)
}
