/** `naru open`: one rule in this process, without a file. */
import { randomBytes } from 'node:crypto'
import { canonicalAddress } from '../base/address.ts'
import { isNaruError, NaruError, toNaruError } from '../base/errors.ts'
import { say } from '../base/text.ts'
import type { OpenHereOptions } from '../cli/deps.ts'
import { Forwarder } from '../rules/forwarder.ts'
import { claim, stateRoot } from '../instance/instance.ts'
import type { Deps } from '../instance/deps.ts'
import { dismissPrestarted } from '../engines/splice/main/prestart.ts'
import type { Naru, RuleStatus } from '../model/naru-api.ts'
import { formatListen, listensOverlap } from '../model/listen.ts'
import type { Rule } from '../model/rule.ts'
import { parseRule } from '../model/rule-file.ts'
import { createMemoryStore } from '../stores/memory.ts'
import { telling } from './foreground.ts'
import { recover } from './recover.ts'
import { composeDeps } from './compose.ts'

/** @throws NaruError where the rule is wrong or a hop could not be opened; nothing is left then. */
export async function openHere(
  { name, rule: input, keepPartial, onProgress, onLeftOver, signal }: OpenHereOptions,
  findDaemon: () => Promise<Naru | null>,
): Promise<Forwarder> {
  const rule = parseRule(name, input)
  const root = stateRoot()
  await recover(root, { except: null, tell: (_level, text) => onLeftOver(text), signal })
  const instance = await claim(root, `open-${process.pid}-${randomBytes(3).toString('hex')}`, null)
  try {
    const publish = rule.publish.firewall !== 'off' || rule.publish.router !== 'off'
    const guests = rule.targets.some(({ to }) => to.kind === 'guest')
    const parts = await composeDeps(createMemoryStore({ [name]: input }), { rooms: { publish, guests } })
    await mustResolve(rule, parts, signal)
    let opening = true
    const others = telling(instance)
    const onRule = (status: RuleStatus): void => {
      if (opening) onProgress(status)
      else others.tell(status)
    }
    const { forwarder } = await Forwarder.start(parts, others.instance, {
      strict: !keepPartial,
      rowByHand: true,
      onRule,
      signal,
      checks: async () => (await import('../doctor/checks/index.ts')).checks,
    })
    opening = false
    others.tell(await forwarder.rules.get(name))
    void dismissPrestarted()
    return forwarder
  } catch (error) {
    await instance.release({ forget: true })
    throw await namingTheRule(rule, toNaruError(error), findDaemon)
  }
}

/** In the foreground a name that nobody knows is a mistake, not a target that comes later. @throws NaruError NAME_NOT_FOUND */
async function mustResolve(rule: Rule, { resolveName }: Deps, signal: AbortSignal): Promise<void> {
  const names = rule.targets
    .map(({ to }) => to)
    .filter((to) => to.kind === 'inet' && canonicalAddress(to.host) === null)
  await Promise.all(names.map((to) => resolveName(to, { signal })))
}

/** Where a rule of another Naru has the port, that rule is what a person knows; the program is called node. */
async function namingTheRule(
  { listen }: Rule,
  error: unknown,
  findDaemon: () => Promise<Naru | null>,
): Promise<unknown> {
  if (!isNaruError(error, 'LISTEN_IN_USE')) return error
  const { openRules } = await import('./open-rules.ts')
  const rules = await openRules(findDaemon).catch(() => [])
  const holder = rules.find((one) => listensOverlap(one.listen, listen))
  if (!holder) return error
  const owner = say`the rule ${holder.name} of Naru (pid ${holder.pid})`
  const { left } = error
  return new NaruError('LISTEN_IN_USE', { listen: formatListen(listen), owner }, { cause: error, left })
}
