/**
 * A port that listens while the host firewall drops what others send there, or somebody's NAT sends it elsewhere, looks
 * open to nobody but this machine.
 */
import { addressBytes, addressFromBytes, addressRange, canonicalAddress } from '../base/address.ts'
import { withLimit } from '../base/clock.ts'
import { say, type Text } from '../base/text.ts'
import type { FirewallQuestion, SentOn } from '../model/firewall.ts'
import type { RuleStatus } from '../model/naru-api.ts'
import { parseListen } from '../model/listen.ts'
import { withMachine } from './with-machine.ts'
import type { Context } from './verb.ts'

/** Somebody waits for the prompt; a firewall that is not read by then is told of by the doctor. */
const limitMs = 2000

/**
 * Told where it can be read who decides, and that it lets nobody in. Nothing is said where that is not known.
 * @param opens what the person can do
 */
export async function tellShutOut(rule: RuleStatus, opens: Text, context: Context): Promise<void> {
  const questions = questionsFor(rule)
  if (questions.length === 0) return
  const { print } = context
  const answers = await withMachine(context, (machine, { signal }) =>
    Promise.all(questions.map((one) => machine.admits(one, { signal: withLimit(signal, limitMs) }))),
  ).catch(() => [])
  const elsewhere = answers.find(({ sentOn }) => sentOn)?.sentOn
  const shut = opensFirewall(rule) ? undefined : answers.find(({ verdict }) => verdict === 'blocked')
  const told = elsewhere ? goesElsewhere(rule, elsewhere) : shut && shutOut(rule, shut.by, opens)
  if (told) print.talk(`${print.paintTalk.yellow('!')} ${print.say(told)}`)
}

/** A page on an address of the network, which Naru opens no firewall for. */
export async function tellPageShut(web: string, context: Context): Promise<void> {
  const { hostname, port: written } = new URL(web)
  // URLs leave out what is usual.
  const port = Number(written || 80)
  const host = canonicalAddress(hostname.replace(/^\[|\]$/g, ''))
  if (host === null) return
  const { print } = context
  const from = addressRange(host) === 'unspecified' ? null : neighbourOf(host)
  const answer = await withMachine(context, (machine, { signal }) =>
    machine.admits({ protocol: 'tcp', port, from }, { signal: withLimit(signal, limitMs) }),
  ).catch(() => null)
  if (answer?.verdict !== 'blocked') return
  const told = say`other computers do not get to the page: the host firewall drops port ${port} (${answer.by}); let your own network in there`
  print.talk(`${print.paintTalk.yellow('!')} ${print.say(told)}`)
}

const opensFirewall = ({ hops }: RuleStatus): boolean =>
  hops.some(({ hop, state }) => hop === 'firewall' && state !== 'off')

/** As a neighbour of the network would come. None where others do not find it. */
function questionsFor({ listen, addresses }: RuleStatus): FirewallQuestion[] {
  const from = addresses.find(({ scope }) => scope === 'lan')?.text
  if (!from) return []
  const parsed = parseListen(listen)
  if (parsed.kind === 'unix') return []
  const own = from.replace(/^https?:\/\//, '').replace(/:\d+(?:-\d+)?$/, '')
  const neighbour = neighbourOf(own.replace(/^\[|\]$/g, ''))
  return parsed.protocols.map((protocol) => ({ protocol, port: parsed.ports.first, from: neighbour }))
}

/** What comes from an address of our own comes over loopback, which everybody lets in. */
function neighbourOf(address: string): string {
  const bytes = Uint8Array.from(addressBytes(address))
  const last = bytes.at(-1) ?? 0
  bytes[bytes.length - 1] = last > 1 ? last - 1 : last + 1
  return addressFromBytes(bytes)
}

function goesElsewhere({ listen }: RuleStatus, { to, by }: SentOn): Text {
  return say`other computers do not get here: this machine sends ${listen} on to ${to} (${by}); remove that rule or choose another port`
}

function shutOut({ listen }: RuleStatus, by: string, opens: Text): Text {
  return say`other computers do not get in: the host firewall drops ${listen} (${by}); ${opens}`
}
