/**
 * How what is ours is marked in other programs' lists: `naru:RULE:TOKEN`. The rule is for people; the token is of one
 * lease, so that two daemons with a rule of one name never take away each other's.
 */
import { randomBytes } from 'node:crypto'

const written = /^naru:([A-Za-z0-9][A-Za-z0-9._-]{0,39})(?::([0-9a-f]{8}))?$/

export interface Tag {
  readonly rule: string
  /** Null where another hop's short form `naru:RULE` is read. */
  readonly token: string | null
}

/** A tag for a new lease. */
export function newTag(rule: string): string {
  return `naru:${rule}:${randomBytes(4).toString('hex')}`
}

/** Null where `text` is not ours. */
export function parseTag(text: string | null | undefined): Tag | null {
  const [, rule, token] = written.exec(text ?? '') ?? []
  return rule === undefined ? null : { rule, token: token ?? null }
}
