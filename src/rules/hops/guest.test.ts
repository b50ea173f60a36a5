import { describe, expect, it } from 'vitest'
import { fakeHost, fakeParts, World } from '../../../test/fakes/parts.ts'
import { NaruError } from '../../base/errors.ts'
import { say, verbatim } from '../../base/text.ts'
import type { GuestForwardRequest, GuestLease, GuestMember } from '../../guests/contract.ts'
import { docker } from '../../guests/docker/docker.ts'
import { hyperv } from '../../guests/hyperv/hyperv.ts'
import type { Recorder } from '../../model/hop.ts'
import { parseRule } from '../../model/rule-file.ts'
import type { RuleInput } from '../../model/naru-api.ts'
import { createMemoryStore } from '../../stores/memory.ts'
import { FakeEngine } from '../../../test/fakes/docker-engine.ts'
import { fakeHost as machine } from '../../../test/fakes/host.ts'
import { FakePowerShell } from '../../../test/fakes/hypervisor-tools.ts'
import { forwardFor, desireGuest } from './guest.ts'
import { desiredHops } from './index.ts'

const signal = AbortSignal.timeout(20_000)

/** A hypervisor whose guests `a` and `b` are behind its NAT, `bridged` is not, and that counts what it did. */
class Hypervisor {
  changes = 0
  /** Said in place of opening. */
  refusal: NaruError | null = null

  get member(): GuestMember {
    return {
      kind: 'qemu',
      detect: () => Promise.resolve({ ok: true, why: verbatim('here') }),
      list: () => Promise.resolve([]),
      resolve: () => Promise.resolve({ addresses: ['192.168.122.9'], ttlMs: 1000 }),
      reach: (name) => Promise.resolve(name === 'bridged' ? 'direct' : 'nat'),
      open: (request, { record }) => this.#open(request, record),
      undo: () => Promise.resolve(),
    }
  }

  async #open({ name }: GuestForwardRequest, record: Recorder): Promise<GuestLease> {
    if (this.refusal) throw this.refusal
    await record.intend({ name })
    this.changes++
    return {
      leadsTo: { kind: 'qemu', name },
      host: { address: '127.0.0.1', ports: { first: 40_000, last: 40_000 } },
      goodUntil: null,
      renewAfter: null,
      describe: () => ({ member: 'qemu', text: verbatim(name), differs: [], data: {} }),
      verify: () => Promise.resolve({ state: 'held', notes: [] }),
      renew: () => Promise.resolve(),
      release: () => Promise.resolve(),
    }
  }
}

const ruleTo = (target: string, more: RuleInput = { listen: 8888 }): ReturnType<typeof parseRule> =>
  parseRule('web', { target, ...more })

const undoable: Recorder = {
  intend: () => Promise.resolve({ amend: () => Promise.resolve(), undone: () => Promise.resolve() }),
}

describe('the plan of a guest hop', () => {
  it('changes nothing', async () => {
    const here = new Hypervisor()
    const want = await desireGuest(ruleTo('qemu:a:80'), { host: fakeHost, guests: [here.member] }, signal)
    expect(want).toMatchObject({ hop: 'guest', member: 'qemu', needs: null })
    expect(here.changes).toBe(0)
    await want?.open({ signal, record: undoable, inner: new Map() })
    expect(here.changes).toBe(1)
  })

  it('says no, because, where the hypervisor would', async () => {
    const here = new Hypervisor()
    here.refusal = new NaruError('GUEST_NO_FORWARD', {
      kind: 'qemu',
      name: 'a',
      why: say('it has no NAT', 'NAT이 없습니다'),
      fix: verbatim('--guest direct'),
    })
    const step = await guestStep([here.member], ruleTo('qemu:a:80'))
    expect(step).toMatchObject({ member: null, needs: null })
    expect(step?.why.en).toMatch(/it has no NAT.*--guest direct/)
  })

  it('tells which right is missing, and what to type', async () => {
    const here = new Hypervisor()
    const command = 'sudo setfacl -m u:$USER:rw /run/a.qmp'
    here.refusal = new NaruError('NOT_PERMITTED', { what: verbatim('talk to QEMU'), command })
    expect(await guestStep([here.member], ruleTo('qemu:a:80'))).toMatchObject({ needs: { command } })
  })

  it('says of Docker and of Hyper-V’s NAT that they cannot, and which way works', async () => {
    const container = { name: 'web', id: 'f00d', state: 'running', address: '172.17.0.2' } as const
    await using engine = await new FakeEngine([{ ...container }]).start()
    const nat = { listen: 8888, publish: { guest: 'nat' } } as const
    const published = await guestStep([docker({ url: engine.url })], ruleTo('docker:web:80', nat))
    expect(published).toMatchObject({ member: null })
    const shell = new FakePowerShell([{ Name: 'win', Id: 'a', State: 2, Addresses: ['192.168.50.10'] }])
    const host = machine({ run: shell.answer, facts: { platform: 'win32' } })
    const mapped = await guestStep([hyperv()], ruleTo('hyperv:win:80', nat), host)
    expect(mapped?.why.en).toContain('--guest direct')
  })
})

it('a hypervisor that forwards where the guest was to be dialled says so, and a rule that asked for it is not told', async () => {
  const tools = { host: fakeHost, guests: [new Hypervisor().member] }
  const told = async (more: RuleInput): Promise<string | undefined> => {
    const want = await desireGuest(ruleTo('qemu:a:80', { listen: 8888, ...more }), tools, signal)
    const lease = await want?.open({ signal, record: undoable, inner: new Map() })
    return lease?.describe().text.en
  }
  expect(await told({ publish: { guest: 'direct' } })).toContain('no way to the guest’s own address')
  expect(await told({ publish: { guest: 'nat' } })).toBe('a')
})

async function guestStep(
  guests: readonly GuestMember[],
  rule: ReturnType<typeof parseRule>,
  host = fakeHost,
): Promise<Awaited<ReturnType<typeof desiredHops>>[number] | undefined> {
  const parts = fakeParts(new World(), createMemoryStore({}), { host, guests, firewalls: [] })
  const facts = await host.facts()
  const wants = await desiredHops(rule, {
    parts,
    facts,
    failedEngines: new Map(),
    onEngineEvent: () => {},
    signal,
  })
  return wants.find(({ hop }) => hop === 'guest')
}

describe('a rule with several targets', () => {
  const two = (a: string, b: string): ReturnType<typeof parseRule> =>
    parseRule('web', { listen: 8888, targets: [{ to: a }, { to: b }] })

  it('sends through the forward only what is for that guest', async () => {
    const tools = { host: fakeHost, guests: [new Hypervisor().member] }
    const rule = two('qemu:a:80', 'qemu:bridged:80')
    const want = await desireGuest(rule, tools, signal)
    const lease = await want?.open({ signal, record: undoable, inner: new Map() })
    const inner = new Map([['guest', lease as GuestLease]] as const)
    expect(rule.targets.map(({ to }) => forwardFor(to, inner)?.ports.first ?? null)).toEqual([40_000, null])
  })

  it('is refused where two are behind a NAT: one forward would carry both to one guest', async () => {
    const tools = { host: fakeHost, guests: [new Hypervisor().member] }
    await expect(desireGuest(two('qemu:a:80', 'qemu:b:80'), tools, signal)).rejects.toMatchObject({
      code: 'GUEST_NO_FORWARD',
    })
  })
})

it('TCP and UDP at once are refused: a forward carries one of them', async () => {
  const rule = ruleTo('qemu:a:53', { listen: '8888/tcp+udp' })
  const tools = { host: fakeHost, guests: [new Hypervisor().member] }
  await expect(desireGuest(rule, tools, signal)).rejects.toMatchObject({ code: 'GUEST_NO_FORWARD' })
})
