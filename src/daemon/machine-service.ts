/**
 * This machine as `MachineApi`: addresses and ports, the doctor, and each hop looked at or talked to by hand. All
 * that reaches out is handed in.
 */
import { withLimit } from '../base/clock.ts'
import { isNaruError, toNaruError, type NaruError } from '../base/errors.ts'
import { say, type Text } from '../base/text.ts'
import type { Check } from '../doctor/checks/contract.ts'
import type { GuestMember } from '../guests/contract.ts'
import type { FirewallReport, GuestsReport, MachineApi } from '../model/machine-api.ts'
import type { Guest } from '../model/guest.ts'
import { createDoctor } from '../doctor/diagnose.ts'
import { chooseFirewall } from '../machine/choose-firewall.ts'
import type { ReadingsDeps } from '../doctor/readings.ts'
import { createMachine, type MachineDeps } from '../machine/machine.ts'
import { testFromOutside, type OutsideDeps } from '../doctor/outside/outside.ts'
import type { Deps } from '../instance/deps.ts'
import { manualMappings } from '../mappings/manual-mappings.ts'
import { aboveByHop } from '../mappings/outer-router.ts'

export interface MachineServiceDeps extends OutsideDeps, Pick<Deps, 'probe'> {
  readonly checks: readonly Check[]
  /** Where `naru router add` remembers what only it can remove. */
  readonly byHandPath: string | null
  /** Rules that are open now, with the process that holds them. */
  readonly open: MachineDeps['rules']
  /** Names given out for this place, as the file has them. */
  readonly names: () => Promise<readonly string[]>
}

/**
 * Each hypervisor is given up on after its own 3 s, once for its names and once for its states; a list that ended with
 * the first would not show those that answered. This is the end of it all.
 */
const guestLimitMs = 10_000

export function createMachineService(deps: MachineServiceDeps): MachineApi {
  const machine = createMachine({
    ...deps,
    guests: () => Promise.resolve(deps.guests),
    rules: deps.open,
    above: ({ signal }) => aboveByHop(deps.host, signal),
  })
  const doctor = createDoctor(deps)
  return {
    addresses: (options) => machine.addresses(options),
    ports: (options) => machine.ports(options),
    router: manualMappings(deps),
    firewall: ({ signal }) => firewall(deps, signal),
    async admits(question, { signal }) {
      const { member, why } = await chooseFirewall('auto', deps, { signal })
      return member
        ? member.explain(question, { host: deps.host, signal })
        : { verdict: 'unknown', by: '', why }
    },
    guests: ({ signal }) => guests(deps, signal),
    neighbours: async ({ signal }) =>
      (await deps.host.network.neighbours({ signal })).map(({ address, mac, interface: on }) => ({
        address,
        mac,
        interface: on,
      })),
    diagnose: async (options) =>
      doctor.diagnose({
        ...options,
        names: async () => [...new Set([...(options.names ?? []), ...(await deps.names())])],
        outside: await testFromOutside(deps, machine, options),
      }),
  }
}

async function firewall(deps: ReadingsDeps, signal: AbortSignal): Promise<FirewallReport> {
  const { member, why } = await chooseFirewall('auto', deps, { signal })
  return { status: member ? await member.status({ host: deps.host, signal }) : null, why }
}

async function guests(deps: ReadingsDeps, signal: AbortSignal): Promise<GuestsReport> {
  const looked = await Promise.all(deps.guests.map((member) => listed(member, deps, signal)))
  return {
    guests: looked.flatMap((one) => one.guests),
    kinds: looked.map(({ guests: _guests, ...kind }) => kind),
  }
}

async function listed(
  member: GuestMember,
  { host }: ReadingsDeps,
  signal: AbortSignal,
): Promise<GuestsReport['kinds'][number] & { readonly guests: readonly Guest[] }> {
  const options = { host, signal: withLimit(signal, guestLimitMs) }
  const { kind } = member
  const [support, found] = await Promise.allSettled([member.detect(options), member.list(options)])
  signal.throwIfAborted()
  if (support.status === 'rejected' || (found.status === 'rejected' && !isAbsent(found.reason))) {
    const error: unknown =
      found.status === 'rejected' ? found.reason : support.status === 'rejected' && support.reason
    return { kind, here: true, listed: false, why: withFix(toNaruError(error)), guests: [] }
  }
  const { ok: here, why } = support.value
  return { kind, here, listed: here, why, guests: here && found.status === 'fulfilled' ? found.value : [] }
}

function withFix({ text, fix }: NaruError): Text {
  return fix === null ? text : say`${text} → ${fix}`
}

/** What is not installed or does not run has no guests; what is silent or forbids asking may have some. */
const isAbsent = (error: unknown): boolean => isNaruError(error, 'GUEST_NOT_HERE', 'GUEST_NO_TOOL')
