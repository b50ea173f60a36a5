import { describe, expect, it } from 'vitest'
import { FakeIo, fakeDeps, naru } from '../../test/fakes/io.ts'
import { FakeMachine, diagnosis, finding } from '../../test/fakes/machine.ts'
import { FakeNaru, ruleStatus } from '../../test/fakes/naru.ts'
import { asRoot } from '../base/privilege.ts'
import { NaruError } from '../base/errors.ts'
import { say } from '../base/text.ts'
import type { CliDeps } from './deps.ts'

const machine = new FakeMachine()
const deps = (fake = machine, daemon: FakeNaru | null = null): CliDeps =>
  fakeDeps(daemon, { machine: () => Promise.resolve(fake), ports: () => Promise.resolve(fake) })
const out = async (line: string): Promise<string[]> => (await naru(line, deps())).out

describe('ip', () => {
  it('shows interfaces, gateway, public address and what NAT is above', async () => {
    const { out, talk } = await naru('ip', deps())
    expect(out).toEqual([
      'INTERFACE  KIND      ADDRESS          SCOPE',
      'eth0       ethernet  192.168.1.10/24  private     ← faces the LAN',
      '                     fe80::1/64       link-local',
      '',
      'gateway IPv4: 192.168.1.1 (eth0)',
      'DNS: 192.168.1.1',
      'public address: 203.0.113.5 (router: upnp-2)',
      'router: ASUS RT-AX86U (upnp-2, http://192.168.1.1/)',
      'NAT: one router, with the public address 203.0.113.5',
    ])
    expect(talk).toEqual(['! no DNS over IPv6'])
  })

  it('begins with the address that others of this network type, and ends with loopback', async () => {
    const fake = new FakeMachine()
    const addresses = await fake.addresses({ signal: AbortSignal.timeout(1000), mayAskInternet: false })
    const [lan] = addresses.interfaces
    const other = (name: string, kind: 'vm' | 'loopback') => ({ ...lan!, name, kind, facesLan: false })
    const interfaces = [other('lo', 'loopback'), other('vmnet8', 'vm'), lan!]
    const answer = { ...addresses, interfaces }
    const { out } = await naru('ip', deps(Object.assign(fake, { addresses: () => Promise.resolve(answer) })))
    const names = out.map((line) => /^(eth0|vmnet8|lo) /.exec(line)?.[1]).filter((name) => name !== undefined)
    expect(names).toEqual(['eth0', 'vmnet8', 'lo'])
  })

  it('speaks Korean, and asks the internet only when told', async () => {
    const fake = new FakeMachine()
    const { out } = await naru('ip --lang ko --all --internet', deps(fake))
    expect(out.slice(0, 4)).toEqual([
      '인터페이스  종류  주소             범위',
      'eth0        유선  192.168.1.10/24  사설       ← LAN 쪽',
      '                  fe80::1/64       링크 로컬',
      'eth1        유선  꺼짐',
    ])
    await naru('ip', deps(fake))
    expect(fake.calls).toEqual([
      ['addresses', { mayAskInternet: true }],
      ['addresses', { mayAskInternet: false }],
    ])
  })
})

describe('ports', () => {
  it('shows who listens, how far it reaches and whose it is', async () => {
    const { out, talk } = await naru('ports', deps())
    expect(out).toEqual([
      'PROTO  ADDRESS     SERVICE  PROCESS      REACH         BELONGS TO',
      'tcp    0.0.0.0:80  http     nginx (812)  LAN',
      'tcp    [::1]:8888           -            this machine  naru:iis',
    ])
    expect(talk).toEqual(['! run it with sudo'])
  })

  it('finds, filters and sorts', async () => {
    const fake = new FakeMachine()
    for (const line of ['ports 8888', 'ports nginx --all --udp', 'ports --find x --sort pid --tcp --udp'])
      expect((await naru(line, deps(fake))).exit).toBe(0)
    expect(fake.calls.map(([, asked]) => asked)).toEqual([
      { all: false, port: 8888 },
      { all: true, find: 'nginx', protocol: 'udp' },
      { all: false, find: 'x', sort: 'pid' },
    ])
    expect((await naru('ports 70000', deps(fake))).exit).toBe(2)
  })
})

describe('router', () => {
  it('is described', async () => {
    const described = [
      'ASUS RT-AX86U  pcp, upnp-2  192.168.1.1',
      '  external address: 203.0.113.5',
      '  NAT above: its address is public',
      '  up for: 1d01h',
      '  its page: http://192.168.1.1/',
    ]
    expect(await out('router')).toEqual(described)
    for (const line of ['router info', '--lang en router info', 'router --lang en info'])
      expect(await out(line)).toEqual(described)
  })

  it('lists every mapping, ours marked', async () => {
    expect(await out('router ls')).toEqual([
      'EXTERNAL   INTERNAL                  LEFT   RULE  DESCRIPTION',
      '8888/tcp   192.168.1.10:8888 (here)  1h00m  iis   naru:iis',
      '32400/tcp  192.168.1.20:32400        ∞            Plex',
    ])
  })

  it('maps and unmaps by hand', async () => {
    const fake = new FakeMachine()
    const added = await naru('router add 8888/tcp+udp 192.168.1.20:80 --lease 1h --name web', deps(fake))
    expect([added.out, added.talk]).toEqual([
      ['203.0.113.5:8888 → 192.168.1.10:80/tcp'],
      ['! for 1h, not 2h'],
    ])
    await naru('router add 53/udp --any-port', deps(fake))
    await naru('router rm 53/udp --force', deps(fake))
    expect(fake.calls).toEqual([
      [
        'router.add',
        {
          name: 'web',
          protocols: ['tcp', 'udp'],
          externalPort: 8888,
          preferredPort: 8888,
          internalPort: 80,
          internalAddress: '192.168.1.20',
          leaseSeconds: 3600,
        },
      ],
      [
        'router.add',
        {
          name: 'by-hand-53',
          protocols: ['udp'],
          externalPort: 'any',
          preferredPort: 53,
          internalPort: 53,
          internalAddress: null,
        },
      ],
      ['router.remove', { protocol: 'udp', externalPort: 53 }, true],
    ])
    expect((await naru('router add 8000-8100', deps(fake))).exit).toBe(2)
  })

  it('checks a rule and says what to type, in its maker’s words', async () => {
    const fake = new FakeMachine()
    const rule = { listen: 8888, target: 80, publish: { firewall: 'off', router: 'off', externalPort: 9999 } }
    const { exit, out } = await naru(
      'router check iis',
      deps(fake, new FakeNaru(ruleStatus('iis', { rule }))),
    )
    expect(exit).toBe(3)
    expect(out).toEqual([
      'iis: not open',
      '  its list does not have 8888',
      'http://192.168.1.1/',
      'WAN → Virtual Server',
      '  External Port: 8888',
      'Press Apply',
    ])
    expect(fake.calls).toEqual([
      [
        'router.check',
        {
          name: 'iis',
          protocols: ['tcp'],
          ports: { first: 8888, last: 8888 },
          externalPort: 9999,
          allow: [],
        },
      ],
    ])
  })

  it('that has no such word says which there are', async () => {
    const { exit, talk } = await naru('router lss', deps())
    expect([exit, talk[0]]).toEqual([2, 'error: there is no command naru router lss; did you mean ls?'])
  })
})

describe('firewall', () => {
  it('says which decides, what is open and what is ours', async () => {
    expect(await out('firewall')).toEqual([
      'ufw: active, blocks what no rule lets in',
      'ufw is active',
      '',
      'PORT      FROM            OURS  RULE',
      '22/tcp    anywhere              22/tcp ALLOW IN Anywhere',
      '8888/tcp  192.168.0.0/16  iis   8888/tcp ALLOW IN 192.168.0.0/16 # naru:iis',
    ])
  })

  it('explains whether a port gets in, with the rule that decides', async () => {
    const blocked = await naru('firewall explain 80 --from 10.0.0.1', deps())
    expect([blocked.exit, blocked.out]).toEqual([1, ['blocked: no rule lets it in', '  policy drop']])
    const allowed = await naru('firewall explain 8888/udp --lang ko', deps())
    expect([allowed.exit, allowed.out]).toEqual([0, ['허용: 규칙이 허용합니다', '  8888/tcp ALLOW IN']])
    expect((await naru('firewall explain 1-5', deps())).exit).toBe(2)
  })

  it('without the right to look says which command has it', async () => {
    const fake = new FakeMachine()
    const error = new NaruError('NOT_PERMITTED', {
      what: say('read the firewall', '방화벽 읽기'),
      command: 'sudo nft list ruleset',
    })
    const refuse = (): Promise<never> => Promise.reject(error)
    Object.assign(fake, { firewall: refuse, admits: refuse })
    // What was typed, as root: here the test runner.
    const itself = asRoot(process.argv.slice(2))
    for (const line of ['firewall', 'firewall explain 8888']) {
      const { exit, talk } = await naru(line, deps(fake))
      expect([exit, talk]).toEqual([4, ['error: not permitted to read the firewall', `→ run: \`${itself}\``]])
    }
  })
})

describe('guests', () => {
  it('are listed as targets name them', async () => {
    expect(await out('guests')).toEqual([
      'TARGET      STATE    ADDRESS     FORWARDS',
      'docker:web  running  172.17.0.2  *:8080→80/tcp',
      'qemu:win10  stopped  -',
    ])
    expect((await out('guests --all')).slice(-2)).toEqual([
      '✓ docker: its socket answers',
      '· vmware: vmrun is not installed',
    ])
  })

  it('are told to be missing where somebody would not tell his, and by id where two have one name', async () => {
    const fake = new FakeMachine()
    const { guests, kinds } = await fake.guests({ signal: AbortSignal.timeout(1000) })
    const twin = { ...guests[0], id: 'def' } as (typeof guests)[number]
    const silent = {
      kind: 'docker',
      here: true,
      listed: false,
      why: say('it is silent', '응답 없음'),
    } as const
    Object.assign(fake, {
      guests: () => Promise.resolve({ guests: [...guests, twin], kinds: [silent, ...kinds] }),
    })
    const { out: lines } = await naru('guests', deps(fake))
    expect(lines.map((line) => line.split(' ')[0])).toEqual([
      'TARGET',
      'docker:abc',
      'qemu:win10',
      'docker:def',
      '',
      '!',
    ])
  })
})

describe('doctor', () => {
  it('takes no port of root’s Naru for a stranger’s, whom this user may not ask', async () => {
    const closed = new NaruError('RUNS_AS_ROOT', { file: '/etc/naru/naru.yaml', command: 'sudo naru doctor' })
    const connect = (): Promise<never> => Promise.reject(closed)
    const { exit, talk } = await naru('doctor', { ...deps(), connect })
    expect(exit).toBe(4)
    expect(talk.join('\n')).toContain('sudo naru doctor')
  })

  const blocked = diagnosis({
    verdict: finding('host-firewall'),
    summary: say('iis: blocked at firewall', 'iis: 방화벽에서 막힘'),
    causes: [finding('host-firewall')],
    folded: [{ finding: finding('outside-silent', { hop: 'outside' }), under: 'host-firewall' }],
  })

  it('says that all is well', async () => {
    const { exit, out } = await naru('doctor', deps())
    expect([exit, out]).toEqual([
      0,
      ['nothing blocks', '', '1 passed, 0 found something, 0 could not look; 1.2 s'],
    ])
  })

  it('puts the verdict first, then evidence and fixes; consequences are folded', async () => {
    const fake = new FakeMachine()
    fake.diagnoses = [blocked]
    const { exit, out } = await naru('doctor iis --ddns home.example.org', deps(fake))
    expect(exit).toBe(3)
    expect(out).toEqual([
      'iis: blocked at firewall',
      '',
      '✗ iis: firewall: the firewall blocks the port [host-firewall]',
      '    chain input { policy drop; }',
      '  fix: let Naru open it',
      '      naru edit iis --firewall',
      '  fix: or by hand',
      '      sudo ufw allow 8888/tcp',
      '  and 1 that follow from it (--all)',
      '',
      '1 passed, 0 found something, 0 could not look; 1.2 s',
    ])
    expect(fake.calls).toEqual([
      ['diagnose', { mayAskInternet: false, names: ['home.example.org'], fromPhone: false, about: 'iis' }],
    ])
    const all = await naru('doctor iis --all --lang ko', deps(fake))
    expect(all.out).toContain('✓ host-firewall (iis): 해당 없음: 방화벽 통과 12 ms')
    expect(all.out.some((line) => line.includes('[outside-silent]'))).toBe(true)
  })

  it('fixes what is ours, after showing it, and looks again', async () => {
    const fake = new FakeMachine()
    const daemon = new FakeNaru(ruleStatus('iis'))
    fake.diagnoses = [blocked, diagnosis()]
    const { exit, talk, out } = await naru('doctor iis --fix', deps(fake, daemon))
    expect(exit).toBe(0)
    expect(talk).toEqual(['What is ours to do:', '  iis: let Naru open it (naru edit iis --firewall)'])
    expect(out.at(-3)).toBe('nothing blocks')
    expect(daemon.calls).toEqual([
      ['edit', 'iis', { publish: { firewall: 'auto', router: 'off' } }, undefined],
    ])
  })

  it('opens a rule anew where that is the fix, and asks first on a terminal', async () => {
    const anew = finding('mapping-lost', {
      fixes: [{ text: say('map it again', '다시 매핑'), command: 'naru doctor iis --fix', ours: true }],
    })
    for (const [answer, calls] of [
      ['y', ['reopen']],
      ['n', []],
      [null, []],
    ] as const) {
      const fake = new FakeMachine()
      fake.diagnoses = [diagnosis({ causes: [anew] })]
      const daemon = new FakeNaru(ruleStatus('iis'))
      const io = new FakeIo().terminal()
      io.answers = [answer]
      await naru('doctor --fix', deps(fake, daemon), io)
      expect(io.stderr.text).toContain('Do it? [y/N]')
      expect(daemon.calls.map(([verb]) => verb)).toEqual(calls)
    }
  })

  it('tries it from a phone: link and QR code first, then what arrived', async () => {
    const fake = new FakeMachine()
    const { diagnose } = fake
    Object.assign(fake, {
      diagnose: (options: Parameters<typeof diagnose>[0]) => {
        options.onEvent?.({ type: 'link', url: 'http://203.0.113.5:8888/', qr: '█▀█' })
        options.onEvent?.({
          type: 'outside',
          by: 'phone',
          who: { kind: 'phone', address: null },
          to: '203.0.113.5',
          port: 8888,
          result: 'silent',
          synsSeen: 2,
        })
        return diagnose(options)
      },
    })
    const { talk } = await naru('doctor iis --from-phone', deps(fake))
    expect(talk).toEqual([
      'Open this on a phone that is off the Wi-Fi (two minutes):',
      'http://203.0.113.5:8888/',
      '█▀█',
      'phone → 203.0.113.5:8888: nothing came through; packets that reached this machine: 2',
    ])
  })

  it('tries it from a vantage, with its key', async () => {
    const fake = new FakeMachine()
    await naru('doctor iis --vantage 203.0.113.9:6300 --key aa-bb', deps(fake))
    await naru('doctor iis --vantage 2001:db8::1 --key aa-bb', deps(fake))
    await naru('doctor iis --vantage [2001:db8::1]:1 --key aa-bb', deps(fake))
    expect(fake.calls.map(([, asked]) => (asked as { vantage: unknown }).vantage)).toEqual([
      { address: '203.0.113.9', port: 6300, key: 'aa-bb' },
      { address: '2001:db8::1', key: 'aa-bb' },
      { address: '2001:db8::1', port: 1, key: 'aa-bb' },
    ])
    expect((await naru('doctor iis --vantage 203.0.113.9', deps(fake))).exit).toBe(2)
  })

  it('is a vantage for others until Ctrl-C', async () => {
    const io = new FakeIo()
    let ended = false
    const vantage: CliDeps['vantage'] = ({ onAsked, port = 6279 }) => {
      onAsked({ from: '198.51.100.7', port: 8888, result: 'answered' })
      return Promise.resolve({ key: 'K', port, [Symbol.asyncDispose]: async () => void (ended = true) })
    }
    const running = naru('vantage --port 7000', { ...deps(), vantage }, io)
    await io.stderr.until('Now there')
    io.interrupt()
    const { exit, out, talk } = await running
    expect([exit, ended, out]).toEqual([0, true, ['key: K']])
    expect(talk).toEqual([
      '198.51.100.7:8888  answered',
      'Now there: naru doctor NAME --vantage THIS_ADDRESS:7000 --key K',
    ])
  })

  it('has nothing to fix where nothing is ours', async () => {
    const { talk } = await naru('doctor --fix', deps())
    expect(talk).toEqual(['Nothing of it is ours to do.'])
  })
})
