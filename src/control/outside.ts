/**
 * Proof from outside, before a diagnosis: a phone that opens a link, or another machine of the user's that dials
 * back. Where the try goes is the rule's port on the public address that is known.
 */
import { NaruError } from '../base/errors.ts'
import type { OutsideTest } from '../checks/contract.ts'
import type { Asking, DiagnoseRequest } from '../model/machine-face.ts'
import { chooseRules, type RuleToCheck } from './doctor.ts'
import type { LookDeps } from './look.ts'
import type { Machine } from './machine.ts'
import { startPhoneTest } from './phone.ts'
import { countSyns } from './syn-counter.ts'
import { askVantage } from './vantage.ts'

export interface OutsideDeps extends LookDeps {
  readonly rules: () => Promise<readonly RuleToCheck[]>
  /** Calls back with the client of each connection that the rule opens; null where no daemon carries it. */
  readonly onOpened: (rule: string, told: (client: string) => void) => Disposable
}

interface Place {
  readonly rule: string
  /** Here, and on the router. */
  readonly port: number
  readonly externalPort: number
}

/** @throws NaruError OUTSIDE_WHICH, OUTSIDE_NO_ADDRESS, VANTAGE_SILENT, VANTAGE_KEY */
export async function testFromOutside(
  deps: OutsideDeps,
  machine: Machine,
  options: Asking & DiagnoseRequest,
): Promise<readonly OutsideTest[]> {
  const { fromPhone = false, vantage, signal, onEvent } = options
  if (!fromPhone && !vantage) return []
  const place = placeOf(await deps.rules(), options.about)
  const tests: OutsideTest[] = []
  if (vantage) {
    const tryPort = place.externalPort
    // Where packets cannot be counted (no nft, no right to it), the answer alone must do.
    await using counter = await countSyns([place.port], { host: deps.host, signal }).catch(() => null)
    const { seenAs, result } = await askVantage({ ...vantage, tryPort, signal })
    const synsSeen = counter ? ((await counter.read()).get(place.port) ?? 0) : null
    tests.push({ port: tryPort, to: seenAs, by: `vantage ${vantage.address}`, result, synsSeen })
  }
  if (fromPhone) tests.push(await askPhone(deps, machine, place, options))
  for (const test of tests) onEvent?.({ type: 'outside', ...test })
  return tests
}

/** One rule, by TCP: a phone opens one link. */
function placeOf(rules: readonly RuleToCheck[], about: string | undefined): Place {
  const [chosen, ...others] = chooseRules(rules, about)
  const known = rules.map(({ rule }) => rule.name).join(', ') || '–'
  if (!chosen || others.length > 0) throw new NaruError('OUTSIDE_WHICH', { known })
  const { rule, hops } = chosen
  const { listen, publish } = rule
  if (listen.kind === 'unix' || !listen.protocols.includes('tcp'))
    throw new NaruError('OUTSIDE_WHICH', { known })
  const granted = hops.find(({ hop }) => hop === 'router')?.data as
    | { externalPort?: unknown }
    | null
    | undefined
  const wished = typeof publish.externalPort === 'number' ? publish.externalPort : listen.ports.first
  const externalPort = typeof granted?.externalPort === 'number' ? granted.externalPort : wished
  return { rule: rule.name, port: listen.ports.first, externalPort }
}

async function askPhone(
  deps: OutsideDeps,
  machine: Machine,
  { rule, port, externalPort }: Place,
  { signal, mayAskInternet = false, onEvent }: Asking & DiagnoseRequest,
): Promise<OutsideTest> {
  const { publicAddresses } = await machine.addresses({ signal, mayAskInternet })
  const address = (publicAddresses.find(({ reachable }) => reachable) ?? publicAddresses[0])?.address
  if (address === undefined) throw new NaruError('OUTSIDE_NO_ADDRESS', {})
  const { rows } = await machine.ports({ signal, port, protocol: 'tcp' })
  await using phone = await startPhoneTest({
    host: deps.host,
    clock: deps.clock,
    signal,
    address,
    externalPort,
    port,
    listen: rows.length === 0,
    onOpened: (told) => deps.onOpened(rule, told),
  })
  onEvent?.({ type: 'link', url: phone.url, qr: phone.qr })
  return await phone.outcome
}
