// Draws the pictures of docs/screenshots anew, in English and Korean: needs root on Linux, the packages of the tests,
// and a Korean font (Debian: fonts-noto-cjk).
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

const fonts = spawnSync('fc-list', [':lang=ko'], { encoding: 'utf8' }).stdout ?? ''
if (fonts.trim() === '') {
  console.error('no Korean font is installed: the Korean pictures would show boxes (Debian: fonts-noto-cjk)')
  process.exit(1)
}
const { status } = spawnSync(
  process.execPath,
  [at('node_modules/vitest/vitest.mjs'), 'run', '--config', 'test/web/screenshots.config.ts'],
  { cwd: at('.'), stdio: 'inherit' },
)
process.exitCode = status ?? 1
