#!/usr/bin/env node
// `naru`. A published package comes built; a fresh clone that was linked (`npm link`, `npm i -g .`) builds itself once.
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const built = new URL('../dist/main.js', import.meta.url)
if (!existsSync(built)) {
  const { installDependencies } = await import('../scripts/install.mjs')
  installDependencies()
  await import('../scripts/build.mjs')
}
process.argv[1] = fileURLToPath(built)
await import(built.href)
