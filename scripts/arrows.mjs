// Who may import whom, each arrow with its reason. Reads `src` and `web/src`, prints every import that breaks one,
// exits 1 where there is any. Circles are found by oxlint (import/no-cycle).
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, sep } from 'node:path'

const members = ['engines', 'routers', 'firewalls', 'guests', 'checks', 'stores', 'formats']

/** Where a file lives: `base`, `engines/contract`, `engines/index`, `engines:splice`, `api/protocol` … */
function roomOf(file) {
  const [top, second = '', ...rest] = file.split('/')
  if (top === 'web') return 'web'
  const name = second.replace(/\.tsx?$/, '')
  if (rest.length === 0 && second === '') return top.replace(/\.ts$/, '')
  // A room's lease is part of its contract: every member makes one.
  if (members.includes(top) && name === 'lease') return `${top}/contract`
  // The table of what each format carries is the registry's own page.
  if (top === 'formats' && name === 'reference') return 'formats/index'
  if (members.includes(top))
    return name === 'contract' || name === 'index' ? `${top}/${name}` : `${top}:${name}`
  if (top === 'host') return name === 'contract' ? 'host/contract' : 'host'
  if (top === 'api') return `api/${name}`
  return top
}

const isContract = (room) => room.endsWith('/contract')
const memberRoom = (room) => room.split(/[:/]/)[0]

/** @returns the reason why `from` may not import `to`, or null where it may. */
function why(from, to) {
  if (from === to || to === 'base') return null
  if (from === 'base') return 'base imports nothing of ours'
  if (to === 'model') return null
  if (from === 'model') return 'model is plain data: it imports base only'
  if (isContract(from)) return isContract(to) ? null : 'a contract names only contracts, model and base'
  if (from === 'host' || from === 'relay')
    return to === 'host/contract' && from === 'host' ? null : `${from} imports model and base only`
  if (from.includes(':')) {
    const room = memberRoom(from)
    if (room === 'formats' && !to.startsWith('formats'))
      return 'a format is text in, text out: it reads no machine and knows no rule’s life'
    if (to === `${room}/contract` || to === 'host' || to === 'host/contract') return null
    if (room === 'engines' && to === 'relay') return null
    if (room === 'checks' && isContract(to)) return null
    if (memberRoom(to) === room) return 'a member never knows another'
    return 'a member imports its contract, host, model and base'
  }
  if (from.endsWith('/index') && members.includes(memberRoom(from)))
    return memberRoom(to) === memberRoom(from) ? null : 'a registry lists its own room'
  if (from === 'control')
    return isContract(to) ? null : 'control is handed members and host, it never imports them'
  if (from === 'api/protocol') return 'api/protocol imports model only'
  if (from === 'api/client') return to === 'api/protocol' ? null : 'api/client imports api/protocol only'
  if (from === 'api/server')
    return to === 'control' || to === 'api/protocol'
      ? null
      : 'api/server imports control and api/protocol only'
  if (from === 'cli') return to === 'api/client' || to === 'api/protocol' ? null : 'cli speaks api only'
  if (from === 'web') return to === 'api/client' || to === 'api/protocol' ? null : 'web speaks api only'
  return null // daemon, main and index are the composition roots: they see all
}

function* sources(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* sources(path)
    else if (/\.tsx?$/.test(entry.name) && !/\.test\.tsx?$/.test(entry.name)) yield path
  }
}

const importing =
  /(?:^|\n)\s*(?:import|export)\s[^'"`;]*?from\s*['"](\.[^'"]+)['"]|import\(\s*['"](\.[^'"]+)['"]|new URL\(\s*['"](\.[^'"]+\.[jt]s)['"]/g
const unslashed = (path) => path.split(sep).join('/')
const place = (path) => unslashed(path).replace(/^src\//, '')

let broken = 0
let read = 0
for (const root of ['src', 'web/src']) {
  let files = []
  try {
    files = [...sources(root)]
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
  for (const file of files) {
    read++
    for (const match of readFileSync(file, 'utf8').matchAll(importing)) {
      const target = normalize(join(dirname(file), match[1] ?? match[2] ?? match[3]))
      const reason = why(roomOf(place(file)), roomOf(place(target)))
      if (!reason) continue
      broken++
      console.error(`${unslashed(file)} → ${unslashed(target)}: ${reason}`)
    }
  }
}
console.log(broken === 0 ? `arrows: ${read} files, all as the house says` : `arrows: ${broken} broken`)
process.exitCode = broken === 0 ? 0 : 1
