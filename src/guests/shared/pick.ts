/** From the name in a target to the one guest it means, or to the error that says why none is meant. */
import { NaruError } from '../../base/errors.ts'
import { listed, say, sayOf, verbatim, type Text } from '../../base/text.ts'
import type { GuestKind } from '../../model/target.ts'
import { guestName } from '../../model/guest.ts'
import type { Guest } from '../contract.ts'

/** Shown at most in an error; `naru guests` shows them all. */
const knownShown = 20

const stateWords: Readonly<Record<Guest['state'], Text>> = {
  running: say('running'),
  stopped: say('stopped'),
  paused: say('paused'),
  unknown: say('state unknown'),
}

/**
 * By id or by exact name. @param also other names by which its hypervisor knows a guest; they count where nobody has
 * the name itself. @throws NaruError GUEST_UNKNOWN, GUEST_AMBIGUOUS
 */
export function pickGuest<G extends Guest>(
  kind: GuestKind,
  guests: readonly G[],
  name: string,
  also: (guest: G) => boolean = () => false,
): G {
  const [only, ...others] = meantBy(guests, name, also)
  if (!only) throw new NaruError('GUEST_UNKNOWN', { kind, name, known: knownNames(guests) })
  if (others.length > 0) {
    const all = [only, ...others].map((guest) => {
      const shown = guestName(guest, guests)
      const state = stateWords[guest.state]
      return sayOf('pick')`${shown} (${state})`
    })
    throw new NaruError('GUEST_AMBIGUOUS', { kind, name, candidates: listed(all, ', ') })
  }
  return only
}

function meantBy<G extends Guest>(guests: readonly G[], name: string, also: (guest: G) => boolean): G[] {
  for (const is of [({ id }: G) => id === name, (guest: G) => guest.name === name, also]) {
    const meant = guests.filter(is)
    if (meant.length > 0) return meant
  }
  return []
}

/** As `pickGuest`, and it runs. `start` is the command that would start it. @throws NaruError also GUEST_STOPPED */
export function pickRunning<G extends Guest>(
  kind: GuestKind,
  guests: readonly G[],
  name: string,
  start: (guest: G) => string,
  also?: (guest: G) => boolean,
): G {
  const guest = pickGuest(kind, guests, name, also)
  if (guest.state === 'stopped' || guest.state === 'paused') throw stopped(guest, start(guest))
  return guest
}

export function stopped(guest: Guest, start: string): NaruError<'GUEST_STOPPED'> {
  const { kind, name, state } = guest
  return new NaruError('GUEST_STOPPED', { kind, name, state: stateWords[state], start })
}

function knownNames(guests: readonly Guest[]): Text {
  if (guests.length === 0) return say('none')
  const names = [...new Set(guests.map(({ name }) => name))].sort()
  const more = names.length - knownShown
  const shown = names.slice(0, knownShown).join(', ')
  return more > 0 ? say`${shown} and ${more} more` : verbatim(shown)
}
