// Naru as one file: Node with the program, its threads, the web page and koffi's library inside (a Node.js single
// executable application). Any machine builds it for each.
//   node packaging/one-file.mjs TARGET FILE
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { arch, argv, execPath, platform } from 'node:process'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { licencesOf } from './licences.mjs'
import { koffiOf, nodeOf, root, targets } from './packages.mjs'

/** The target that this machine itself is. */
const here = `${platform === 'win32' ? 'win' : platform}-${arch}`

/** What runs in threads of its own (src/base/own-thread.ts). */
const threads = ['engines/splice/worker/worker.js', 'daemon/exchange-worker.js']

/** What a release says of itself (scripts/release.mjs). */
const release = join(root, 'dist/release.json')

/**
 * @param target a name of `targets`
 * @param file where it goes
 * @param options.small without Node's symbols, 18 MB less, by this machine's strip(1): of its own kind of machine only
 * @returns the licences of what is inside. Needs a build.
 */
export async function oneFile(target, file, { small = false } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'naru-one-file-'))
  try {
    const prepared = join(folder, 'naru.blob')
    const licences = join(folder, 'LICENSES.txt')
    const modules = []
    for (const code of ['main.js', ...threads])
      modules.push(...(await bundle(code, join(folder, basename(code)))))
    const koffi = koffiOf(target)
    writeFileSync(licences, licencesOf(modules, koffi ? ['koffi'] : []))
    const settings = join(folder, 'sea.json')
    writeFileSync(
      settings,
      JSON.stringify({
        // Its path goes in, and is the same each time.
        main: 'main.js',
        output: prepared,
        disableExperimentalSEAWarning: true,
        // Compiled ahead, which only the same kind of machine can do.
        useCodeCache: target === here,
        assets: {
          'package.json': join(root, 'package.json'),
          ...Object.fromEntries(threads.map((code) => [basename(code), join(folder, basename(code))])),
          'LICENSES.txt': licences,
          ...(existsSync(release) && { 'dist/release.json': release }),
          ...(koffi && { 'koffi.node': koffi }),
          ...inside('web/dist'),
          ...inside('locales'),
        },
      }),
    )
    // V8 compiles by chance where no seed is given; it is not part of what V8 compares at the start.
    execFileSync(nodeOf(here), ['--random-seed=1', '--experimental-sea-config', settings], {
      cwd: folder,
      stdio: 'ignore',
      timeout: 60_000,
    })
    copyFileSync(nodeOf(target), file)
    chmodSync(file, 0o755)
    // What was put in would not outlive it.
    if (small) execFileSync('strip', ['--strip-all', file])
    putIn(prepared, file, target)
    return readFileSync(licences, 'utf8')
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

/** One text of CommonJS: what Node reads of a single executable and of a thread's text. @returns paths of its modules */
async function bundle(input, file) {
  const made = await rolldown({
    input: join(root, 'dist', input),
    platform: 'node',
    logLevel: 'warn',
    // Nothing lies beside one file: whoever asks where the code is gets no place.
    transform: { define: { 'import.meta.url': '"file:///naru"' } },
  })
  // Comments are read at each start; names and lines stay, so that a stack can be read.
  const { output } = await made.write({
    file,
    format: 'cjs',
    sourcemap: false,
    codeSplitting: false,
    comments: false,
  })
  await made.close()
  return output.flatMap((part) => part.moduleIds ?? [])
}

/** The files of a folder of the package (the web page, the Korean) by their names inside. */
function inside(path) {
  const folder = join(root, path)
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
