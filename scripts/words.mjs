// One word, one meaning: refuses two exported types of one name, a file name that stands in more than two rooms, and
// a member asked for by its name outside its own room, a wait that is not `base/clock`’s, a constructor of four
// arguments or more, and a comment that names what is not there. Prints each with its places, exits 1 where there is any.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { place, sources } from './house.mjs'

/** What every member or room has, by agreement. */
const everywhere = new Set(['index', 'contract', 'lease', 'parse', 'read', 'write', 'table', 'words'])
/** A file here is named after the verb, the hop or the thing that it is about. */
const isNamedAfter = /^(cli\/(commands|print)|base\/codes|rules\/hops|web\/src\/pages)\//

/** The typed library gives the plain API's types their exact keys, under the same names. */
const library = 'model/library-api.ts'

const files = [...sources()].map((path) => ({ path: place(path), text: readFileSync(path, 'utf8') }))
const faults = [
  ...typesTwice(),
  ...filesInManyRooms(),
  ...membersByName(),
  ...bareWaits(),
  ...wideConstructors(),
  ...staleNames(),
]
for (const fault of faults) console.error(fault)
console.log(
  faults.length === 0
    ? `words: ${files.length} files, one word, one meaning`
    : `words: ${faults.length} faults`,
)
process.exitCode = faults.length === 0 ? 0 : 1

function typesTwice() {
  const exported = /^export (?:default )?(?:abstract )?(?:class|interface|type|enum) ([A-Z]\w*)/gm
  const homes = new Map()
  for (const { path, text } of files) {
    if (path === library) continue
    for (const [, name] of text.matchAll(exported)) homes.set(name, [...(homes.get(name) ?? []), path])
  }
  return told(homes, 1, (name, places) => `two exported types are named ${name}: ${places}`)
}

function filesInManyRooms() {
  const rooms = new Map()
  for (const { path } of files) {
    const name = basename(path).replace(/\.tsx?$/, '')
    if (everywhere.has(name) || isNamedAfter.test(path)) continue
    const room = path.split('/')[0]
    rooms.set(name, [...new Set([...(rooms.get(name) ?? []), room])])
  }
  return told(rooms, 2, (name, places) => `a file ${name} stands in more than two rooms: ${places}`)
}

function* told(map, most, text) {
  for (const [name, places] of map) if (places.length > most) yield text(name, places.join(', '))
}

function* membersByName() {
  const asked = /\b(?:member|memberId)\)? ?[!=]== '([a-z-]+)'/g
  const rooms = /^(?:engines|routers|firewalls|guests|formats|stores)\//
  for (const { path, text } of files) {
    if (rooms.test(path)) continue
    for (const match of text.matchAll(asked)) {
      const line = text.slice(0, match.index).split('\n').length
      yield `${path}:${line} asks for the member ${match[1]} by its name: let the member tell what it can do`
    }
  }
}

/**
 * One way to wait: `AbortSignal.any` holds a bare `AbortSignal.timeout` so weakly in Node 20 that a collection can take
 * the limit away, and a raw timer keeps a process alive without anybody saying so.
 */
function* bareWaits() {
  const bare = /\b(?:(?<!\.)(?:setTimeout|setInterval)\(|AbortSignal\.timeout\b)/g
  for (const { path, text } of files) {
    if (/^(?:base|web)\//.test(path)) continue
    for (const match of text.matchAll(bare)) {
      const line = text.slice(0, match.index).split('\n').length
      yield `${path}:${line} waits by itself: withLimit, within, pause or a Clock of base/clock.ts`
    }
  }
}

/** From four on they come by name in one object, or nobody who reads a call knows which is which. */
function* wideConstructors() {
  // Made for each connection or session: an object more would be garbage more. And the kernel engine's, not yet.
  const exceptions =
    /^(?:engines\/splice\/worker\/(?:flow|tcp|tcp-side|udp-session)|engines\/kernel\/(?:guard|lease|nft-table)|host\/simulate\/walk)\.ts$/
  for (const { path, text } of files) {
    if (exceptions.test(path)) continue
    for (const match of text.matchAll(/\bconstructor\(/g)) {
      const count = countArguments(text.slice(match.index + match[0].length))
      const line = text.slice(0, match.index).split('\n').length
      if (count > 3)
        yield `${path}:${line} a constructor of ${count} arguments: let them come by name in one object`
    }
  }
}

/** @param text begins behind the opening bracket */
function countArguments(text) {
  let [depth, count, empty] = [0, 0, true]
  for (const [sign] of text.replaceAll('=>', '  ').matchAll(/[^\s]/g)) {
    if (sign === ')' && depth === 0) break
    if ('([{<'.includes(sign)) depth++
    else if (')]}>'.includes(sign)) depth--
    if (sign === ',' && depth === 0) empty = true
    else if (empty) {
      count++
      empty = false
    }
  }
  return count
}

/** A comment outlives what it names: each name in backticks that looks like code must still stand in the code. */
function* staleNames() {
  const outside = new Set(['BlockList', 'ContainerList', 'ContainerInspect', 'SystemInfo', 'Web'])
  const comments = /\/\*[\s\S]*?\*\/|\/\/[^\n]*/g
  const known = new Set(
    files.flatMap(({ text }) => text.replaceAll(comments, ' ').match(/[A-Za-z_$][\w$]*/g) ?? []),
  )
  for (const { path, text } of files) {
    for (const comment of text.matchAll(comments)) {
      for (const quoted of comment[0].matchAll(/`([A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)?)(?:\(\))?`/g)) {
        const lost = quoted[1]
          .split('.')
          .find((name) => /[a-z]/.test(name) && /[A-Z]/.test(name) && !known.has(name) && !outside.has(name))
        if (lost === undefined) continue
        const line = text.slice(0, comment.index + quoted.index).split('\n').length
        yield `${path}:${line} names ${lost}, which is not there`
      }
    }
  }
}
