/**
 * Whose an element of the table is. Several Narus share one table, so each thing carries `naru:OWNER.SERIAL:RULE`,
 * and an owner is a process by its number and its start: a reused number is another owner, and a dead owner's things
 * may be taken over.
 */
export interface Tag {
  readonly owner: string
  /** Which lease of that owner. */
  readonly serial: number
  readonly rule: string
}

/** NFTNL_UDATA_COMMENT_MAXLEN is 128 with the closing zero. */
const longestComment = 127

export function formatTag({ owner, serial, rule }: Tag): string {
  const head = `naru:${owner}.${serial}:`
  let tail = rule
  while (Buffer.byteLength(head + tail) > longestComment) tail = tail.slice(0, -1)
  return head + tail
}

/** Null where the comment is not one of ours. */
export function parseTag(comment: string | undefined): Tag | null {
  const match = /^naru:(\d+-\d+)\.(\d+):(.*)$/.exec(comment ?? '')
  return match ? { owner: match[1] as string, serial: Number(match[2]), rule: match[3] as string } : null
}
