/**
 * What was written into a form and not saved yet, kept in this browser by the form's address: another page, a reload
 * or a closed tab loses none of it. It goes when it is saved, or when somebody says so.
 */
import type { RuleInput } from '../../../src/model/naru-api.ts'
import type { Draft } from '../form/draft.ts'
import { Watched } from './watched.ts'

export interface Kept {
  /** Of the form, such as `#/new` or `#/rules/iis/edit`. */
  readonly hash: string
  readonly draft: Draft
  /** The rule as it was when the form was opened; nothing for a new one. */
  readonly base: RuleInput
}

const slot = 'naru.drafts.2'
/** The oldest goes first. */
const mostKept = 20

/** The last one written stands last. */
export const drafts = new Watched<readonly Kept[]>(read())

window.addEventListener('storage', ({ key }) => {
  if (key === slot) drafts.set(read())
})

export function keptAt(hash: string): Kept | null {
  return drafts.value.find((one) => one.hash === hash) ?? null
}

export function keepDraft(kept: Kept): void {
  write([...read().filter(({ hash }) => hash !== kept.hash), kept].slice(-mostKept))
}

export function forgetDraft(hash: string): void {
  if (drafts.value.some((one) => one.hash === hash)) write(read().filter((one) => one.hash !== hash))
}

/** Storage may be forbidden or full: then drafts last as long as the page. */
function write(all: readonly Kept[]): void {
  drafts.set(all)
  try {
    localStorage.setItem(slot, JSON.stringify(all))
  } catch {
    // As above.
  }
}

/** What another tab wrote is seen, too. */
function read(): readonly Kept[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(slot) ?? '[]')
    return Array.isArray(found) ? (found as readonly Kept[]) : []
  } catch {
    return []
  }
}
