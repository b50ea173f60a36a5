import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { defineConfig, type Plugin } from 'vite'

/** The texts of the licences of what is bundled, in a file beside it: MIT asks for that. */
function licences(): Plugin {
  return {
    name: 'licences',
    generateBundle(_, bundle) {
      const modules = Object.values(bundle).flatMap((part) => (part.type === 'chunk' ? part.moduleIds : []))
      const packages = modules.flatMap((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? [])
      const texts = [...new Set(packages)].sort().map(licenceOf)
      this.emitFile({ type: 'asset', fileName: 'LICENSES.txt', source: texts.join('\n\n') })
    },
  }
}

/** @throws Error where a package has no such text, so that none goes out without */
function licenceOf(folder: string): string {
  const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<
    string,
    string
  >
  const file = ['LICENSE', 'LICENSE.md', 'LICENCE', 'license'].find((each) => existsSync(join(folder, each)))
  if (!file) throw new Error(`${dirname(folder)}: ${name} has no text of its licence`)
  return `${name} ${version}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`
}

export default defineConfig({
  base: '/',
  plugins: [licences()],
  // A program reads the Korean from files; the page brings its own.
  resolve: {
    alias: [{ find: /^\.\/korean\.ts$/, replacement: join(import.meta.dirname, 'src/words/korean.ts') }],
  },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    // Of browsers before 2024: what is newer in the style sheet is written in older words.
    cssTarget: ['chrome111', 'firefox114', 'safari16.4'],
    // The policy of the page allows no inline script, and no polyfill is needed.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
})
