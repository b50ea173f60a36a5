/**
 * Proof from outside, before a diagnosis: a phone that opens a link, or another machine of the user's that dials
 * back. Where the try goes is the rule's port on the public address that is known.
 */
import { familyOf, type Family } from '../../base/address.ts'
import { NaruError } from '../../base/errors.ts'
import { field, type OutsideTest } from '../checks/contract.ts'
import { outsiderText } from '../../model/diagnosis.ts'
import type { PublicAddress } from '../../model/machine.ts'
import type { Asking, DiagnoseRequest } from '../../model/machine-api.ts'
import { chooseRules, type RuleToCheck } from '../diagnose.ts'
import type { ReadingsDeps } from '../readings.ts'
import type { Machine } from '../../machine/machine.ts'
import { startPhoneTest } from './phone.ts'
import { countSyns } from './syn-counter.ts'
import { askVantage } from './vantage.ts'

export interface OutsideDeps extends ReadingsDeps {
  readonly rules: () => Promise<readonly RuleToCheck[]>
  /** Calls back with the client of each connection that the rule opens; null where no daemon carries it. */
  readonly onOpened: (rule: string, told: (client: string) => void) => Disposable
}

interface Place {
  readonly rule: string
  /** Null where the rule listens by both. */
  readonly family: Family | null
  /** Here, and on the router. */
  readonly port: number
  readonly externalPort: number
  /** The rule is open: by an engine in the kernel no socket shows it. */
  readonly carried: boolean
}

/** @throws NaruError OUTSIDE_WHICH, OUTSIDE_NO_ADDRESS, OUTSIDE_STUN_SILENT, VANTAGE_SILENT, VANTAGE_KEY */
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
    const who = { kind: 'vantage', address: vantage.address } as const
    tests.push({ port: tryPort, to: seenAs, who, result, synsSeen })
  }
  if (fromPhone) tests.push(await askPhone(deps, machine, place, options))
  for (const test of tests) onEvent?.({ type: 'outside', by: outsiderText(test.who).en, ...test })
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
  const granted = field(hops.find(({ hop }) => hop === 'router')?.data, 'externalPort')
  const wished = typeof publish.externalPort === 'number' ? publish.externalPort : listen.ports.first
  const externalPort = typeof granted === 'number' ? granted : wished
  const carried = hops.some(
    ({ hop, member, state }) => hop === 'relay' && member !== null && state !== 'broken',
  )
  const family = listen.address === null ? null : familyOf(listen.address)
  return { rule: rule.name, family, port: listen.ports.first, externalPort, carried }
}

/** Few phones have IPv6 alone, and many none: where both lead here, the link is the one that every phone can open. */
function whereTo(known: readonly PublicAddress[], family: Family | null): string | undefined {
  const weight = ({ address, reachable }: PublicAddress): number =>
    (reachable ? 0 : 2) + (familyOf(address) === (family ?? 4) ? 0 : 1)
  return known.toSorted((a, b) => weight(a) - weight(b))[0]?.address
}

async function askPhone(
  deps: OutsideDeps,
  machine: Machine,
  { rule, family, port, externalPort, carried }: Place,
  { signal, mayAskInternet = false, onEvent }: Asking & DiagnoseRequest,
): Promise<OutsideTest> {
  const { publicAddresses } = await machine.addresses({ signal, mayAskInternet })
  const address = whereTo(publicAddresses, family)
  if (address === undefined)
    throw mayAskInternet
      ? new NaruError('OUTSIDE_STUN_SILENT', { port: externalPort })
      : new NaruError('OUTSIDE_NO_ADDRESS', {})
  const { rows } = await machine.ports({ signal, port, protocol: 'tcp' })
  await using phone = await startPhoneTest({
    host: deps.host,
    clock: deps.clock,
    signal,
    address,
    // Over IPv6 nothing is mapped: the very port that is listened on is open.
    externalPort: familyOf(address) === 6 ? port : externalPort,
    port,
    listen: rows.length === 0 && !carried,
    onOpened: (told) => deps.onOpened(rule, told),
  })
  onEvent?.({ type: 'link', url: phone.url, qr: phone.qr })
  return await phone.outcome
}
