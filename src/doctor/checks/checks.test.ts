/** The checks whose fault no Linux lab can make: each by what the system or the daemon really says then. */
import { describe, expect, it } from 'vitest'
import { fakeHost, type Answering } from '../../../test/fakes/host.ts'
import { systemClock } from '../../base/clock.ts'
import { NaruError } from '../../base/errors.ts'
import { verbatim } from '../../base/text.ts'
import type { Route } from '../../host/contract.ts'
import type { Facts } from '../../model/facts.ts'
import type { Finding } from '../../model/finding.ts'
import type { HopStatus, RuleInput } from '../../model/naru-api.ts'
import { parseRule } from '../../model/rule-file.ts'
import type { FirewallMember } from '../../firewalls/contract.ts'
import type { CheckSubject, Lan, Readings, SeenRouter, SeenTarget, UnclaimedOpening } from './contract.ts'
import { parseProfiles, parseZones } from './firewall-profile.ts'
import { checks } from './index.ts'
import { parseGsettings, parsePmset, parsePowercfg } from './machine-sleeps.ts'
import { parseExcludedRanges } from './reserved-range.ts'

const lan: Lan = {
  interface: {
    name: '이더넷',
    kind: 'ethernet',
    up: true,
    mac: null,
    index: 4,
    addresses: [{ family: 4, address: '192.168.0.19', bits: 24 }],
  },
  address: '192.168.0.19',
  bits: 24,
  gateway: '192.168.0.1',
}

const defaultRoute: Route = { family: 4, interface: 'eth0', gateway: null, source: null, metric: 0 }

interface Scene {
  readonly rule?: RuleInput | null
  readonly hops?: readonly HopStatus[]
  readonly servedByUs?: boolean
  readonly outside?: CheckSubject['outside']
  readonly facts?: Partial<Facts>
  readonly run?: Answering
  /** The interface by which packets for the internet leave. */
  readonly wayOut?: string
  readonly look?: Partial<Readings>
  readonly names?: readonly string[]
}

/** A chain on which nothing is wrong, but for what the scene says. */
function subject({
  rule = {},
  hops = [],
  servedByUs = false,
  facts,
  run,
  wayOut,
  look,
  names = [],
  outside = [],
}: Scene): CheckSubject {
  const host = fakeHost({
    ...(facts && { facts }),
    ...(run && { run }),
    ...(wayOut && { network: { routeTo: () => Promise.resolve({ ...defaultRoute, interface: wayOut }) } }),
  })
  const quiet: Readings = {
    facts: () => host.facts(),
    interfaces: () => Promise.resolve([lan.interface]),
    defaultRoutes: () => Promise.resolve([]),
    lan: () => Promise.resolve(lan),
    listeners: () => Promise.resolve([]),
    dial: () => Promise.resolve({ result: 'connected', errno: null, ms: 1 }),
    targets: () => Promise.resolve([]),
    guests: () => Promise.resolve([]),
    firewall: () => Promise.resolve(null),
    admission: () => Promise.resolve(null),
    wayRound: () => Promise.resolve(null),
    unclaimed: () => Promise.resolve([]),
    routers: () => Promise.resolve([]),
    secondHop: () => Promise.resolve(null),
    stun: () => Promise.resolve(null),
    shared: (_, ask) => ask(AbortSignal.timeout(5000)),
    addressesOf: () => Promise.reject(new NaruError('NAME_NOT_FOUND', { host: 'x' } as never)),
    ...look,
  }
  const written = { listen: 8888, target: 80, publish: { firewall: 'auto', router: 'auto' }, ...rule }
  return {
    rule: rule === null ? null : parseRule('web', written),
    hops,
    servedByUs,
    host,
    clock: systemClock,
    routers: [],
    firewalls: [],
    guests: [],
    mayAskInternet: false,
    names: () => Promise.resolve(names),
    outside,
    look: quiet,
  }
}

/** A guest's target, where whoever keeps it cannot be asked. */
function unseen(code: 'GUEST_NO_TOOL' | 'GUEST_NOT_HERE'): SeenTarget {
  const problem = new NaruError(code, { kind: 'vmware', why: verbatim('vmrun is not installed') })
  const guest = { kind: 'vmware', name: 'win10' }
  const seen = { addresses: [], local: false, dialled: null, neighbour: null, problem }
  return { text: 'vmware:win10:80', guest, port: 80, protocol: 'tcp', ...seen }
}

async function found(code: string, scene: Scene): Promise<readonly Finding[]> {
  const check = checks.find((one) => one.code === code)
  if (!check) throw new Error(`there is no check ${code}`)
  return check.run(subject(scene), { signal: AbortSignal.timeout(5000) })
}

const broken = (hop: HopStatus['hop'], problem: string): HopStatus => ({
  hop,
  member: 'upnp',
  state: 'broken',
  text: verbatim(problem),
  notes: [],
  data: {},
  problem,
  checkedAt: 1,
})

const held = (hop: HopStatus['hop'], data: HopStatus['data']): HopStatus => ({
  ...broken(hop, ''),
  state: 'ok',
  data,
  problem: null,
})

const windows = { platform: 'win32' as const }
const router = (externalAddress: string | null, mappings: SeenRouter['mappings'] = []): SeenRouter => ({
  router: { family: 4, member: 'upnp' } as SeenRouter['router'],
  info: { externalAddress, above: 'public' } as SeenRouter['info'],
  mappings,
  unread: null,
})

describe('the address that a rule listens on', () => {
  it('is missed where no interface has it and no local route leads to it', async () => {
    const gone = await found('address-gone', { rule: { listen: '192.168.0.77:8888/udp' } })
    expect(gone).toMatchObject([
      { hop: 'relay', fixes: [{ command: 'naru edit web --listen 8888/udp' }, {}] },
    ])
  })

  it('is not missed where it is there, is every one, or is local by a route alone', async () => {
    for (const listen of ['192.168.0.19:8888', '127.0.0.1:8888', '0.0.0.0:8888', '[::]:8888', '8888'])
      expect(await found('address-gone', { rule: { listen } }), listen).toEqual([])
    const lo = { ...lan.interface, name: 'lo', kind: 'loopback' as const, addresses: [] }
    const look = { interfaces: () => Promise.resolve([lan.interface, lo]) }
    expect(
      await found('address-gone', { rule: { listen: '198.51.100.7:8888' }, wayOut: 'lo', look }),
    ).toEqual([])
  })

  it('of a zone is looked for on that interface alone', async () => {
    const at = (name: string) => ({
      ...lan.interface,
      name,
      addresses: [{ family: 6 as const, address: 'fe80::1', bits: 64 }],
    })
    const look = { interfaces: () => Promise.resolve([at('eth0')]) }
    expect(await found('address-gone', { rule: { listen: '[fe80::1%eth0]:8888' }, look })).toEqual([])
    expect(await found('address-gone', { rule: { listen: '[fe80::1%eth1]:8888' }, look })).toHaveLength(1)
  })
})

describe('on Windows', () => {
  const excluded = `
프로토콜 tcp 포트 제외 범위

시작 포트    끝 포트
----------    --------
      5357        5357
      8800        8899
     50000       50059     *

* - 관리되는 포트 제외입니다.
`

  it('reserved-range: a port that Hyper-V has set aside', async () => {
    expect(parseExcludedRanges(excluded)).toHaveLength(3)
    const run: Answering = ([command]) => (command === 'netsh' ? excluded : undefined)
    const [finding] = await found('reserved-range', { facts: windows, run })
    expect(finding?.evidence[0]?.en).toContain('8800-8899')
    expect(finding?.fixes[0]?.command).toContain('8900')
    expect(await found('reserved-range', { facts: windows, run, rule: { listen: 7000 } })).toEqual([])
  })

  const profiles = (category: number, bits: number): string =>
    JSON.stringify({
      networks: [{ InterfaceAlias: '이더넷', Category: category }],
      rules: [{ DisplayName: 'web', Profiles: bits, Action: 2 }],
    })

  it('vpn-route: a VPN that took the only default route is no missing gateway', async () => {
    const tunnel = { ...lan.interface, name: 'tun0', kind: 'vpn' as const }
    const interfaces = () => Promise.resolve([lan.interface, tunnel])
    const look = { interfaces, lan: () => Promise.resolve({ ...lan, gateway: null }) }
    expect(await found('vpn-route', { rule: null, look, wayOut: 'tun0' })).toHaveLength(1)
    expect(await found('no-gateway', { rule: null, look, wayOut: 'tun0' })).toEqual([])
    expect(await found('no-gateway', { rule: null, look, wayOut: '이더넷' })).toHaveLength(1)
    expect(
      await found('no-gateway', {
        rule: null,
        look: { ...look, lan: () => Promise.resolve(null) },
        wayOut: 'tun0',
      }),
    ).toHaveLength(1)
  })

  it('firewall-profile: a rule for private networks on a public one', async () => {
    const run =
      (json: string): Answering =>
      ([command]) =>
        command === 'powershell' ? json : undefined
    expect(await found('firewall-profile', { facts: windows, run: run(profiles(0, 2)) })).toHaveLength(1)
    expect(await found('firewall-profile', { facts: windows, run: run(profiles(1, 2)) })).toEqual([])
    expect(await found('firewall-profile', { facts: windows, run: run(profiles(0, 0)) })).toEqual([])
    expect(parseProfiles('not json')).toEqual({ networks: [], allows: [] })
  })

  it('security-suite: another maker’s firewall is on', async () => {
    const run: Answering = () =>
      '[{"displayName":"AhnLab V3 방화벽","productState":266240},{"displayName":"Old","productState":262144}]'
    const [finding, ...more] = await found('security-suite', { facts: windows, run })
    expect(finding?.evidence[0]?.ko).toContain('AhnLab V3 방화벽')
    expect(more).toEqual([])
    expect(await found('security-suite', { facts: windows, run: () => '' })).toEqual([])
  })

  it('hyperv-firewall: Windows itself may not go in to WSL', async () => {
    const found80 = (setting: object): Promise<readonly unknown[]> =>
      found('hyperv-firewall', {
        facts: windows,
        rule: { target: 'wsl:Ubuntu:80' },
        run: () =>
          JSON.stringify({ enabled: 1, loopback: 0, action: 4, allowed: ['443', '8000-8010'], ...setting }),
      })
    expect(await found80({})).toHaveLength(1)
    expect(await found80({ action: 0, allowed: [] })).toHaveLength(1)
    // As Windows 11 has it unless somebody changes it: the relay dials from Windows, and needs no rule.
    expect(await found80({ loopback: 1 })).toEqual([])
    expect(await found80({ loopback: 2 })).toEqual([])
    expect(await found80({ enabled: 0 })).toEqual([])
    expect(await found80({ action: 2 })).toEqual([])
    for (const allowed of [['80'], ['70-90'], ['Any']]) expect(await found80({ allowed })).toEqual([])
    // Windows 10 has no such firewall: the script ends without an answer.
    const none = { facts: windows, rule: { target: 'wsl:Ubuntu:80' }, run: () => '' }
    expect(await found('hyperv-firewall', none)).toEqual([])
    const elsewhere: Answering = () => '{"enabled":1,"loopback":0,"action":4,"allowed":[]}'
    expect(await found('hyperv-firewall', { facts: windows, run: elsewhere })).toEqual([])
  })

  it('nat-service-stopped: VMware’s NAT service, whatever the language', async () => {
    const rule = { target: 'vmware:win10:80' }
    const state =
      (line: string): Answering =>
      () =>
        `\nSERVICE_NAME: VMware NAT Service\n        ${line}\n`
    expect(
      await found('nat-service-stopped', {
        facts: windows,
        rule,
        run: state('STATE              : 1  STOPPED'),
      }),
    ).toHaveLength(1)
    expect(
      await found('nat-service-stopped', {
        facts: windows,
        rule,
        run: state('상태               : 1  STOPPED'),
      }),
    ).toHaveLength(1)
    expect(
      await found('nat-service-stopped', {
        facts: windows,
        rule,
        run: state('STATE              : 4  RUNNING'),
      }),
    ).toEqual([])
  })

  it('nat-service-stopped: vmnet-natd elsewhere', async () => {
    const rule = { target: 'vmware:win10:80' }
    expect(await found('nat-service-stopped', { rule, run: () => ({ exit: 1 }) })).toHaveLength(1)
    expect(await found('nat-service-stopped', { rule, run: () => ({ exit: 0, stdout: '812\n' }) })).toEqual(
      [],
    )
    expect(await found('nat-service-stopped', { rule, run: () => undefined })).toEqual([])
    const look = { targets: () => Promise.resolve([unseen('GUEST_NO_TOOL')]) }
    expect(await found('nat-service-stopped', { rule, run: () => ({ exit: 1 }), look })).toEqual([])
  })

  it('guest-unseen: whoever keeps the guest cannot be asked, and the way round is told', async () => {
    const rule = { target: 'vmware:win10:80' }
    for (const code of ['GUEST_NO_TOOL', 'GUEST_NOT_HERE'] as const) {
      const look = { targets: () => Promise.resolve([unseen(code)]) }
      const [finding] = await found('guest-unseen', { rule, look })
      expect(finding?.evidence[0]?.en).toBe('cannot ask vmware for its guests: vmrun is not installed')
      expect(finding?.fixes.at(-1)?.command).toBe('naru edit web --target ADDRESS:80')
    }
    const stopped = new NaruError('GUEST_STOPPED', {
      kind: 'vmware',
      name: 'win10',
      state: 'off',
      start: 'x',
    })
    const look = { targets: () => Promise.resolve([{ ...unseen('GUEST_NO_TOOL'), problem: stopped }]) }
    expect(await found('guest-unseen', { rule, look })).toEqual([])
  })

  it('where no Naru runs, that is the cause: of its own page, and of a firewall that it would open', async () => {
    const target = { text: '127.0.0.1:6280', guest: null, addresses: ['127.0.0.1'], port: 6280 } as const
    const refused = { result: 'refused', errno: 'ECONNREFUSED', ms: 1 } as const
    const seen = {
      ...target,
      protocol: 'tcp',
      local: true,
      problem: null,
      dialled: refused,
      neighbour: null,
    } as const
    const look = { targets: () => Promise.resolve([seen]) }
    const dependsOn = async (code: string, scene: Scene): Promise<readonly string[]> =>
      (await found(code, scene))[0]?.dependsOn ?? []
    expect(await dependsOn('service-down', { look })).not.toContain('relay-not-open')
    expect(await dependsOn('service-down', { look, servedByUs: true })).toContain('relay-not-open')
    const blocked = { verdict: 'blocked', by: 'inet filter input: policy drop', why: verbatim('') } as const
    const admission = (): ReturnType<Readings['admission']> =>
      Promise.resolve({ ...blocked, protocol: 'tcp', port: 8888 })
    const member = { id: 'nftables' } as unknown as FirewallMember
    const firewall = { admission, firewall: () => Promise.resolve({ member }) }
    expect(await dependsOn('host-firewall', { look: firewall })).toContain('relay-not-open')
    const inside = { publish: { firewall: 'off', router: 'off' } } as const
    expect(await dependsOn('host-firewall', { rule: inside, look: firewall })).not.toContain('relay-not-open')
    const [closed] = await found('relay-not-open', {})
    expect(closed?.fixes.map(({ command }) => command)).toEqual(['naru up'])
    // A daemon that runs and could not open it says itself what to do.
    const taken = { ...broken('relay', 'LISTEN_IN_USE'), notes: [verbatim('choose another port')] }
    const [held] = await found('relay-not-open', { hops: [taken] })
    expect(held?.fixes).toEqual([{ text: verbatim('choose another port') }])
  })

  it('host-firewall: opens anew what a rule asks for already, and names the zone that blocks', async () => {
    const commands = async (by: string, scene: Scene = {}): Promise<readonly (string | undefined)[]> => {
      const blocked = { verdict: 'blocked', by, why: verbatim(''), protocol: 'tcp', port: 8888 } as const
      const member = { id: 'firewalld' } as unknown as FirewallMember
      const look = {
        admission: (): ReturnType<Readings['admission']> => Promise.resolve(blocked),
        firewall: () => Promise.resolve({ member }),
      }
      return ((await found('host-firewall', { ...scene, look }))[0]?.fixes ?? []).map(
        ({ command }) => command,
      )
    }
    expect(await commands('inet firewalld filter_IN_my-home: reject with icmpx admin-prohibited')).toEqual([
      'naru doctor web --fix',
      'sudo firewall-cmd --zone=my-home --add-port=8888/tcp',
    ])
    const inside = { rule: { publish: { firewall: 'off', router: 'off' } } } as const
    expect(await commands('IN_dmz_post: -j REJECT', inside)).toEqual([
      'naru edit web --firewall',
      'sudo firewall-cmd --zone=dmz --add-port=8888/tcp',
    ])
    expect((await commands('inet firewalld filter_INPUT: reject')).at(-1)).toBe(
      'sudo firewall-cmd --add-port=8888/tcp',
    )
  })

  it('machine-sleeps: what holds on mains power, in seconds', async () => {
    const powercfg = '    현재 AC 전원 설정 색인: 0x00000708\n    현재 DC 전원 설정 색인: 0x00000384\n'
    expect(parsePowercfg(powercfg)).toBe(1800)
    expect(parsePmset('Battery Power:\n sleep                1\nAC Power:\n sleep                10\n')).toBe(
      600,
    )
    expect(parseGsettings("org.gnome.settings-daemon.plugins.power sleep-inactive-ac-type 'nothing'\n")).toBe(
      0,
    )
    const [finding] = await found('machine-sleeps', { rule: null, facts: windows, run: () => powercfg })
    expect(finding?.evidence[0]?.en).toContain('30 minutes')
    expect(await found('machine-sleeps', { rule: null, run: () => undefined })).toEqual([])
  })
})

describe('by what the daemon and the router say', () => {
  it('port-privileged: a low port without the right', async () => {
    const facts = { privileged: false, firstUnprivilegedPort: 1024 }
    expect(await found('port-privileged', { facts, rule: { listen: 80, target: 8080 } })).toHaveLength(1)
    expect(await found('port-privileged', { facts })).toEqual([])
  })

  it('opening-left: with the command that takes it away; what another Naru may hold is a remark', async () => {
    const opening = { text: 'nft inet filter input tcp dport 8888', command: 'sudo nft delete rule …' }
    const scene = (...whose: readonly UnclaimedOpening['whose'][]): Scene => ({
      rule: null,
      look: { unclaimed: () => Promise.resolve(whose.map((one) => ({ ...opening, whose: one }))) },
    })
    const [mixed] = await found('opening-left', scene('unknown', 'ours', 'nobodys'))
    expect(mixed).toMatchObject({ severity: 'warns', rule: null })
    expect(mixed?.evidence.map(({ en }) => en.includes('the next start'))).toEqual([false, true, false])
    expect(mixed?.fixes.map(({ command }) => command)).toEqual(Array(3).fill(opening.command))
    expect(await found('opening-left', scene('unknown'))).toMatchObject([{ severity: 'informs' }])
    expect(await found('opening-left', { ...scene('ours'), rule: {} })).toEqual([])
  })

  it('router-table-full: and which entries look forgotten', async () => {
    const stale = {
      protocol: 'tcp' as const,
      externalPort: 6881,
      internalAddress: '192.168.0.77',
      internalPort: 6881,
      description: 'old game',
      enabled: true,
      leaseSecondsLeft: null,
      remoteHost: null,
      ours: false,
    }
    const look = { routers: () => Promise.resolve([router('8.8.4.4', [stale])]) }
    const [finding] = await found('router-table-full', {
      hops: [broken('router', 'ROUTER_TABLE_FULL')],
      look,
    })
    expect(finding?.evidence[1]?.en).toContain(
      '"old game" looks forgotten'.replace('"old game"', '("old game")'),
    )
    expect(finding?.fixes[1]?.command).toBe('naru router rm 6881/tcp')
  })

  it('mapping-not-done: said and not done', async () => {
    const [finding] = await found('mapping-not-done', { hops: [broken('router', 'ROUTER_NOT_DONE')] })
    expect(finding?.fixes.map(({ command }) => command)).toEqual([
      'naru edit web --router pcp',
      'naru edit web --router nat-pmp',
    ])
  })

  it('no-hairpin: a remark, never a fault', async () => {
    const look: Partial<Readings> = {
      routers: () => Promise.resolve([router('8.8.4.4')]),
      dial: () => Promise.resolve({ result: 'silent', errno: null, ms: 1500 }),
    }
    const [finding] = await found('no-hairpin', { hops: [held('router', { externalPort: 8888 })], look })
    expect(finding?.severity).toBe('informs')
    expect(finding?.evidence[0]?.en).toContain('says nothing of the outside')
    expect(finding?.fixes[0]?.command).toBe('naru doctor web --from-phone')
    const who = { kind: 'phone', address: '8.8.8.8' } as const
    const came = { port: 8888, to: '8.8.4.4', who, result: 'answered', synsSeen: 1 } as const
    const hops = [held('router', { externalPort: 8888 })]
    const [after] = await found('no-hairpin', { hops, look, outside: [came] })
    expect(after?.fixes.map(({ command }) => command)).not.toContain('naru doctor web --from-phone')
  })

  it('mapping-lost: the list has it no more; a list that could not be read is no all-clear', async () => {
    const hops = [held('router', { externalPort: 8888 })]
    const scene = (seen: SeenRouter): Scene => ({ hops, look: { routers: () => Promise.resolve([seen]) } })
    expect(await found('mapping-lost', scene(router('8.8.4.4', [])))).toHaveLength(1)
    expect(await found('mapping-lost', scene(router('8.8.4.4', null)))).toEqual([])
    const unread = new NaruError('ROUTER_SILENT', { router: '192.168.0.1', protocol: 'UPnP', why: 'late' })
    await expect(found('mapping-lost', scene({ ...router('8.8.4.4', null), unread }))).rejects.toMatchObject({
      code: 'ROUTER_SILENT',
    })
  })

  it('dns-stale: the name is not our address any more', async () => {
    const routers = (): Promise<SeenRouter[]> => Promise.resolve([router('8.8.4.4')])
    const scene = (address: string): Scene => ({
      names: ['home.example.org'],
      look: { routers, addressesOf: () => Promise.resolve([address]) },
    })
    expect(await found('dns-stale', scene('9.9.9.9'))).toHaveLength(1)
    expect(await found('dns-stale', scene('8.8.4.4'))).toEqual([])
    expect(await found('dns-stale', { names: ['gone.example.org'], look: { routers } })).toHaveLength(1)
  })

  it('rule-loop: by which rules it comes back, of many the first', async () => {
    const round = (...way: string[]): Scene => ({ look: { wayRound: () => Promise.resolve(way) } })
    const [finding] = await found('rule-loop', round('web', 'api', 'old'))
    expect(finding?.evidence[0]?.en).toContain('web → api → old → web: these rules lead to each other')
    expect(finding?.fixes[0]?.command).toBe('naru edit web --target HOST:PORT')
    const [long] = await found('rule-loop', round(...Array.from({ length: 5000 }, (_, at) => `r${at}`)))
    expect(long?.evidence[0]?.en.length).toBeLessThan(300)
    expect(await found('rule-loop', {})).toEqual([])
  })

  it('cannot-dial: this machine has no port left, or no address of the family; the service is not blamed', async () => {
    const target = (address: string) => ({
      text: address,
      guest: null,
      addresses: [address],
      port: 80,
      protocol: 'tcp' as const,
      local: false,
      problem: null,
      dialled: { result: 'unreachable' as const, errno: 'EADDRNOTAVAIL', ms: 0 },
      neighbour: null,
    })
    const at = (address: string): Scene => ({ look: { targets: () => Promise.resolve([target(address)]) } })
    const [ports] = await found('cannot-dial', at('10.0.0.2'))
    expect(ports?.evidence[0]?.en).toContain('each port that this machine dials from is taken')
    const [family] = await found('cannot-dial', at('fd00::2'))
    expect(family?.evidence[0]?.en).toContain('this machine has no IPv6 address')
    expect(await found('service-down', at('10.0.0.2'))).toEqual([])
  })

  it('guest-bridged and guest-forward-missing: what the hypervisor lists', async () => {
    const rule = { target: 'vmware:win10:80' }
    const target = {
      text: 'vmware:win10:80',
      guest: { kind: 'vmware', name: 'win10' },
      port: 80,
      protocol: 'tcp' as const,
      local: false,
      problem: null,
      dialled: null,
      neighbour: true,
    }
    const targets = (address: string): Partial<Readings> => ({
      targets: () => Promise.resolve([{ ...target, addresses: [address] }]),
    })
    expect(await found('guest-bridged', { rule, look: targets('192.168.0.50') })).toHaveLength(1)
    expect(await found('guest-bridged', { rule, look: targets('192.168.79.128') })).toEqual([])
    const guest = {
      kind: 'vmware' as const,
      name: 'win10',
      id: '1',
      state: 'running' as const,
      addresses: [],
      forwards: [],
    }
    const look = { guests: () => Promise.resolve([guest]) }
    const hops = [held('guest', { address: '127.0.0.1', ports: { first: 40_080, last: 40_080 } })]
    expect(await found('guest-forward-missing', { rule, hops, look })).toHaveLength(1)
  })

  it('double-nat does not advise what the inner router has just refused', async () => {
    const commands = async (problem: string): Promise<unknown> => {
      const rule = { publish: { router: 'auto' } }
      const [finding] = await found('double-nat', { rule, hops: [broken('router', problem)] })
      return finding?.fixes.map(({ command }) => command?.split(' ').slice(0, 3).join(' ') ?? null)
    }
    expect(await commands('ROUTER_BEHIND_ROUTER')).toEqual([null, 'naru router check'])
    expect(await commands('ROUTER_NAT_BETWEEN')).toEqual([expect.any(String), null, 'naru router check'])
  })

  it('router-no-address and outside-silent give way to a better explanation', () => {
    const depends = (code: string): readonly string[] =>
      checks.find((check) => check.code === code)?.dependsOn ?? []
    expect(depends('router-no-address')).toContain('double-nat')
    expect(depends('outside-silent')).toContain('provider-blocks')
  })
})

describe('every check', () => {
  it('has a code of its own, depends on codes there are, and speaks both languages', () => {
    const codes = checks.map(({ code }) => code)
    expect(new Set(codes).size).toBe(codes.length)
    for (const { code, dependsOn, title, explains, remedy } of checks) {
      expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/)
      for (const other of dependsOn) expect(codes).toContain(other)
      for (const text of [title, explains, remedy])
        expect(/[가-힣]/.test(text.ko) && text.en !== '').toBe(true)
    }
  })

  it('finds nothing on a chain where nothing is wrong', async () => {
    const answer = {
      verdict: 'allowed' as const,
      by: '',
      why: verbatim(''),
      protocol: 'tcp' as const,
      port: 8888,
    }
    const look: Partial<Readings> = {
      dial: () => Promise.resolve({ result: 'refused', errno: 'ECONNREFUSED', ms: 1 }),
      admission: () => Promise.resolve(answer),
      routers: () => Promise.resolve([router('8.8.4.4')]),
    }
    const hops = [held('relay', {}), held('firewall', {})]
    for (const { code } of checks) expect(await found(code, { look, hops }), code).toEqual([])
  })

  it('reads firewalld’s zones', () => {
    const text =
      'home\n  target: default\n  interfaces: \n  ports: 8888/tcp 53/udp\n  protocols: \n\npublic (active)\n  interfaces: eth0 eth1\n  ports: \n'
    expect(parseZones(text)).toEqual([
      { name: 'home', interfaces: [], ports: ['8888/tcp', '53/udp'] },
      { name: 'public', interfaces: ['eth0', 'eth1'], ports: [] },
    ])
  })
})
