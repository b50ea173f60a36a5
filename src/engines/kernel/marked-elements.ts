/**
 * What is in the table of Narus that are gone, or that cannot be seen from here: a saved ruleset brings back the forwards
 * that it held. One line an owner; what it is told by goes into the journal too, so that what a journal knows is not lost.
 */
import { createHash } from 'node:crypto'
import { isNaruError } from '../../base/errors.ts'
import { pidNamespace } from '../../linux/process-identity.ts'
import type { MarkedEntry } from '../../model/marked-entry.ts'
import { isGone, type ElementTag } from './element-tag.ts'
import { tableName } from './base-table.ts'
import type { KernelTable } from './nft-table.ts'

/** Named one by one. */
const mostRules = 5

/** In the form of model/tag.ts: whose it is, and the mark of the state folder that it was opened from. */
export function formatCarried(owner: string, mark = ''): string {
  return `naru:table:${createHash('sha256').update(owner).digest('hex').slice(0, 8)}${mark}`
}

/** Empty where there is no nft, and so no table, and where the table is of another version. @param own this process */
export async function carriedIn(table: KernelTable, own: string): Promise<MarkedEntry[]> {
  const there = await table.read().catch((error: unknown) => {
    if (isNaruError(error, 'COMMAND_MISSING') || isNaruError(error, 'COMMAND_FAILED'))
      return new Map<never, never>()
    throw error
  })
  const byOwner = new Map<string, ElementTag[]>()
  for (const { tag } of there.values()) {
    if (tag === null || tag.owner === own || isSeen(tag, table)) continue
    const key = `${tag.owner} ${tag.origin?.namespace} ${tag.origin?.mark}`
    const tags = byOwner.get(key)
    if (tags) tags.push(tag)
    else byOwner.set(key, [tag])
  }
  return [...byOwner.values()].map((tags) => carriedBy(tags, table))
}

/** One that lives here knows what it has. */
const isSeen = (tag: ElementTag, table: KernelTable): boolean =>
  !table.isOld && tag.origin?.namespace === pidNamespace() && !isGone(tag)

function carriedBy(tags: readonly ElementTag[], table: KernelTable): MarkedEntry {
  const { owner, origin } = tags[0] as ElementTag
  const rules = [...new Set(tags.map(({ rule }) => rule))]
  const more = rules.length > mostRules ? ` and ${rules.length - mostRules} more` : ''
  // Nobody's where the machine was started since; another container's may live where its process cannot be seen.
  const known = table.isOld || isGone(tags[0] as ElementTag)
  const mark = known ? (origin?.mark ?? null) : ''
  return {
    tag: mark === null ? null : formatCarried(owner, mark),
    text: `table inet ${tableName}: ${rules.slice(0, mostRules).join(', ')}${more} (process ${owner.split('-')[0]})`,
    effect: known ? { owner, rule: rules[0] ?? '', was: {}, boot: null } : null,
    command: `nft delete table inet ${tableName}`,
  }
}
