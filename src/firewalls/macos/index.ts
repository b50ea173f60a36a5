/**
 * macOS: the application firewall lets a program in, not a port, so the program that runs Naru is allowed while any
 * lease needs it and put back as it was after the last. Where pf blocks too, each lease has its own anchor with ports
 * and allow-list.
 */
import { withLimit } from '../../base/clock.ts'
import { formatPortRange } from '../../base/port.ts'
import { NaruError, isNaruError } from '../../base/errors.ts'
import { say, type Text } from '../../base/text.ts'
import type { Json, Lease, OpenOptions, Verdict } from '../../model/hop.ts'
import { newTag } from '../../model/tag.ts'
import type {
  FirewallAnswer,
  FirewallMember,
  FirewallOptions,
  FirewallQuestion,
  FirewallRequest,
} from '../contract.ts'
import { FirewallLease, inFew } from '../lease.ts'
import {
  allowCommand,
  readApplicationFirewall,
  setState,
  stateOf,
  type ApplicationFirewall,
  type ProgramState,
} from './application-firewall.ts'
import {
  anchorFor,
  anchorHolds,
  anchorRules,
  clearAnchor,
  isOurAnchor,
  loadAnchor,
  pfBlocks,
} from './packet-filter.ts'

export const macos: FirewallMember = {
  id: 'macos',
  async detect(options) {
    const { platform } = await options.host.facts()
    if (platform !== 'darwin') return { ok: false, why: say('this is not macOS') }
    const { enabled } = await readApplicationFirewall(options)
    if (enabled) return { ok: true, why: say('the application firewall is on') }
    if (await pfBlocks(options)) return { ok: true, why: say('pf is on and blocks') }
    return { ok: false, why: say('the application firewall is off') }
  },
  async status(options) {
    const firewall = await readApplicationFirewall(options)
    const open = firewall.programs
      .filter(({ allowed }) => allowed)
      .map(({ path }) => ({
        protocol: 'any' as const,
        ports: null,
        from: null,
        ours: holders.get(path)?.rule ?? null,
        text: path,
      }))
    return {
      member: 'macos',
      active: firewall.enabled,
      defaultInput: firewall.enabled ? 'block' : 'allow',
      open,
    }
  },
  explain,
  // It decides by program, and says its path for either.
  decidesByDefault: () => true,
  open: (request, options) => inFew(options.host, options.signal, () => open(request, options)),
  byHand: () => allowCommand(process.execPath),
  undo,
}

/** Programs that leases of this process opened: how many need each, and what it was before. */
const holders = new Map<string, { count: number; readonly rule: string; readonly before: ProgramState }>()

interface Effect {
  readonly tag: string
  readonly program: string
  /** Null where the program was let in already. */
  readonly before: ProgramState | null
  readonly anchor: string | null
}

async function open(request: FirewallRequest, options: FirewallOptions & OpenOptions): Promise<Lease> {
  const at = (signal: AbortSignal): FirewallOptions => ({ host: options.host, signal })
  const tag = newTag(request.rule)
  const program = process.execPath
  const firewall = await readApplicationFirewall(options)
  if (firewall.enabled && firewall.blocksAll) throw blockedByAll(request)
  const state = stateOf(firewall, program)
  const shared = holders.get(program)
  const before = !firewall.enabled ? null : (shared?.before ?? (state === 'allowed' ? null : state))
  const effect: Effect = { tag, program, before, anchor: (await pfBlocks(options)) ? anchorFor(tag) : null }
  const journal = await options.record.intend(effect as unknown as Json)
  try {
    await apply(effect, request, options)
  } catch (error) {
    await takeBack(effect, at(withLimit(undefined, 10_000))).then(
      () => journal.undone(),
      () => undefined,
    )
    throw named(error, request)
  }
  return new FirewallLease({
    member: 'macos',
    text: say`${program} is let in by the application firewall`,
    differs: () => (effect.anchor === null ? [perProgram] : []),
    data: (): Json => ({ ...effect, ports: portsText(request) }),
    verify: (signal) => verify(effect, request, at(signal)),
    async renew(signal) {
      const verdict = await verify(effect, request, at(signal))
      if (verdict.state === 'held') return
      if (isNaruError(verdict.why, 'FIREWALL_OVERRULED')) throw verdict.why
      if (effect.before !== null) await setState(program, 'allowed', at(signal))
      if (effect.anchor !== null) await loadAnchor(effect.anchor, anchorRules(request, tag), at(signal))
    },
    async release(signal) {
      await takeBack(effect, at(signal))
      await journal.undone()
    },
  })
}

const portsText = ({ ports, protocols }: FirewallRequest): string =>
  `${formatPortRange(ports)}/${protocols.join('+')}`

const perProgram: Text = say(
  'macOS lets the program in, not the port: ports and allow-list are held by the relay',
)

async function apply(
  { tag, program, before, anchor }: Effect,
  request: FirewallRequest,
  options: FirewallOptions,
): Promise<void> {
  if (before !== null) {
    const holder = holders.get(program)
    if (holder) holder.count++
    else holders.set(program, { count: 1, rule: request.rule, before })
    if (!holder) await setState(program, 'allowed', options)
  }
  if (anchor !== null) await loadAnchor(anchor, anchorRules(request, tag), options)
}

async function takeBack({ program, before, anchor }: Effect, options: FirewallOptions): Promise<void> {
  if (anchor !== null) await clearAnchor(anchor, options)
  const holder = holders.get(program)
  if (before === null || !holder) return
  if (holder.count === 1) await setState(program, before, options)
  if (--holder.count === 0) holders.delete(program)
}

async function undo(written: Json, options: FirewallOptions): Promise<void> {
  const { program, before, anchor } = written as { program?: unknown; before?: unknown; anchor?: unknown }
  if (typeof anchor === 'string' && isOurAnchor(anchor)) await clearAnchor(anchor, options)
  // A lease of this process may need it still.
  if (typeof program !== 'string' || holders.has(program)) return
  if (before !== 'absent' && before !== 'blocked') return
  const state = stateOf(await readApplicationFirewall(options), program)
  if (state === 'allowed') await setState(program, before, options)
}

async function verify(
  { tag, program, before, anchor }: Effect,
  request: FirewallRequest,
  options: FirewallOptions,
): Promise<Verdict> {
  const firewall = await readApplicationFirewall(options)
  if (firewall.enabled && firewall.blocksAll) return { state: 'lost', why: blockedByAll(request) }
  const open =
    !firewall.enabled ||
    stateOf(firewall, program) === 'allowed' ||
    (before === null && stateOf(firewall, program) !== 'blocked')
  if (open && (anchor === null || (await anchorHolds(anchor, tag, options))))
    return { state: 'held', notes: [] }
  const parts = { ports: portsText(request), rule: request.rule, firewall: 'macos' }
  return { state: 'lost', why: new NaruError('FIREWALL_LOST', parts) }
}

const blockedByAll = (request: FirewallRequest): NaruError =>
  new NaruError('FIREWALL_OVERRULED', {
    ports: portsText(request),
    firewall: 'macos',
    by: 'Block all incoming connections (System Settings › Network › Firewall › Options)',
  })

/** Without rights: both commands, ready to paste. */
function named(error: unknown, request: FirewallRequest): unknown {
  if (!isNaruError(error, 'NOT_PERMITTED')) return error
  const what = say`open ${portsText(request)} in the application firewall`
  return new NaruError('NOT_PERMITTED', { what, command: allowCommand(process.execPath) }, { cause: error })
}

/** By the program that listens; where nobody listens yet, by the one that runs Naru. */
async function explain(
  { port, protocol }: FirewallQuestion,
  options: FirewallOptions,
): Promise<FirewallAnswer> {
  const firewall = await readApplicationFirewall(options)
  if (await pfBlocks(options))
    return {
      verdict: 'unknown',
      by: 'pf',
      why: say('pf is on and blocks; its rules are not evaluated here'),
    }
  if (!firewall.enabled)
    return {
      verdict: 'allowed',
      by: '',
      why: say('the application firewall is off'),
    }
  if (firewall.blocksAll)
    return {
      verdict: 'blocked',
      by: 'Block all incoming connections',
      why: say('no program is let in'),
    }
  const sockets = await options.host.sockets.list({ signal: options.signal }).catch(() => [])
  const name = sockets.find((one) => one.protocol === protocol && one.port === port)?.process?.name ?? null
  return byProgram(firewall, name)
}

function byProgram({ programs }: ApplicationFirewall, name: string | null): FirewallAnswer {
  const found = programs.find(({ path }) =>
    name === null ? path === process.execPath : baseName(path) === name,
  )
  if (!found)
    return {
      verdict: 'unknown',
      by: name ?? process.execPath,
      why: say('macOS asks when this program first listens; signed programs are let in'),
    }
  return found.allowed
    ? {
        verdict: 'allowed',
        by: found.path,
        why: say('the program is let in'),
      }
    : {
        verdict: 'blocked',
        by: found.path,
        why: say('the program is blocked'),
      }
}

/** `Web.app` for a bundle, the last word of a path otherwise. */
const baseName = (path: string): string =>
  path
    .split('/')
    .at(-1)
    ?.replace(/\.app$/, '') ?? path
