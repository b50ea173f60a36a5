// The texts of the licences of all that is inside one file: MIT and others ask for them.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { nodeLicence, root } from './packages.mjs'

const line = `\n${'─'.repeat(80)}\n\n`

/** @param modules paths of the modules inside. @param more names of packages of which something else is inside */
export function licencesOf(modules, more) {
  return [
    `Naru\n\n${readFileSync(join(root, 'LICENSE'), 'utf8').trim()}\n`,
    licencesOfPackages(modules, more),
    `Node.js\n\n${nodeLicence().trim()}\n`,
    `The web page\n\n${readFileSync(join(root, 'web/dist/LICENSES.txt'), 'utf8').trim()}\n`,
  ].join(line)
}

/** Of the packages alone, each once. Parameters as `licencesOf`. */
export function licencesOfPackages(modules, more = []) {
  const folders = [
    ...modules.flatMap((id) => /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(id)?.[0] ?? []),
    ...more.map((name) => join(root, 'node_modules', name)),
  ]
  return [...new Set(folders)]
    .toSorted((a, b) => (a < b ? -1 : 1))
    .map(licenceOf)
    .join(line)
}

/** Where a package brings no text it is what its package.json says. @throws Error where that says nothing */
function licenceOf(folder) {
  const { name, version, license, author } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const names = ['LICENSE', 'LICENSE.md', 'LICENSE.txt', 'LICENCE', 'license']
  const file = names.find((each) => existsSync(join(folder, each)))
  if (!file && !license) throw new Error(`${folder}: ${name} has no licence`)
  const text = file ? readFileSync(join(folder, file), 'utf8').trim() : `${license}${by(author)}`
  return `${name} ${version}\n\n${text}\n`
}

const by = (author) => (author ? `, ${author.name ?? author}` : '')
