// `npm run check`: everything that holds without running a test: types, arrows, lint, format, unused exports and
// generated docs. Half a minute; `npm test` begins with the same list.
import { spawnSync } from 'node:child_process'
import { argv } from 'node:process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { lockfileIsWhole } from './install.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const code = ['src', 'web/src', 'test', 'scripts', 'packaging', 'bench', 'examples']

if (argv[1] === fileURLToPath(import.meta.url)) {
  process.chdir(root)
  process.exitCode = [...build(), ...house()].every(Boolean) ? 0 : 1
}

/** @returns {boolean[]} whether it passed, one entry for each check; what went wrong is on the terminal. */
export function build() {
  return [check('build', 'scripts/build.mjs')]
}

/** What the house asks of its code; needs a build. @returns {boolean[]} whether each check passed. */
export function house() {
  return [
    told('lockfile is whole', lockfileIsWhole()),
    check('types', 'node_modules/typescript/bin/tsc', ['-p', 'tsconfig.json']),
    check('types of the web page', 'node_modules/typescript/bin/tsc', ['-p', 'web/tsconfig.json']),
    check('arrows between the rooms', 'scripts/arrows.mjs'),
    check('one word, one meaning', 'scripts/words.mjs'),
    check('sentences and their Korean', 'scripts/sentences.mjs', ['--check']),
    check('each claim of SECURITY.md has its test', 'scripts/claims.mjs'),
    check('lint', 'node_modules/oxlint/bin/oxlint', ['--type-aware', '--deny-warnings', ...code]),
    check('format', 'node_modules/oxfmt/bin/oxfmt', ['--check']),
    check('unused exports and dependencies', 'node_modules/knip/bin/knip.js', ['--no-progress']),
    check('generated docs are fresh', 'scripts/generate.mjs', ['--check']),
    check('exports', 'node_modules/publint/src/cli.js', ['--strict', '--level', 'suggestion']),
    check('types of the exports', 'node_modules/@arethetypeswrong/cli/dist/index.js', [
      '--pack',
      '.',
      '--profile',
      'esm-only',
      '--quiet',
    ]),
  ]
}

function check(name, script, args = []) {
  const { status } = spawnSync(process.execPath, [join(root, script), ...args], { stdio: 'inherit' })
  return told(name, status === 0)
}

function told(name, passes) {
  console.log(`${passes ? 'ok    ' : 'FAILED'} ${name}`)
  return passes
}
