/**
 * What a foreground Naru leaves in its folder while it runs: its rule, and how each hop is, so that a doctor in another
 * terminal knows what was asked for and what was refused. It goes with the folder; that of a dead one is not read.
 */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { replaceFile } from '../base/replace-file.ts'
import type { RuleToCheck } from '../doctor/diagnose.ts'
import { running, type Instance } from '../instance/instance.ts'
import type { RuleStatus } from '../model/naru-api.ts'
import { readRule } from '../model/rule-file.ts'

const wordIn = (folder: string): string => join(folder, 'rule.json')

/** The instance as it was, which lets go of its folder only once the last word is written. */
export interface Telling {
  readonly instance: Instance
  /** Written soon; of several that come meanwhile, the last. What cannot be written is no reason to fail for. */
  tell(rule: RuleStatus): void
}

export function telling(instance: Instance): Telling {
  const path = wordIn(instance.folder)
  let next: RuleStatus | null = null
  let writing: Promise<void> | null = null
  let over = false
  const write = async (): Promise<void> => {
    while (next) {
      const rule = next
      next = null
      await replaceFile(path, JSON.stringify(rule), { mode: 0o600 }).catch(() => {})
    }
    writing = null
  }
  return {
    instance: {
      ...instance,
      async release(options) {
        over = true
        next = null
        await writing
        await instance.release(options)
      },
    },
    tell(rule) {
      if (over) return
      next = rule
      writing ??= write()
    },
  }
}

/** Whoever takes a dead one's folder holds it from then on, and not its rule. */
export function forgetWord(folder: string): Promise<void> {
  return rm(wordIn(folder), { force: true })
}

/** What is open in the foreground somewhere on this machine, as this user may see it and as it was told last. */
export async function foregroundStatuses(
  root: string,
): Promise<readonly { readonly status: RuleStatus; readonly pid: number }[]> {
  const holders = (await running(root)).filter(({ file }) => file === null)
  if (holders.length === 0) return []
  // Loaded only where there is something to read.
  const { RuleStatusSchema } = await import('../api/protocol/schemas.ts')
  const read = async ({ folder, pid }: (typeof holders)[number]) => {
    const status = RuleStatusSchema.safeParse(await wordOf(folder)).data
    return status ? [{ status, pid }] : []
  }
  return (await Promise.all(holders.map(read))).flat()
}

export async function foregroundRules(root: string): Promise<readonly RuleToCheck[]> {
  return (await foregroundStatuses(root)).flatMap(({ status: { name, rule: written, hops } }) => {
    const { rule } = readRule(name, written)
    return rule ? [{ rule, hops, inForeground: true }] : []
  })
}

/** Null where it is not open yet, and for what is no JSON. */
async function wordOf(folder: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(wordIn(folder), 'utf8'))
  } catch {
    return null
  }
}
