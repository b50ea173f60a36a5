// Who may import whom, each arrow with its reason. Reads `src` and `web/src`, prints every import that breaks one,
// exits 1 where there is any. Circles between files are found by oxlint (import/no-cycle).
import { readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { place, sources } from './house.mjs'

/** Rooms whose inhabitants are members: each knows its contract, and no other member. */
const memberRooms = ['engines', 'routers', 'firewalls', 'guests', 'checks', 'stores', 'formats', 'services']

/** Top to bottom. A room sees what stands below it; rooms of one storey do not see each other. */
const storeys = [
  ['main'],
  ['index', 'command-line'],
  ['daemon'],
  ['rules'],
  ['mappings', 'doctor'],
  ['instance', 'machine'],
  ['contracts'],
  ['host'],
  ['relay', 'linux'],
  ['host/contract'],
  ['model'],
  ['base'],
]
const storeyOf = new Map(storeys.flatMap((rooms, at) => rooms.map((room) => [room, at])))

/** Where a file lives: `base`, `engines/contract`, `engines/index`, `engines:splice`, `splice/worker`, `api/client` … */
function roomOf(file) {
  const path = file.replace(/^doctor\/checks\//, 'checks/')
  const [top, second = '', third] = path.replace(/\.tsx?$/, '').split('/')
  if (top === 'web') return 'web'
  if (top === 'api') return `api/${second}`
  if (top === 'host') return second === 'contract' ? 'host/contract' : 'host'
  if (!memberRooms.includes(top)) return top
  // A room's lease and what its members share are part of its contract.
  if (['contract', 'lease', 'shared'].includes(second)) return `${top}/contract`
  // The table of what each format carries is the registry's own page.
  if (second === 'index' || (top === 'formats' && second === 'reference')) return `${top}/index`
  return top === 'engines' && second === 'splice' ? `splice/${third}` : `${top}:${second}`
}

const isContract = (room) => room.endsWith('/contract')
const memberRoom = (room) => (room.startsWith('splice/') ? 'engines' : room.split(/[:/]/)[0])
const isMember = (room) => room.includes(':') || room.startsWith('splice/')
const storey = (room) => storeyOf.get(isContract(room) && room !== 'host/contract' ? 'contracts' : room)

/** @returns the reason why `from` may not import `to`, or null where it may. */
function why(from, to) {
  if (from === to) return null
  // What a program reads from files comes with the page.
  if (from === 'web' && to === 'locales') return null
  return (
    whyNotOfMember(from, to) ??
    whyNotOfSurface(from, to) ??
    (known(from) && known(to) ? whyNotOfStorey(from, to) : null)
  )
}

const known = (room) => storey(room) !== undefined

function whyNotOfMember(from, to) {
  if (from.startsWith('splice/') && to.startsWith('splice/'))
    return to === 'splice/shared'
      ? null
      : 'the threads of splice know of each other only what splice/shared says'
  if (from.endsWith('/index') && memberRooms.includes(memberRoom(from)))
    return memberRoom(to) === memberRoom(from) || to === 'model' || to === 'base'
      ? null
      : 'a registry lists its own room'
  if (!isMember(from)) return null
  const room = memberRoom(from)
  if (memberRoom(to) === room && !isContract(to)) return 'a member never knows another'
  if (room === 'formats' && !['formats/contract', 'model', 'base'].includes(to))
    return 'a format is text in, text out: it reads no machine and knows no rule’s life'
  if (room === 'checks')
    return isContract(to) || to === 'model' || to === 'base' ? null : 'a check reads what it is handed'
  if (room === 'engines' && (to === 'relay' || to === 'linux')) return null
  return to === `${room}/contract` || ['host', 'host/contract', 'model', 'base'].includes(to)
    ? null
    : 'a member imports its contract, host, model and base'
}

function whyNotOfSurface(from, to) {
  if (to === 'model' || to === 'base') return null
  if (from === 'api/protocol') return 'api/protocol imports model only'
  if (from === 'api/client' || from === 'api/server')
    return to === 'api/protocol' ? null : `${from} imports api/protocol only: what it serves is handed in`
  if (from === 'cli' || from === 'web')
    return to === 'api/client' || to === 'api/protocol' ? null : `${from} speaks api only`
  return null
}

function whyNotOfStorey(from, to) {
  if (isContract(from) && isContract(to)) return null
  if (isContract(from) && to !== 'model' && to !== 'base')
    return 'a contract names only contracts, model and base'
  if (storey(from) < storey(to)) {
    const isPassedBy = ['rules', 'mappings', 'doctor', 'instance', 'machine'].includes(from)
    return isPassedBy && ['host', 'linux', 'relay'].includes(to)
      ? `${from} is handed members and host, it never imports them`
      : null
  }
  return `${to} stands above ${from}, or beside it`
}

const importing =
  /(?:^|\n)\s*(?:import|export)\s[^'"`;]*?from\s*['"](\.[^'"]+)['"]|import\(\s*['"](\.[^'"]+)['"]|new URL\(\s*['"](\.[^'"]+\.[jt]s)['"]/g

let broken = 0
let read = 0
for (const file of sources()) {
  read++
  for (const match of readFileSync(file, 'utf8').matchAll(importing)) {
    const target = normalize(join(dirname(file), match[1] ?? match[2] ?? match[3]))
    const reason = why(roomOf(place(file)), roomOf(place(target)))
    if (!reason) continue
    broken++
    console.error(`${file} → ${target}: ${reason}`)
  }
}
console.log(broken === 0 ? `arrows: ${read} files, all as the house says` : `arrows: ${broken} broken`)
process.exitCode = broken === 0 ? 0 : 1
