/**
 * How what is ours is marked in other programs' lists: `naru:RULE:TOKEN`. The rule is for people; the token is of one
 * lease, so that two daemons with a rule of one name never take away each other's. Where the list may be saved and
 * come back after everybody has forgotten it, the token ends in the mark of the state folder it was opened from.
 */
import { randomBytes } from 'node:crypto'

const written = /^naru:([A-Za-z0-9][A-Za-z0-9._-]{0,39})(?::([0-9a-f]{8})([0-9a-f]{8})?)?$/

export interface Tag {
  readonly rule: string
  /** Null where another hop's short form `naru:RULE` is read. */
  readonly token: string | null
  /** Whose state folder's it is (instance/state-mark.ts); null where the tag does not say. */
  readonly mark: string | null
}

/** A tag for a new lease. @param mark eight hexadecimal digits */
export function newTag(rule: string, mark = ''): string {
  return `naru:${rule}:${randomBytes(4).toString('hex')}${mark}`
}

/** Null where `text` is not ours. */
export function parseTag(text: string | null | undefined): Tag | null {
  const [, rule, token, mark] = written.exec(text ?? '') ?? []
  return rule === undefined ? null : { rule, token: token ?? null, mark: mark ?? null }
}
