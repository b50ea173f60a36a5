/** A rule as lines of YAML. Where there were some, its owner's comments and key order are kept. */
import {
  Document,
  isMap,
  isScalar,
  isSeq,
  parseDocument,
  visit,
  type Node,
  type Pair,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import type { Json } from '../../model/hop.ts'
import type { RuleInput } from '../../model/naru-api.ts'
import { isMap as isPlainMap } from '../../model/schema.ts'

/** By name, what a rule is to be; null takes it out. */
export type Edits = ReadonlyMap<string, RuleInput | null>

export function pairOf(map: YAMLMap, key: string): Pair | undefined {
  return map.items.find((item) => keyText(item.key) === key)
}

export const keyText = (key: unknown): string => String(isScalar(key) ? key.value : key)

/** One rule as lines. Where there was one, its own comments and key order are kept. */
export function ruleText(name: string, rule: RuleInput, indent: string, was: string | null): string {
  const document = was === null ? new Document({}) : parseDocument(dedented(was, indent))
  const before = was === null ? {} : ((document.toJS() as Record<string, RuleInput>)[name] ?? {})
  const map = document.contents as YAMLMap
  if (was === null || !isMap(map.get(name, true))) document.setIn([name], document.createNode(rule))
  else applyDifferences(document, [name], before, rule)
  const key = pairOf(map, name)?.key
  if (isScalar(key)) key.commentBefore = was === null ? undefined : key.commentBefore
  return indented(
    flowLeaves(document, 3).toString({ lineWidth: 0, flowCollectionPadding: true, indent: 2 }),
    indent,
  )
}

function applyDifferences(
  document: Document,
  path: readonly (string | number)[],
  was: RuleInput,
  rule: RuleInput,
): void {
  for (const key of Object.keys(was)) if (!(key in rule)) document.deleteIn([...path, key])
  for (const [key, value] of Object.entries(rule)) {
    const old = was[key]
    if (JSON.stringify(old) === JSON.stringify(value)) continue
    const node = document.getIn([...path, key], true)
    if (isPlainMap(value) && isPlainMap(old) && isMap(node))
      applyDifferences(document, [...path, key], old, value)
    else if (Array.isArray(value) && Array.isArray(old) && isSeq(node))
      applyToList(document, [...path, key], node, { was: old, is: value })
    else if (isScalar(node) && (typeof value !== 'object' || value === null)) node.value = value
    else document.setIn([...path, key], document.createNode(value))
  }
}

/** Items that stay keep what is written beside and above them; another in the place of one takes it over. */
function applyToList(
  document: Document,
  path: readonly (string | number)[],
  list: YAMLSeq,
  { was, is }: { readonly was: readonly Json[]; readonly is: readonly Json[] },
): void {
  const before = list.items as Node[]
  const left = new Set(was.keys())
  const take = (isIt: (at: number) => boolean): number | undefined => {
    const at = [...left].find(isIt)
    if (at !== undefined) left.delete(at)
    return at
  }
  const equal = is.map((item) => take((at) => JSON.stringify(was[at]) === JSON.stringify(item)))
  const same = is.map((item, at) => equal[at] ?? take((old) => isSameItem(was[old], item)))
  list.items = is.map((item, at) => {
    const from = same[at] ?? take((old) => old === at)
    const node = before[from ?? -1]
    if (from === undefined || !node) return document.createNode(item)
    if (equal[at] !== undefined) return node
    const old = was[from]
    if (isPlainMap(item) && isPlainMap(old) && isMap(node)) {
      applyDifferences(document, [...path, from], old, item)
      return node
    }
    const { comment, commentBefore } = node
    return Object.assign(document.createNode(item) as Node, { comment, commentBefore })
  })
}

/** A target is told by where it goes, whether that is all that is written or not. */
function isSameItem(was: Json | undefined, is: Json): boolean {
  const told = (item: Json | undefined): Json | undefined => (isPlainMap(item) ? item.to : item)
  return told(was) !== undefined && told(was) === told(is)
}

/** Small maps and lists that we make, deeper than the rule itself, stand on one line, as in `publish: { firewall: auto }`. */
function flowLeaves(document: Document, ruleDepth: number): Document {
  visit(document, {
    Collection(_, node, path) {
      const made = node.range === undefined || node.range === null
      const leaf = node.items.every((item) => !isCollection((item as Pair).value ?? item))
      if (made && leaf && path.length > ruleDepth) node.flow = true
    },
  })
  return document
}

function isCollection(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'items' in value
}

function dedented(text: string, indent: string): string {
  return text.replaceAll(new RegExp(`^${indent}`, 'gm'), '')
}

function indented(text: string, indent: string): string {
  return text.replaceAll(/^(?=.)/gm, indent)
}

/** The whole file through the library: comments and order are kept, spacing may not be. */
export function rewritten(text: string, edits: Edits): string {
  const yaml = parseDocument(text, { uniqueKeys: false })
  if (!isMap(yaml.contents)) yaml.contents = yaml.createNode({ rules: {} }) as never
  if (!isMap(yaml.get('rules', true))) yaml.set('rules', yaml.createNode({}))
  const rules = yaml.get('rules', true) as YAMLMap
  const there = new Set(rules.items.map(({ key }) => keyText(key)))
  for (const [name, rule] of edits) {
    if (rule === null) rules.delete(name)
    else {
      rules.flow = false
      const node = yaml.createNode(rule)
      // Looking a key up takes the library as long as there are keys.
      if (there.has(name)) rules.set(name, node)
      else rules.items.push(yaml.createPair(name, node) as never)
    }
  }
  return flowLeaves(yaml, 5).toString({ lineWidth: 0, flowCollectionPadding: true })
}
