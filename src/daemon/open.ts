/** `naru open`: one rule in this process, without a file. */
import { randomBytes } from 'node:crypto'
import { silentLog } from '../base/log.ts'
import type { OpenHereOptions } from '../cli/deps.ts'
import { Forwarder } from '../control/forwarder.ts'
import { claim, stateRoot } from '../control/instance.ts'
import { parseRule } from '../model/rule-file.ts'
import { createMemoryStore } from '../stores/memory.ts'
import { undoLeftOvers } from './left-over.ts'
import { gatherParts } from './rooms.ts'

/** @throws NaruError where the rule is wrong or a hop could not be opened; nothing is left then. */
export async function openHere({
  name,
  rule: input,
  keepPartial,
  signal,
}: OpenHereOptions): Promise<Forwarder> {
  const rule = parseRule(name, input)
  const root = stateRoot()
  await undoLeftOvers(root, { except: null, log: silentLog, signal })
  const instance = await claim(root, `open-${process.pid}-${randomBytes(3).toString('hex')}`, null)
  try {
    const publish = rule.publish.firewall !== 'off' || rule.publish.router !== 'off'
    const guests = rule.targets.some(({ to }) => to.kind === 'guest')
    const parts = await gatherParts(createMemoryStore({ [name]: input }), { rooms: { publish, guests } })
    const { forwarder } = await Forwarder.start(parts, instance, { strict: !keepPartial, signal })
    return forwarder
  } catch (error) {
    await instance.release({ forget: true })
    throw error
  }
}
