/**
 * Openings and forwards that a saved ruleset brought back: netfilter-persistent, `iptables-save` and `nft list ruleset`
 * take ours along while they are open, and once they come back no journal knows them. They carry the mark of the state
 * folder.
 */
import { withLimit } from '../base/clock.ts'
import { isNaruError, toNaruError } from '../base/errors.ts'
import { say, type Text } from '../base/text.ts'
import type { UnclaimedOpening } from './checks/contract.ts'
import type { Engine } from '../engines/contract.ts'
import type { FirewallMember } from '../firewalls/contract.ts'
import type { MarkedEntry } from '../model/marked-entry.ts'
import { parseTag } from '../model/tag.ts'
import { inForce } from '../instance/instance.ts'
import { readOnce } from './read-once.ts'
import { readMark } from '../instance/state-mark.ts'
import type { Deps } from '../instance/deps.ts'

/** Reading and removing, in all: nobody waits longer for a firewall that hangs. */
const limitMs = 8000

/** An opening that no journal of this root has. */
export interface Unclaimed extends MarkedEntry {
  readonly member: FirewallMember | Engine
}

/** Another Naru may hold what it names: one of another user, or in a container on this network. */
export async function unclaimed(
  root: string,
  parts: ReadParts,
  signal: AbortSignal,
): Promise<readonly Unclaimed[]> {
  return (await read(root, parts, signal)) ?? []
}

/** The same for the doctor. Who may not read the firewall sees none. */
export async function unclaimedHere(
  root: string,
  parts: ReadParts,
  signal: AbortSignal,
): Promise<readonly UnclaimedOpening[]> {
  try {
    const mark = await readMark(root)
    const left = await unclaimed(root, parts, signal)
    return left.map(({ tag, text, command }) => {
      const ours = mark !== null && parseTag(tag)?.mark === mark
      return { text, command, whose: ours ? 'ours' : tag === null ? 'nobodys' : 'unknown' }
    })
  } catch (error) {
    if (isNaruError(error, 'NOT_PERMITTED')) return []
    throw error
  }
}

type ReadParts = Pick<Deps, 'host' | 'firewalls'> & Partial<Pick<Deps, 'engines'>>

/**
 * Null where a journal cannot be read whole, and nobody can tell. The firewall is read first: an opening is in its
 * journal before it is in the firewall.
 */
async function read(
  root: string,
  { host, firewalls, engines = [] }: ReadParts,
  signal: AbortSignal,
): Promise<readonly Unclaimed[] | null> {
  const options = { host: readOnce(host, signal), signal }
  const found: Unclaimed[] = []
  for (const member of [...firewalls, ...engines])
    for (const one of (await member.carried?.(options)) ?? []) found.push({ ...one, member })
  if (found.length === 0) return []
  const entries = await inForce(root)
  if (entries === null) return null
  const known = new Set(entries.map(({ effect }) => (effect as { tag?: unknown } | null)?.tag))
  return found.filter(({ tag }) => tag === null || !known.has(tag))
}

/** Takes away what carries the mark of this root and is in none of its journals. Says what it did and could not do. */
export async function removeReturned(
  root: string,
  parts: Deps,
  { signal, tell }: { signal: AbortSignal; tell: (level: 'info' | 'warn', text: Text) => void },
): Promise<void> {
  const limited = withLimit(signal, limitMs)
  try {
    const mark = await readMark(root)
    if (mark === null) return
    const all = await read(root, parts, limited)
    if (all === null)
      return tell(
        'warn',
        say(
          'a journal cannot be read whole, so openings that a saved ruleset may have brought back are left as they are: `naru doctor` names them',
        ),
      )
    for (const one of all)
      if (parseTag(one.tag)?.mark === mark) await remove(one, parts, { signal: limited, tell })
  } catch (error) {
    // Who may not read the firewall has opened nothing in it.
    if (isNaruError(error, 'NOT_PERMITTED') || isNaruError(error, 'ABORTED')) return
    const why = toNaruError(error).text
    tell('warn', say`could not look for openings that a saved ruleset brought back: ${why}`)
  }
}

async function remove(
  { member, effect, text, command }: Unclaimed,
  { host }: Deps,
  { signal, tell }: { signal: AbortSignal; tell: (level: 'info' | 'warn', text: Text) => void },
): Promise<void> {
  try {
    await member.undo(effect, { host, signal })
    tell('info', say`closed what a saved ruleset had brought back: ${text}`)
  } catch (error) {
    const why = toNaruError(error).text
    tell(
      'warn',
      say`a saved ruleset brought back an opening that could not be closed (${why}); run: \`${command}\``,
    )
  }
}
