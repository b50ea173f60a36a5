// Holds the Korean of every sentence beside its English: `say` in the sources, and the rows of `locales/ko`.
//   node scripts/sentences.mjs           puts each row where it belongs, in order; a sentence without one gets an empty
//                                        row, and a row without a sentence goes and is printed
//   node scripts/sentences.mjs --check   writes nothing. Lists what has no Korean, which is allowed, and exits 1 where a
//                                        row has no sentence, has another place than its English, or is in a wrong file
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseAst } from 'rolldown/parseAst'
import { rooms } from '../dist/base/korean.js'
import { isParticle } from '../dist/base/particle.js'
import { place, sources } from './house.mjs'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const folder = 'locales/ko'
const faults = []

/** The page has another `say`, for a sentence that it was sent. */
const isSaid = /^import \{[^}]*\bsay(?:Of)?\b[^}]*\} from '[^']*\/text\.ts'/m

/** key → the room that it belongs to, and where it is first said. */
const sentences = new Map()
for (const path of sources()) {
  const code = readFileSync(path, 'utf8')
  if (!isSaid.test(code)) continue
  const room = roomOf(place(path))
  if (!rooms.includes(room)) faults.push(`${path} speaks, and ${room} is no room of src/base/korean.ts`)
  walk(parseAst(code, { lang: path.endsWith('x') ? 'tsx' : 'ts' }), (node) => {
    const key = keyOf(node, () => `${path}:${code.slice(0, node.start).split('\n').length}`)
    if (key === null || !rooms.includes(room)) return
    const known = sentences.get(key)
    if (known === undefined || rooms.indexOf(room) < rooms.indexOf(known.room))
      sentences.set(key, { room, path })
  })
}

const { codes } = await import('../dist/base/codes/index.js')
for (const { text, fix } of Object.values(codes))
  for (const sentence of [text, fix])
    if (sentence && /\p{L}/u.test(sentence.replace(/\{\w+\}/g, '')))
      sentences.set(sentence, { room: 'base', path: 'src/base/codes' })

/** room → its rows as they are written. */
const written = new Map(rooms.map((room) => [room, read(join(folder, `${room}.json`))]))
const korean = new Map([...written.values()].flatMap((text) => Object.entries(JSON.parse(text || '{}'))))
const wanted = new Map(rooms.map((room) => [room, []]))
for (const [key, { room }] of sentences) wanted.get(room).push([key, korean.get(key) ?? ''])

const missing = [...sentences].filter(([key]) => !korean.get(key))
const stale = [...korean].filter(([key]) => !sentences.has(key))
for (const [key, row] of korean) faults.push(...faultsOf(key, row))
for (const name of existsSync(folder) ? readdirSync(folder) : [])
  if (!rooms.includes(name.replace(/\.json$/, '')))
    faults.push(`${folder}/${name} is no room of src/base/korean.ts`)

if (process.argv.includes('--check')) {
  for (const [key, { path }] of missing) console.log(`no Korean yet: ${JSON.stringify(key)} (${path})`)
  for (const path of missingWords()) console.log(`no Korean yet: ${path} (web/src/words/ko.ts)`)
  for (const [key] of stale)
    faults.push(`nobody says ${JSON.stringify(key)}: node scripts/sentences.mjs takes it away`)
  if (faults.length === 0)
    for (const room of rooms) {
      // An empty row may be there and may be lacking: who has no Korean needs to run nothing.
      if (withoutEmpty(written.get(room)) !== withoutEmpty(textOf(wanted.get(room))))
        faults.push(`${folder}/${room}.json is out of order: node scripts/sentences.mjs`)
    }
} else {
  mkdirSync(folder, { recursive: true })
  for (const [key, row] of stale) console.log(`taken away: ${JSON.stringify({ [key]: row })}`)
  for (const room of rooms) {
    const text = textOf(wanted.get(room))
    if (text !== written.get(room)) writeFileSync(join(folder, `${room}.json`), text)
  }
}
for (const fault of faults) console.error(fault)
console.log(`sentences: ${sentences.size}, ${missing.length} without Korean, ${faults.length} faults`)
process.exitCode = faults.length === 0 ? 0 : 1

/** @returns the key of what is said there, null where nothing is */
function keyOf(node, where) {
  const said =
    node.type === 'TaggedTemplateExpression' ? node.tag : node.type === 'CallExpression' ? node.callee : null
  const context = said && contextOf(said, where)
  if (context === null) return null
  if (node.type === 'CallExpression' && node.arguments.length !== 1) {
    faults.push(`${where()} says two texts: its Korean is a row of ${folder}`)
    return null
  }
  const parts = node.quasi ? node.quasi.quasis.map(({ value }) => value.cooked) : [literal(node.arguments[0])]
  if (parts.includes(null))
    faults.push(`${where()} says what is no sentence yet: a literal has a row, a variable has none`)
  else if (parts.some((part) => /\{\d+\}/.test(part)))
    faults.push(`${where()} has {0} in its English: that is a place in a row`)
  // What has no letter says the same in every language.
  else if (context !== '' || parts.some((part) => /\p{L}/u.test(part)))
    return context + parts.reduce((text, part, at) => `${text}{${at - 1}}${part}`)
  return null
}

/** `''` of say, `CONTEXT|` of sayOf('CONTEXT'), null of anything else. */
function contextOf(said, where) {
  if (said.type === 'Identifier') return said.name === 'say' ? '' : null
  if (said.type !== 'CallExpression' || said.callee.name !== 'sayOf') return null
  const context = literal(said.arguments[0])
  if (context === null) faults.push(`${where()} has no literal as its context`)
  return context === null ? null : `${context}|`
}

function literal(node) {
  if (node?.type === 'Literal' && typeof node.value === 'string') return node.value
  return node?.type === 'TemplateLiteral' && node.quasis.length === 1 ? node.quasis[0].value.cooked : null
}

function walk(node, visit) {
  if (Array.isArray(node)) for (const each of node) walk(each, visit)
  else if (node && typeof node === 'object') {
    if (typeof node.type === 'string') visit(node)
    for (const each of Object.values(node)) if (each && typeof each === 'object') walk(each, visit)
  }
}

/** The page's own words are a table in each language; the types hold that Korean has none which English has not. */
function missingWords() {
  const [english, korean] = ['en', 'ko'].map((language) => {
    const all = new Set()
    walk(parseAst(readFileSync(`web/src/words/${language}.ts`, 'utf8'), { lang: 'ts' }), (node) => {
      if (node.type === 'VariableDeclarator' && node.id.name === language) namesIn(node.init, '', all)
    })
    return all
  })
  return [...english].filter((name) => !korean.has(name))
}

function namesIn(node, path, all) {
  if (node.type !== 'ObjectExpression') return all.add(path.slice(1))
  for (const { key, value } of node.properties) namesIn(value, `${path}.${key.name ?? key.value}`, all)
}

function* faultsOf(key, row) {
  const places = new Set(key.match(/\{\w+\}/g))
  for (const [mark, name] of row.matchAll(/\{([\w가-힣]+|[^{}\s]*\/[^{}\s]*)\}/g)) {
    if (!places.has(mark) && !isParticle(name))
      yield `${JSON.stringify(row)} has ${mark}, and ${JSON.stringify(key)} has not`
  }
}

/** The doors belong to whom they open. */
function roomOf(path) {
  return path.includes('/') ? path.split('/')[0] : 'cli'
}

function read(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

/** In the order of their letters, whatever is the language of who sorts. */
function textOf(pairs) {
  const sorted = pairs.toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `${JSON.stringify(Object.fromEntries(sorted), null, 2)}\n`
}

function withoutEmpty(text) {
  return textOf(Object.entries(JSON.parse(text || '{}')).filter(([, row]) => row !== ''))
}
