/**
 * Whose an element of the table is. Several Narus share one table, so each thing carries
 * `naru:OWNER.SERIAL.NAMESPACE.MARK:RULE`. An owner is a process by its number and its start: a reused number is another
 * owner, and a dead owner's things may be taken over. The number is one of a namespace (pid_namespaces(7)); the mark is
 * of the state folder that the rule was opened from (instance/state-mark.ts), by which a later start knows what a saved ruleset
 * brought back.
 */
import { ownerLives, pidNamespace } from '../../linux/process-identity.ts'

export interface ElementTag {
  readonly owner: string
  /** Which lease of that owner. */
  readonly serial: number
  readonly rule: string
  /** Null where it does not say. */
  readonly origin: Origin | null
}

export interface Origin {
  readonly namespace: string
  /** Eight hexadecimal digits. */
  readonly mark: string
}

/** NFTNL_UDATA_COMMENT_MAXLEN is 128 with the closing zero. */
const longestComment = 127

export function formatTag({ owner, serial, rule, origin }: ElementTag): string {
  const from = origin ? `.${origin.namespace}.${origin.mark}` : ''
  const head = `naru:${owner}.${serial}${from}:`
  let tail = rule
  while (Buffer.byteLength(head + tail) > longestComment) tail = tail.slice(0, -1)
  return head + tail
}

const written = /^naru:(\d+-\d+)\.(\d+)(?:\.(\d+)\.([0-9a-f]{8}))?:(.*)$/

/** Null where the comment is not one of ours. */
export function parseTag(comment: string | undefined): ElementTag | null {
  const [, owner, serial, namespace, mark, rule = ''] = written.exec(comment ?? '') ?? []
  if (owner === undefined) return null
  const origin = namespace !== undefined && mark !== undefined ? { namespace, mark } : null
  return { owner, serial: Number(serial), rule, origin }
}

/** Whether that process is known to have ended. Of another namespace nothing is known here. */
export function isGone({ owner, origin }: ElementTag): boolean {
  return origin?.namespace === pidNamespace() && !ownerLives(owner)
}
