/**
 * XML from a router, the bounded way: no document types, no entities but the five of XML itself and characters, no
 * depth, no crowd. What is not like that is undefined; nothing here throws.
 */
import { XMLParser } from 'fast-xml-parser'

/** An element: its text, or its children by local name; repeated children are a list. */
export type Xml = string | { readonly [name: string]: Xml | readonly Xml[] }

export const longestXml = 256 * 1024
const deepest = 24
const mostTags = 8000

const parser = new XMLParser({
  ignoreAttributes: true,
  removeNSPrefix: true,
  parseTagValue: false,
  processEntities: false,
  trimValues: true,
})

/** The document as an object that holds its root element. */
export function parseXml(text: string): Xml | undefined {
  if (text.length > longestXml || /<!(DOCTYPE|ENTITY)/i.test(text) || !isShallow(text)) return undefined
  try {
    return parser.parse(text) as Xml
  } catch {
    return undefined
  }
}

/** The first child of that name. */
export function child(node: Xml | undefined, name: string): Xml | undefined {
  return children(node, name)[0]
}

/** Every child of that name; none where there is none. */
export function children(node: Xml | undefined, name: string): readonly Xml[] {
  if (typeof node !== 'object' || !Object.hasOwn(node, name)) return []
  const found = node[name]
  return found === undefined ? [] : Array.isArray(found) ? (found as readonly Xml[]) : [found as Xml]
}

/**
 * The text of the first child of that name, references resolved, at most 1024 characters; null where it has none.
 * What would steer a terminal or turn the writing around is a space.
 */
export function textOf(node: Xml | undefined, name: string): string | null {
  const found = child(node, name)
  if (typeof found !== 'string') return null
  return unescapeXml(found)
    .slice(0, 1024)
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')
}

/** An element's children by name, for answers whose root has a name of its own. */
export function entries(node: Xml | undefined): readonly (readonly [string, Xml])[] {
  if (typeof node !== 'object') return []
  return Object.keys(node).map((name) => [name, children(node, name)[0] as Xml] as const)
}

const named = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" } as const

export function unescapeXml(text: string): string {
  return text.replace(
    /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(amp|lt|gt|quot|apos));/gi,
    (whole, decimal, hex, name) => {
      if (name) return named[(name as string).toLowerCase() as keyof typeof named] ?? whole
      const point = decimal ? Number(decimal) : Number.parseInt(hex as string, 16)
      return point > 0 && point <= 0x10_ffff ? String.fromCodePoint(point) : ''
    },
  )
}

/** Counts tags without parsing, so that a parser that recurses is never given what would hurt it. */
function isShallow(text: string): boolean {
  let [depth, tags] = [0, 0]
  for (let at = text.indexOf('<'); at >= 0; at = text.indexOf('<', at + 1)) {
    const next = text[at + 1]
    if (++tags > mostTags) return false
    if (next === '/') depth--
    else if (next !== '?' && next !== '!') depth++
    const end = text.indexOf('>', at)
    if (end < 0) break
    if (text[end - 1] === '/' && next !== '/' && next !== '?') depth--
    if (depth > deepest) return false
  }
  return true
}
