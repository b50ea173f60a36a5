/** No firewall at all is an answer too: nothing to add, and a look now and then whether that is still so. */
import { say } from '../../base/text.ts'
import { NaruError, isNaruError } from '../../base/errors.ts'
import type { FirewallAnswer, FirewallMember, FirewallOptions, FirewallRequest } from '../contract.ts'
import { FirewallLease } from '../lease.ts'
import type { Lease, Verdict } from '../../model/hop.ts'
import { askedBy, explain, look, portsText } from './packet-filter.ts'
import { answerFor } from '../../host/simulate/index.ts'

const nothing = say('no firewall is active on this machine')

export const none: FirewallMember = {
  id: 'none',
  detect: async () => ({ ok: true, why: nothing }),
  status: async () => ({ member: 'none', active: false, defaultInput: 'allow', open: [] }),
  explain: async (question, options) => ((await isLinux(options)) ? explain(question, options) : allowed),
  open: async (request, options) => lease(request, options),
  byHand: () => null,
  undo: async () => {},
}

const allowed: FirewallAnswer = { verdict: 'allowed', by: '', why: nothing }

const isLinux = async ({ host }: FirewallOptions): Promise<boolean> =>
  (await host.facts()).platform === 'linux'

function lease(request: FirewallRequest, { host }: FirewallOptions): Lease {
  return new FirewallLease({
    member: 'none',
    isEmpty: true,
    text: nothing,
    differs: () => (request.allow.length > 0 ? [unfiltered] : []),
    data: () => ({ ports: portsText(request) }),
    verify: (signal) => verify(request, { host, signal }),
    renew: async () => {},
    release: async () => {},
  })
}

const unfiltered = say('there is no firewall to hold the allow-list; the relay does')

/** A firewall may be started later. */
async function verify(request: FirewallRequest, options: FirewallOptions): Promise<Verdict> {
  const answer = (await isLinux(options)) ? await ask(request, options) : allowed
  if (answer.verdict !== 'blocked') return { state: 'held', notes: [] }
  const why = new NaruError('FIREWALL_OVERRULED', {
    ports: portsText(request),
    firewall: 'none',
    by: answer.by,
  })
  return { state: 'lost', why }
}

/** Who may not read filters cannot say more than before. */
async function ask(request: FirewallRequest, options: FirewallOptions): Promise<FirewallAnswer> {
  try {
    return answerFor(...(await look(askedBy(request), options)))
  } catch (error) {
    if (isNaruError(error, 'NOT_PERMITTED')) return allowed
    throw error
  }
}
