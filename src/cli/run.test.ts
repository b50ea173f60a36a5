import { describe, expect, it, vi } from 'vitest'
import { FakeIo, fakeDeps, naru } from '../../test/fakes/io.ts'
import { FakeNaru, connection, fakeNow, hopStatus, planFor, ruleStatus } from '../../test/fakes/naru.ts'
import { NaruError, type ExitCode } from '../base/errors.ts'
import { say, verbatim, type Text } from '../base/text.ts'
import type { RuleStatus } from '../model/naru-api.ts'
import { qrText } from '../model/qr.ts'
import { routerSteps } from '../model/router-steps.ts'
import { noCounters } from '../rules/counters.ts'
import type { CliDeps, OpenHereOptions, Ready, UpOptions } from './deps.ts'

const twoRules = (): FakeNaru =>
  new FakeNaru(
    ruleStatus('iis', {
      counters: {
        ...noCounters,
        open: 3,
        offloaded: 2,
        opened: 12,
        closed: { finished: 8, 'target-refused': 1 },
        bytesToTarget: 1200,
        bytesToClient: 45_300_000,
      },
      rate: { toTarget: 300, toClient: 1_200_000 },
      until: fakeNow + 7_140_000,
      hops: [
        hopStatus({ hop: 'service', text: verbatim('192.168.79.128:80') }),
        hopStatus({ hop: 'relay' }),
        hopStatus({
          hop: 'router',
          member: 'upnp',
          state: 'broken',
          text: say('the mapping is gone', '매핑이 사라짐'),
          notes: [say('asking again', '다시 요청하는 중')],
        }),
        hopStatus({ hop: 'guest', state: 'off' }),
      ],
    }),
    ruleStatus('dns', {
      listen: '53/udp',
      targets: ['10.0.0.2:53'],
      state: 'disabled',
      engine: null,
      hops: [],
    }),
  )

const change = (fake: FakeNaru): unknown[] => fake.calls[0] as unknown[]

describe('ls', () => {
  it('is a table of rules with the state of each hop, outside in', async () => {
    const { exit, out, talk } = await naru('ls', fakeDeps(twoRules()))
    expect(out).toEqual([
      'NAME  LISTEN  TARGET             STATE     CONN      RATE  ENGINE   LEFT   PATH',
      'iis   8888    192.168.79.128:80  open         3  1.2 MB/s  sockets  1h59m  router ✗ → relay ✓ → service ✓',
      'dns   53/udp  10.0.0.2:53        disabled     0     0 B/s  -        -      -',
    ])
    expect(talk).toEqual([''])
    expect(exit).toBe(0)
  })

  it('marks a rule that goes on as it was while the file says otherwise, with the reason', async () => {
    const kept = new NaruError('LISTEN_IN_USE', { listen: '9999', owner: 'nginx' }).toJSON()
    const rules = [ruleStatus('iis', { kept }), ruleStatus('web')]
    const { out, talk } = await naru('ls', fakeDeps(new FakeNaru(...rules)))
    expect(out[1]).toMatch(/^iis .* open\* /)
    expect(out[2]).toMatch(/^web .* open /)
    expect(talk.join('\n')).toMatch(/^\* iis: goes on as it was.*9999.*naru reload/)
    const one = await naru('status iis', fakeDeps(new FakeNaru(...rules)))
    expect(one.out[1]).toMatch(/^ {2}! goes on as it was/)
  })

  it('tells why rules have their engine, once for each reason', async () => {
    const rules = ['a', 'b', 'c', 'd', 'e'].map((name) => ruleStatus(name))
    const { talk } = await naru('ls --verbose', fakeDeps(new FakeNaru(...rules)))
    expect(talk).toEqual(['a, b, c and 2 more → sockets: works everywhere (splice: no, because …)'])
  })

  it('tells that a port is open from that somebody answers behind it', async () => {
    const rules = [
      ruleStatus('new', { service: 'untried' }),
      ruleStatus('well'),
      ruleStatus('gone', { state: 'degraded', service: 'silent' }),
    ]
    const states = async (...more: string[]): Promise<string[]> =>
      (await naru(['ls', ...more].join(' '), fakeDeps(new FakeNaru(...rules)))).out.slice(1)
    expect(await states()).toEqual([
      expect.stringContaining(' target untried '),
      expect.stringContaining(' open '),
      expect.stringContaining(' target silent '),
    ])
    expect((await states('--lang', 'ko')).join()).toMatch(/대상 확인 전.*열림.*대상 응답 없음/)
    expect(await states('state=silent')).toEqual([expect.stringMatching(/^gone /)])
    const { out, exit } = await naru('status', fakeDeps(new FakeNaru(...rules)))
    expect(out).toContain('rules: 3 (✗ 1 target silent, … 1 target untried)')
    expect(exit).toBe(3)
    expect((await naru('status --json', fakeDeps(new FakeNaru(...rules)))).exit).toBe(3)
  })

  it('speaks Korean, in columns that stand', async () => {
    const { out } = await naru('ls --lang ko', fakeDeps(twoRules()))
    expect(out).toEqual([
      '이름  수신    대상               상태  연결      속도  엔진     남은 시간  경로',
      'iis   8888    192.168.79.128:80  열림     3  1.2 MB/s  sockets  1h59m      공유기 ✗ → 중계 ✓ → 서비스 ✓',
      'dns   53/udp  10.0.0.2:53        꺼짐     0     0 B/s  -        -          -',
    ])
  })

  it('is JSON for programs', async () => {
    const fake = twoRules()
    const { out } = await naru('ls --json', fakeDeps(fake))
    expect(JSON.parse(out.join('\n'))).toEqual({
      running: true,
      rules: await fake.rules.list(),
      elsewhere: [],
    })
  })

  it('shows the file where nobody runs', async () => {
    const offline = (): Promise<FakeNaru> => Promise.resolve(twoRules())
    const { out, talk, exit } = await naru('ls', fakeDeps(null, { offline }))
    expect([out.length, exit]).toEqual([3, 0])
    expect(talk).toEqual(['No Naru runs; these are the rules of /home/kim/naru.yaml.'])
  })

  it('lists what is open in another terminal, whose traffic is not known here', async () => {
    const openElsewhere = (): Promise<RuleStatus[]> =>
      Promise.resolve([ruleStatus('open-9000', { listen: '9000', state: 'degraded' })])
    const { out, talk } = await naru('ls', fakeDeps(new FakeNaru(), { openElsewhere }))
    expect(out).toHaveLength(2)
    expect(out[1]).toMatch(/^open-9000 +9000 +\S+ +degraded +- +- /)
    expect(talk.at(-1)).toBe('open-9000: naru open in another terminal; Ctrl-C there closes it')
    const offline = (): Promise<FakeNaru> => Promise.resolve(twoRules())
    const both = await naru('ls', fakeDeps(null, { offline, openElsewhere }))
    expect(both.out).toHaveLength(4)
    expect(both.talk[0]).toBe(
      'No daemon runs; what naru open does not hold is shown as it is in /home/kim/naru.yaml.',
    )
  })

  it('shows where each rule is found, and leaves out what matters less where the terminal is narrow', async () => {
    const address = { scope: 'lan' as const, text: 'http://192.168.50.23:8888' }
    const rule = ruleStatus('iis', { addresses: [address] })
    const io = new FakeIo().terminal()
    io.stdout.columns = 80
    const { out } = await naru('ls', fakeDeps(new FakeNaru(rule)), io)
    expect(out).toEqual([
      'NAME  TARGET             ADDRESS                    STATE  PATH',
      'iis   192.168.79.128:80  http://192.168.50.23:8888  open   relay ✓ → service ✓',
    ])
  })

  it('shows only the rules that are meant: by a text, a state, a tag, all of which have to hold', async () => {
    const rules = [
      ruleStatus('web', { rule: { title: '회사 홈페이지', tags: ['work', 'web'] } }),
      ruleStatus('game', { state: 'failed', listen: '25565', rule: { tags: ['home'] } }),
      ruleStatus('ssh', { rule: { tags: 'work' }, targets: ['10.0.0.5:22'] }),
    ]
    const names = async (...words: string[]): Promise<string[]> => {
      const line = ['ls', '--json', ...words.flatMap((word) => ['--filter', word])]
      const { out } = await naru(line, fakeDeps(new FakeNaru(...rules)))
      return (JSON.parse(out.join('\n')) as { rules: RuleStatus[] }).rules.map(({ name }) => name)
    }
    expect(await names('홈페이지')).toEqual(['web'])
    expect(await names('state=failed')).toEqual(['game'])
    expect(await names('tag=Work')).toEqual(['web', 'ssh'])
    expect(await names('tag=work', '10.0.0.5')).toEqual(['ssh'])
    expect(await names('tag=wor')).toEqual([])
    const { out } = await naru('ls --json game', fakeDeps(new FakeNaru(...rules)))
    expect(JSON.parse(out.join('\n'))).toMatchObject({ rules: [{ name: 'game' }] })
    for (const [word, meant] of [
      ['stat=open', 'state='],
      ['state=offen', 'state=open'],
    ]) {
      const { exit, talk } = await naru(`ls --filter ${word}`, fakeDeps(new FakeNaru(...rules)))
      expect([exit, talk]).toEqual([2, [`error: --filter "${word}" is not valid: did you mean ${meant}?`]])
    }
  })

  it('says how to begin where there is nothing', async () => {
    const { talk } = await naru('ls', fakeDeps(new FakeNaru()))
    expect(talk).toEqual(['There are no rules yet: naru add NAME LISTEN TARGET'])
  })
})

describe('status', () => {
  it('tells all about a rule; a broken hop is exit code 3', async () => {
    const { out, exit } = await naru('status iis', fakeDeps(twoRules()))
    expect(out).toEqual([
      'iis  open  8888 → 192.168.79.128:80',
      'engine: sockets (works everywhere)',
      expect.stringMatching(/^until: 2026-12-2\d \d\d:\d\d:00 \(1h59m\)$/),
      '  ✗ router [upnp]: the mapping is gone',
      '      asking again',
      '  ✓ relay [sockets]: as it should be',
      '  · guest [sockets]: as it should be',
      '  ✓ service [sockets]: 192.168.79.128:80',
      '3 connections open, 12 in all',
      '  2 of them offloaded: carried by the kernel alone',
      '↓ 1.2 kB (300 B/s)  ↑ 45 MB (1.2 MB/s)',
      '  8 × both sides finished',
      '  1 × the target refused it',
    ])
    expect(exit).toBe(3)
    const verbose = await naru('status iis --verbose', fakeDeps(twoRules()))
    expect(verbose.out).toContain('engine: sockets (works everywhere (splice: no, because …))')
  })

  it('tells what naru open holds in another terminal, but for its traffic, unless the daemon has that name', async () => {
    const openElsewhere = (): Promise<RuleStatus[]> =>
      Promise.resolve([ruleStatus('open-9000', { listen: '9000' }), ruleStatus('iis', { listen: '9001' })])
    const { out, talk } = await naru('status open-9000', fakeDeps(twoRules(), { openElsewhere }))
    expect(out[0]).toMatch(/^open-9000 {2}open {2}9000 → /)
    expect(out.join('\n')).not.toContain('↑')
    expect(talk).toEqual(['open-9000: naru open in another terminal; Ctrl-C there closes it'])
    const daemons = await naru('status iis', fakeDeps(twoRules(), { openElsewhere }))
    expect(daemons.out[0]).toContain('8888')
    const offline = (): Promise<FakeNaru> => Promise.resolve(twoRules())
    const files = await naru('status iis', fakeDeps(null, { offline, openElsewhere }))
    expect(files.out[0]).toContain('9001')
  })

  it('without a name tells about the daemon, with the link', async () => {
    const { out } = await naru('status', fakeDeps(twoRules()))
    expect(out).toContain('web page: http://127.0.0.1:6278/?token=T')
    expect(out).toContain('file: /home/kim/naru.yaml')
  })

  it('of an unknown rule tells the one that was probably meant, or how many more there are', async () => {
    const { talk } = await naru('rm iss', fakeDeps(twoRules()))
    expect(talk).toEqual(['error: there is no rule named iss; did you mean iis?'])
    const many = Array.from({ length: 30 }, (_, at) => ruleStatus(`service-${at}`))
    const told = await naru('rm x', fakeDeps(new FakeNaru(...many)))
    expect(told.talk[0]).toMatch(/service-19 … and 10 more$/)
  })

  it('of an unknown rule names those there are', async () => {
    const { exit, talk } = await naru('status web', fakeDeps(twoRules()))
    expect([exit, talk]).toEqual([2, ['error: there is no rule named web; there are: iis, dns']])
  })
})

describe('changes', () => {
  it('add, edit, enable, disable and rm ask the daemon', async () => {
    const lines: [string, unknown[]][] = [
      [
        'add web 9000 10.0.0.2:80 --publish --for 1h --disabled',
        [
          'add',
          'web',
          {
            listen: '9000',
            target: '10.0.0.2:80',
            publish: { firewall: 'auto', router: 'auto' },
            until: '2026-12-24T13:00:00.000Z',
            enabled: false,
          },
          { dryRun: false },
        ],
      ],
      [
        'edit iis --listen 9999 --target 10.0.0.3:80 --unset until --unset timeouts.idle',
        [
          'edit',
          'iis',
          { listen: '9999', target: '10.0.0.3:80', targets: null, until: null, timeouts: { idle: null } },
          { dryRun: false },
        ],
      ],
      [
        'edit iis --target a:1 --target b:2',
        ['edit', 'iis', { target: null, targets: [{ to: 'a:1' }, { to: 'b:2' }] }, { dryRun: false }],
      ],
      ['rm iis --now', ['remove', 'iis', { dryRun: false, now: true }]],
      ['disable iis', ['disable', 'iis', { dryRun: false, now: false }]],
      ['enable iis --dry-run', ['enable', 'iis', { dryRun: true }]],
    ]
    for (const [line, call] of lines) {
      const fake = twoRules()
      const { exit } = await naru(line, fakeDeps(fake))
      expect([line, exit, change(fake)]).toEqual([line, 0, call])
    }
  })

  it('rm, enable and disable take several names: what one cannot holds up no other', async () => {
    const fake = twoRules()
    const { exit, talk } = await naru('disable dns nope iis', fakeDeps(fake))
    expect(fake.calls.filter(([verb]) => verb === 'disable').map(([, name]) => name)).toEqual([
      'dns',
      'nope',
      'iis',
    ])
    expect(exit).toBe(2)
    expect(talk.join('\n')).toContain('no rule named nope')
    const asJson = await naru('enable dns iis --json', fakeDeps(twoRules()))
    expect(asJson.out.map((line) => Object.keys(JSON.parse(line) as object)[0])).toEqual(['plan', 'plan'])
  })

  it('change the file where nobody runs, and say so', async () => {
    const fake = twoRules()
    const { exit, talk } = await naru('rm iis', fakeDeps(null, { offline: () => Promise.resolve(fake) }))
    expect(exit).toBe(0)
    expect(talk).toEqual([
      'No Naru runs: only /home/kim/naru.yaml is changed. `naru up` opens its rules.',
      'removed iis',
    ])
  })

  it('do not say that the file is changed where it is not', async () => {
    const fake = twoRules()
    fake.rules.remove = () =>
      Promise.reject(new NaruError('RULE_UNKNOWN', { name: 'nope', known: 'iis, ssh' }))
    const deps = fakeDeps(null, { offline: () => Promise.resolve(fake) })
    for (const line of ['rm nope', 'rm iis --dry-run'])
      expect((await naru(line, deps)).talk.join()).not.toContain('only the file')
  })

  it('that some hops refused are exit code 3, that failed the code of the failure', async () => {
    const failed = new NaruError('LISTEN_IN_USE', { listen: '8888', owner: 'nginx (pid 812)' }).toJSON()
    for (const [state, expected] of [
      ['open', 3],
      ['failed', 5],
    ] as const) {
      const fake = twoRules()
      const result = {
        plan: planFor('iis'),
        rules: [ruleStatus('iis', { state })],
        failures: [failed],
        revision: 'r2',
      }
      fake.rules.enable = () => Promise.resolve(result)
      const { exit, talk } = await naru('enable iis', fakeDeps(fake))
      expect([state, exit]).toEqual([state, expected])
      expect(talk.slice(0, 2)).toEqual([
        'error: cannot listen on 8888: the address is in use by nginx (pid 812)',
        '→ end what has it, or choose another port: from 32768 up it may be a connection that was given it',
      ])
    }
  })

  it('that are only planned show the steps', async () => {
    const { out } = await naru('add web 1 2 --dry-run', fakeDeps(twoRules()))
    expect(out).toEqual([
      'web',
      '  + open relay [sockets]: listen on *:8888, forward to 192.168.79.128:80',
      '      works everywhere',
      '  + open firewall [ufw]: allow 8888/tcp',
      '      ufw is active',
      '      needs root: sudo ufw allow 8888/tcp',
    ])
  })
})

describe('plan, check, reload, stop', () => {
  it('plan reads the same with or without a daemon', async () => {
    const offline = (): Promise<FakeNaru> => Promise.resolve(twoRules())
    const [a, b] = [
      await naru('plan --lang ko', fakeDeps(twoRules())),
      await naru('plan --lang ko', fakeDeps(null, { offline })),
    ]
    expect(a.out).toEqual(b.out)
    expect(a.out[1]).toBe('  + 열기 중계 [sockets]: *:8888에서 받아 192.168.79.128:80으로 전달')
  })

  it('check is exit code 2 with every mistake', async () => {
    const invalid = new NaruError('FILE_INVALID', {
      file: 'naru.yaml',
      problems: 'naru.yaml:3:5: unknown key',
    })
    const bad = await naru('check ./x.yaml', fakeDeps(null, { offline: () => Promise.reject(invalid) }))
    expect([bad.exit, bad.talk.slice(0, 2)]).toEqual([
      2,
      ['error: naru.yaml is not valid:', 'naru.yaml:3:5: unknown key'],
    ])
    const asked: unknown[] = []
    const deps = fakeDeps(null, {
      offline: (options) => {
        asked.push(options.file)
        return Promise.resolve(twoRules())
      },
    })
    expect((await naru('check ./y.yaml', deps)).out).toEqual(['/home/kim/naru.yaml: valid, 2 rules'])
    expect(asked).toEqual(['./y.yaml'])
  })

  it('stop waits until the daemon is gone', async () => {
    const fake = twoRules()
    let answers = 3
    const about = fake.about
    Object.assign(fake, {
      about: () => (answers-- > 0 ? about() : Promise.reject(new NaruError('NOT_RUNNING', { file: 'f' }))),
    })
    const { exit, talk } = await naru('stop --drain', fakeDeps(fake))
    expect([exit, talk, fake.stopped]).toEqual([0, ['stopped'], { drain: true }])
  })

  it('stop says "stopped" only where nothing is left and nobody waits in vain', async () => {
    const fake = twoRules()
    const left = say('web: firewall (ufw)', '')
    const deps = (over: Partial<CliDeps>): CliDeps => fakeDeps(fake, over)
    const about = fake.about
    let answers = 1
    Object.assign(fake, {
      about: () => (answers-- > 0 ? about() : Promise.reject(new NaruError('NOT_RUNNING', { file: 'f' }))),
    })
    const mustBeUndone = (): Promise<void> =>
      Promise.reject(new NaruError('NOT_UNDONE', { left }, { left: [left] }))
    const undone = await naru('stop --drain', deps({ mustBeUndone }))
    expect([undone.exit, undone.talk[0]]).toEqual([
      1,
      'error: still in force, as it could not be undone: web: firewall (ufw)',
    ])
    answers = 1000
    const io = new FakeIo()
    const draining = naru('stop --drain', deps({}), io)
    await vi.waitFor(() => expect(answers).toBeLessThan(998))
    io.interrupt()
    const { exit, talk } = await draining
    expect([exit, talk[0]]).toEqual([1, expect.stringMatching(/^not stopped yet/)])
  })

  it('rm names what could not be undone, and is no success', async () => {
    const fake = twoRules()
    const left = say('firewall (ufw) 8888/tcp let in by ufw: it does not answer', '')
    const failure = new NaruError('STILL_IN_FORCE', { name: 'iis', left }, { left: [left] }).toJSON()
    const remove = fake.rules.remove.bind(fake.rules)
    Object.assign(fake.rules, {
      remove: async (...asked: Parameters<typeof remove>) => ({
        ...(await remove(...asked)),
        rules: [],
        failures: [failure],
      }),
    })
    const { exit, talk } = await naru('rm iis', fakeDeps(fake))
    expect(exit).toBe(1)
    expect(talk.join('\n')).toContain('could not be undone yet: firewall (ufw) 8888/tcp let in by ufw')
    expect(talk.join('\n')).toContain('tries again by itself')
    expect(talk.join('\n')).not.toContain('removed iis')
  })

  it('what needs a daemon says that none runs', async () => {
    for (const verb of ['status', 'top', 'logs', 'reload', 'stop']) {
      const { exit, talk } = await naru(verb, fakeDeps(null))
      expect([verb, exit, talk[0]]).toEqual([verb, 1, 'error: no Naru runs on /home/kim/naru.yaml'])
    }
  })

  it('a stop undoes what one that was killed left open, and says what', async () => {
    const text = say(
      'undone, left over from before: iis: firewall (nftables)',
      '이전에 남은 것을 되돌렸습니다',
    )
    const undoLeftOvers: CliDeps['undoLeftOvers'] = async ({ tell }) => tell(text)
    const { exit, talk } = await naru('stop', fakeDeps(null, { undoLeftOvers }))
    expect([exit, talk]).toEqual([0, [text.en]])
    const { out } = await naru('stop --json', fakeDeps(null, { undoLeftOvers }))
    expect(JSON.parse(out.join(''))).toEqual({ stopped: false, undone: [text] })
    const gone = new NaruError('NOT_RUNNING', { file: '/home/kim/naru.yaml' })
    const dying = Object.assign(new FakeNaru(), { about: () => Promise.reject(gone) })
    expect((await naru('stop', fakeDeps(dying, { undoLeftOvers }))).exit).toBe(0)
    const mustBeUndone = (): Promise<never> =>
      Promise.reject(new NaruError('NOT_UNDONE', { left: say('iis: router (upnp)', '') }))
    expect((await naru('stop', fakeDeps(null, { undoLeftOvers, mustBeUndone }))).exit).toBe(1)
  })
})

describe('logs', () => {
  it('tell what broke once, whether the hop or the log says it first', async () => {
    const fake = twoRules()
    const text = say('the service does not answer', '서비스가 응답하지 않습니다')
    const hop = {
      type: 'hop',
      rule: 'iis',
      status: hopStatus({ hop: 'service', state: 'broken', text }),
    } as const
    const log = { type: 'log', level: 'warn', rule: 'iis', text } as const
    const again = { ...log, level: 'info', text: say('service works again', '다시 정상입니다') } as const
    for (const event of [hop, log, again, log, hop]) fake.tell(event)
    const { out } = await naru('logs iis', fakeDeps(fake))
    expect(out.map((line) => line.slice(21))).toEqual([
      'iis  service: the service does not answer',
      'iis  service works again',
      'iis  the service does not answer',
    ])
  })

  it('tell what happened, of one rule where it is named', async () => {
    const fake = twoRules()
    fake.tell({ type: 'opened', connection: connection('c1') })
    fake.tell({
      type: 'closed',
      connection: connection('c1', { state: 'closed', closedAt: fakeNow, closeReason: 'target-reset' }),
    })
    fake.tell({ type: 'refused', rule: 'dns', client: '10.0.0.9:53', reason: 'denied' })
    const all = await naru('logs', fakeDeps(fake))
    expect(all.out.map((line) => line.slice(21))).toEqual([
      'iis  + 192.168.1.7:50123 → 192.168.79.128:80',
      'iis  - 192.168.1.7:50123  ↓ 512 B ↑ 20 kB 5s  the target reset it',
      'dns  × 10.0.0.9:53  the client is not allowed',
    ])
    const one = await naru('logs dns --lang ko', fakeDeps(fake))
    expect(one.out.map((line) => line.slice(21))).toEqual(['dns  × 10.0.0.9:53  허용되지 않은 클라이언트'])
  })

  it('follow until Ctrl-C', async () => {
    const fake = twoRules()
    const io = new FakeIo()
    const running = naru('logs -f --json', fakeDeps(fake), io)
    fake.tell({ type: 'rule-removed', name: 'dns' })
    await io.stdout.until('rule-removed')
    io.interrupt()
    expect((await running).exit).toBe(0)
    expect(JSON.parse(io.stdout.lines[0] as string)).toMatchObject({ type: 'rule-removed', name: 'dns' })
  })
})

describe('open', () => {
  function opening(fake: FakeNaru, closing: () => Promise<void> = () => Promise.resolve()) {
    const asked: Parameters<ReturnType<typeof fakeDeps>['openHere']>[0][] = []
    const deps = fakeDeps(null, {
      openHere: (options) => {
        asked.push(options)
        fake.set(ruleStatus(options.name))
        return Promise.resolve(Object.assign(fake, { [Symbol.asyncDispose]: closing }))
      },
    })
    return { asked, deps }
  }

  it('forwards until Ctrl-C, then closes everything', async () => {
    const io = new FakeIo()
    let closed = false
    const { asked, deps } = opening(new FakeNaru(), async () => void (closed = true))
    const running = naru('open 8888 192.168.79.128:80 --allow 10.0.0.0/8', deps, io)
    await io.stderr.until('connections')
    io.interrupt()
    const { exit, out, talk } = await running
    expect(exit).toBe(0)
    expect(closed).toBe(true)
    expect(asked[0]).toMatchObject({
      name: 'open-8888',
      rule: { listen: '8888', target: '192.168.79.128:80', allow: ['10.0.0.0/8'] },
      keepPartial: false,
    })
    expect(out).toEqual([
      'open  8888 → 192.168.79.128:80',
      '  ✓ relay: listening on *:8888',
      '  ✓ service: 192.168.79.128:80 accepts connections',
      '  sockets: works everywhere',
    ])
    expect(talk).toEqual([
      'Ctrl-C closes everything.',
      '8888 → 192.168.79.128:80  relay ✓ → service ✓  0 connections  ↓ 0 B/s ↑ 0 B/s  0 B',
      'closed: 0 connections, 0 B; nothing is left open',
    ])
  })

  const found: Partial<RuleStatus> = {
    addresses: [
      { scope: 'machine', text: 'http://127.0.0.1:8888' },
      { scope: 'lan', text: 'http://192.168.50.23:8888' },
      { scope: 'internet', text: 'http://203.0.113.7:8888' },
    ],
  }

  /** With what `over` says of the rule, from its first line to Ctrl-C. */
  async function opened(line: string, over: Partial<RuleStatus>): ReturnType<typeof naru> {
    const io = new FakeIo()
    const fake = new FakeNaru()
    const { deps } = opening(fake)
    const openHere: typeof deps.openHere = async (options) => {
      const naruHere = await deps.openHere(options)
      fake.set(ruleStatus(options.name, over))
      return naruHere
    }
    const running = naru(line, { ...deps, openHere }, io)
    await io.stderr.until('connections')
    io.interrupt()
    return running
  }

  it('begins with the address to give to others, farthest first', async () => {
    const { out } = await opened('open 8888 10.0.0.2:80', found)
    expect(out.slice(0, 4)).toEqual([
      'http://203.0.113.7:8888    for everybody on the internet',
      'http://192.168.50.23:8888  for this network',
      'http://127.0.0.1:8888      for this machine',
      'open  8888 → 192.168.79.128:80',
    ])
    const withCode = await opened('open 8888 10.0.0.2:80 --qr', found)
    expect(withCode.out.join('\n')).toContain(qrText('http://203.0.113.7:8888'))
  })

  it('where no router answers shows the row to type, under the rule’s own name, and what verifies it', async () => {
    const byHand = routerSteps(
      'asus',
      {
        name: 'open-8888',
        protocols: ['tcp'],
        externalPorts: { first: 8888, last: 8888 },
        internalPorts: { first: 8888, last: 8888 },
        internalAddress: '192.168.50.23',
        allow: [],
      },
      '192.168.50.1',
    )
    const router = hopStatus({ hop: 'router', state: 'broken', text: say('no router', '공유기 없음') })
    const { out } = await opened('open 8888 80 --publish', { byHand, hops: [router] })
    expect(out.slice(2)).toEqual([
      '  until then, this row on the router’s page opens it:',
      '    http://192.168.50.1/Advanced_VirtualServer_Content.asp',
      '    WAN → Virtual Server / Port Forwarding → Enable Port Forwarding: ON → Add profile',
      '      Service Name: open-8888',
      '      Protocol: TCP',
      '      External Port: 8888',
      '      Internal Port: 8888',
      '      Internal IP Address: 192.168.50.23',
      '    press OK, then Apply',
      '  then see whether it works: naru router check open-8888',
      '  sockets: works everywhere',
    ])
  })

  it('keeps one line on a terminal', async () => {
    const io = new FakeIo().terminal()
    io.env['LANG'] = 'ko_KR.UTF-8'
    const { deps } = opening(new FakeNaru())
    const running = naru('open 8888 80', deps, io)
    await io.stderr.until('연결 0개')
    io.interrupt()
    await running
    expect(io.stderr.text).toContain('\r\u001B[2K8888 → 192.168.79.128:80  중계 ✓ → 서비스 ✓  연결 0개')
    expect(io.stderr.text).toContain('\r\u001B[2K닫음: 연결 0개')
  })

  it('ends the process at a second Ctrl-C, and not by one that was told twice', async () => {
    const io = new FakeIo()
    let finish = (): void => {}
    const { deps } = opening(new FakeNaru(), () => new Promise((resolve) => (finish = resolve)))
    const running = naru('open 8888 80', deps, io)
    await io.stderr.until('connections')
    io.interrupt()
    // A wrapper passes on what the terminal has told already.
    io.time += 1000
    io.interrupt()
    expect(io.exited).toBeNull()
    io.time += 1
    io.interrupt()
    expect(io.exited).toBe(1)
    await new Promise((resolve) => setTimeout(resolve, 20))
    finish()
    await running
  })

  it('closes everything when the terminal is closed, however often that is said', async () => {
    for (const by of ['hang-up', 'terminal-closed'] as const) {
      const io = new FakeIo()
      const running = naru('open 8888 80', opening(new FakeNaru()).deps, io)
      await io.stderr.until('connections')
      io.interrupt(by)
      io.interrupt(by)
      expect((await running).exit).toBe(0)
      expect([io.exited, io.stderr.text.includes('nothing is left open')]).toEqual([null, true])
    }
  })

  it('does not say that nothing is left open where something is', async () => {
    const io = new FakeIo()
    const left = [say('web: router (upnp): it does not answer', '')]
    const { deps } = opening(new FakeNaru(), () =>
      Promise.reject(new NaruError('NOT_UNDONE', { left: left[0] as Text }, { left })),
    )
    const running = naru('open 8888 80', deps, io)
    await io.stderr.until('connections')
    io.interrupt()
    const { exit, talk } = await running
    expect(exit).toBe(1)
    expect(talk).toContain(
      'error: still in force, as it could not be undone: web: router (upnp): it does not answer',
    )
    expect(talk.join()).not.toContain('nothing is left open')
  })

  it('that was called off before it was open is done where nothing is left, and failed where something is', async () => {
    for (const [left, code] of [
      [[], 0],
      [[say('web: router (upnp)', '')], 1],
    ] as const) {
      const io = new FakeIo()
      const openHere = ({ signal }: OpenHereOptions): Promise<never> =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () =>
            reject(new NaruError('ABORTED', { what: 'the start' }, { left })),
          )
          io.interrupt()
        })
      const { exit, talk } = await naru('open 8888 80', fakeDeps(null, { openHere }), io)
      expect([exit, talk.join().includes('nothing is left open')]).toEqual([code, code === 0])
      expect(talk.join().includes('still in force: web: router (upnp)')).toBe(code === 1)
    }
  })

  it('ends when its time is over', async () => {
    const fake = new FakeNaru()
    const io = new FakeIo()
    const { deps } = opening(fake)
    const running = naru('open 8888 80 --for 1s', deps, io)
    await io.stderr.until('connections')
    fake.set(ruleStatus('open-8888', { state: 'expired' }))
    expect((await running).exit).toBe(0)
  })

  it('is exit code 3 where a hop that was asked for is missing', async () => {
    const fake = new FakeNaru()
    const io = new FakeIo()
    const { deps } = opening(fake)
    const running = naru('open 8888 80 --router --keep-partial', deps, io)
    await io.stderr.until('connections')
    fake.set(
      ruleStatus('open-8888', { state: 'degraded', hops: [hopStatus({ hop: 'router', state: 'broken' })] }),
    )
    io.interrupt()
    expect((await running).exit).toBe(3)
  })

  it('speaks JSON lines to programs', async () => {
    const io = new FakeIo()
    const { deps } = opening(new FakeNaru())
    const running = naru('open 8888 80 --json', deps, io)
    await io.stdout.until('opened')
    io.interrupt()
    const { out, talk } = await running
    expect(out.map((line) => (JSON.parse(line) as { type: string }).type)).toEqual(['opened', 'closed'])
    expect(talk).toEqual([''])
  })

  it('that fails tells why, with the exit code of the failure', async () => {
    const failure = new NaruError('LISTEN_PRIVILEGED', { listen: '80', first: 1024, command: 'sudo …' })
    const { exit, talk } = await naru(
      'open 80 8080',
      fakeDeps(null, { openHere: () => Promise.reject(failure) }),
    )
    expect(exit).toBe(4)
    expect(talk[0]).toBe('error: cannot listen on 80: ports below 1024 need a privilege')
    expect(talk[1]).toContain('→ choose a port from 1024')
    const json = await naru(
      'open 80 8080 --json',
      fakeDeps(null, { openHere: () => Promise.reject(failure) }),
    )
    expect(JSON.parse(json.talk[0] as string)).toMatchObject({ error: { code: 'LISTEN_PRIVILEGED' } })
  })
})

describe('up', () => {
  it('is stopped by a closed terminal, and by a hang-up only told to read its file again', async () => {
    for (const [by, stops] of [
      ['hang-up', false],
      ['terminal-closed', true],
    ] as const) {
      const io = new FakeIo()
      const up = ({ signal }: UpOptions): Promise<ExitCode> => {
        io.interrupt(by)
        return Promise.resolve(signal.aborted ? 1 : 0)
      }
      expect((await naru('up', fakeDeps(null, { up }), io)).exit).toBe(stops ? 1 : 0)
    }
  })

  it('says that it stops, and what is left open', async () => {
    const io = new FakeIo()
    const up = ({ signal, language }: UpOptions): Promise<ExitCode> => {
      io.interrupt()
      return Promise.resolve(signal.aborted && language === 'ko' ? 0 : 1)
    }
    const { talk, exit } = await naru('up --lang ko', fakeDeps(null, { up }), io)
    expect(exit).toBe(0)
    expect(talk).toEqual([
      '중지하는 중 … 열었던 것을 모두 되돌립니다',
      '중지했습니다. 열린 채 남은 것은 없습니다.',
    ])
  })

  it('does not say that nothing is left open where something is, or where another has taken over', async () => {
    const left = new NaruError('NOT_UNDONE', { left: 'ufw 8888' })
    const failing = await naru('up', fakeDeps(null, { up: () => Promise.reject(left) }))
    const passing = await naru(
      'up',
      fakeDeps(null, {
        up({ onPassedOn }) {
          onPassedOn({ pid: 7, connections: 1 })
          return Promise.resolve(0)
        },
      }),
    )
    for (const { talk } of [failing, passing]) expect(talk.join()).not.toContain('nothing is left open')
  })

  it('prints the links, the rules and what failed', async () => {
    const ready: Ready = {
      about: twoRules().aboutNow,
      loginUrl: 'http://127.0.0.1:6278/?token=T',
      readOnlyUrl: 'http://127.0.0.1:6278/?token=R',
      pageOnNetwork: false,
      sampleUrl: 'http://127.0.0.1:8888/',
      rules: await twoRules().rules.list(),
      failures: [new NaruError('LISTEN_IN_USE', { listen: '53/udp', owner: 'dnsmasq' }).toJSON()],
    }
    const asked: unknown[] = []
    const deps = fakeDeps(null, {
      up: (options) => {
        asked.push([options.file, options.api])
        options.onReady(ready, { inBackground: false })
        return Promise.resolve(0)
      },
    })
    const { out, talk } = await naru('up -c ./n.yaml --api off', deps)
    expect(asked).toEqual([['./n.yaml', 'off']])
    expect(out.slice(0, 4)).toEqual([
      'Naru 0.1.0  /home/kim/naru.yaml',
      'forwarded page: http://127.0.0.1:8888/',
      'web page: http://127.0.0.1:6278/?token=T',
      'to look only: http://127.0.0.1:6278/?token=R',
    ])
    expect(talk[0]).toBe('error: cannot listen on 53/udp: the address is in use by dnsmasq')
  })

  it('says that the network can read along where the page is on it', async () => {
    for (const pageOnNetwork of [true, false]) {
      const ready: Ready = {
        about: twoRules().aboutNow,
        loginUrl: 'http://192.168.1.5:6278/?token=T',
        readOnlyUrl: null,
        pageOnNetwork,
        sampleUrl: null,
        rules: [],
        failures: [],
      }
      const deps = fakeDeps(null, {
        up: ({ onReady }) => {
          onReady(ready, { inBackground: false })
          return Promise.resolve(0)
        },
      })
      const { talk } = await naru('up', deps)
      expect(talk.join().includes('others on this network can read')).toBe(pageOnNetwork)
    }
  })

  it('keeps the links that log in out of the journal', async () => {
    const about = { ...twoRules().aboutNow, web: 'http://127.0.0.1:6278/' }
    const ready: Ready = {
      about,
      loginUrl: 'http://127.0.0.1:6278/?token=T',
      readOnlyUrl: 'http://127.0.0.1:6278/?token=R',
      pageOnNetwork: false,
      sampleUrl: null,
      rules: [],
      failures: [],
    }
    const deps = fakeDeps(null, {
      up: ({ onReady }) => {
        onReady(ready, { inBackground: false })
        return Promise.resolve(0)
      },
    })
    const io = new FakeIo()
    io.stdout.isJournal = true
    const { out, talk } = await naru('up', deps, io)
    expect(out).toEqual(['Naru 0.1.0  /home/kim/naru.yaml', 'web page: http://127.0.0.1:6278/'])
    expect(talk[0]).toBe('`naru status` shows the link to log in with.')
    const json = new FakeIo()
    json.stdout.isJournal = true
    expect((await naru('up --json', deps, json)).out.join('')).not.toContain('token=')
  })
})

describe('words that do not fit', () => {
  const cases: [string, string][] = [
    ['opne 1 2', 'there is no command opne; did you mean open?'],
    ['tpo', 'there is no command tpo; did you mean top?'],
    ['remove iis', 'there is no command remove; did you mean rm?'],
    ['list', 'there is no command list; did you mean ls?'],
    ['start', 'there is no command start; did you mean up?'],
    ['frobnicate', 'there is no command frobnicate'],
    ['open', 'LISTEN is missing'],
    ['open 8888', 'TARGET is missing'],
    ['rm', 'NAME is missing'],
    ['rename a b c', '"c" is one word too many'],
    // As a page or a word processor shows it.
    [
      'open 8888 10.0.0.2:80 –firewall',
      '"–firewall" begins with a dash that no keyboard types: write --firewall',
    ],
    ['open 8888 10.0.0.2:80 —for=2h', '"—for=2h" begins with a dash that no keyboard types: write --for=2h'],
    ['ls –h', '"–h" begins with a dash that no keyboard types: write -h'],
    ['ls --jsn', 'there is no option --jsn; did you mean --json?'],
    ['ls --lang', '--lang needs a value'],
    ['ls --lang fr', '--lang is one of en, ko, not "fr"'],
    ['edit iis', 'nothing to change was given'],
    ['--config', '--config needs a value'],
    ['completion tcsh', 'there is no completion for tcsh'],
  ]
  it.each(cases)('naru %s', async (line, message) => {
    const { exit, talk, out } = await naru(line, fakeDeps(twoRules()))
    expect([exit, out]).toEqual([2, ['']])
    expect(talk[0]).toContain(message)
    expect(talk[1]).toMatch(/^→ `naru .*--help` shows how$/)
  })

  it('are not said to be near what they have nothing of', async () => {
    const { talk } = await naru('open 8888 80 --공개', fakeDeps(null))
    expect(talk[0]).toBe('error: there is no option --공개')
  })

  it('are told in Korean too', async () => {
    const { talk } = await naru('opne --lang ko', fakeDeps(null))
    expect(talk).toEqual([
      '오류: opne라는 명령은 없습니다. open을 쓰려고 했나요?',
      '→ `naru --help`로 사용법을 확인하세요',
    ])
  })
})

describe('help', () => {
  it('lists the verbs; without a word it is exit code 2', async () => {
    const asked = await naru('--help', fakeDeps(null))
    expect(asked.exit).toBe(0)
    expect(asked.out.some((line) => line.startsWith('  open '))).toBe(true)
    expect(asked.out.some((line) => line.startsWith('  complete '))).toBe(false)
    expect((await naru('', fakeDeps(null))).exit).toBe(2)
    expect((await naru('help', fakeDeps(null))).out).toEqual(asked.out)
  })

  it('of a verb has its usage, options and examples', async () => {
    for (const line of ['open --help', 'help open', 'open -h', 'open 1 --help']) {
      const { exit, out } = await naru(line, fakeDeps(null))
      expect([line, exit]).toEqual([line, 0])
      expect(out).toContain('Usage: naru open LISTEN TARGET… [OPTIONS]')
      expect(out.some((entry) => entry.includes('naru open 8888 192.168.79.128:80'))).toBe(true)
    }
  })

  it('--version is the version', async () => {
    expect((await naru('--version', fakeDeps(null))).out).toEqual(['0.1.0'])
    expect((await naru('version --json', fakeDeps(null))).out).toEqual(['{"version":"0.1.0"}'])
  })

  it('version --verbose names the commit, Node and the platform', async () => {
    const deps = { ...fakeDeps(null), commit: () => 'abc123' }
    expect((await naru('version --verbose', deps)).out).toEqual([
      'naru 0.1.0',
      'commit abc123',
      `node ${process.versions.node}`,
      `${process.platform} ${process.arch}`,
    ])
    const { out } = await naru('version --verbose --json', fakeDeps(null))
    expect(JSON.parse(out.join('\n'))).toMatchObject({ version: '0.1.0', commit: null })
  })
})

describe('colour and language', () => {
  it('colours a terminal, unless told not to', async () => {
    const coloured = async (prepare: (io: FakeIo) => void, line = 'ls'): Promise<boolean> => {
      const io = new FakeIo()
      io.stdout.isTTY = true
      prepare(io)
      return (await naru(line, fakeDeps(twoRules()), io)).out.join('').includes('\u001B[')
    }
    expect(await coloured(() => {})).toBe(true)
    expect(await coloured((io) => (io.env['NO_COLOR'] = '1'))).toBe(false)
    expect(await coloured((io) => (io.env['TERM'] = 'dumb'))).toBe(false)
    expect(await coloured((io) => (io.stdout.isTTY = false))).toBe(false)
    expect(await coloured(() => {}, 'ls --no-color')).toBe(false)
  })

  it('follows --lang, NARU_LANG, LC_ALL, LANG in this order', async () => {
    const title = async (env: Record<string, string>, line = 'ls'): Promise<string> => {
      const io = new FakeIo()
      Object.assign(io.env, env)
      return ((await naru(line, fakeDeps(twoRules()), io)).out[0] as string).split(' ')[0] as string
    }
    expect(await title({})).toBe('NAME')
    expect(await title({ LANG: 'ko_KR.UTF-8' })).toBe('이름')
    expect(await title({ LANG: 'ko_KR.UTF-8', LC_ALL: 'C' })).toBe('NAME')
    expect(await title({ LANG: 'C', NARU_LANG: 'ko' })).toBe('이름')
    expect(await title({ LANG: 'ko_KR.UTF-8' }, 'ls --lang=en')).toBe('NAME')
    expect(await title({ LANG: 'kok_IN' })).toBe('NAME')
  })
})

describe('top', () => {
  it('is one table off a terminal', async () => {
    const fake = twoRules()
    fake.connectionsNow.push(
      connection('c1'),
      connection('c2', { bytesToClient: 5_000_000, client: '10.0.0.9:1' }),
    )
    const { out } = await naru('top', fakeDeps(fake))
    expect(out.slice(-3)).toEqual([
      'RATE▼  RULE  CLIENT             TARGET             PROTO   ↓ IN   ↑ OUT  AGE',
      '0 B/s  iis   192.168.1.7:50123  192.168.79.128:80  tcp    512 B   20 kB   5s',
      '0 B/s  iis   10.0.0.9:1         192.168.79.128:80  tcp    512 B  5.0 MB   5s',
    ])
  })

  it('Ctrl-Z gives the terminal back, and fg draws it again', async () => {
    const io = new FakeIo().terminal()
    const running = naru('top', fakeDeps(twoRules()), io)
    await io.stdout.until('iis')
    io.press('\u001A')
    expect(io.stdout.text.endsWith('\u001B[?25h\u001B[?1049l')).toBe(true)
    io.stdout.text = ''
    io.continued()
    expect(io.stdout.text.startsWith('\u001B[?1049h\u001B[?25l')).toBe(true)
    expect(io.stdout.text).toContain('iis')
    io.press('q')
    expect((await running).exit).toBe(0)
  })

  it('is a screen of its own on a terminal: moves, sorts, cuts, quits', async () => {
    const fake = twoRules()
    fake.connectionsNow.push(connection('c1'), connection('c2', { client: '10.0.0.9:1', rule: 'dns' }))
    const io = new FakeIo().terminal()
    const running = naru('top', fakeDeps(fake), io)
    await io.stdout.until('10.0.0.9:1')
    expect(io.stdout.text.startsWith('\u001B[?1049h\u001B[?25l')).toBe(true)
    for (const key of ['s', 's', '\u001B[B', 'r', 'r']) io.press(key)
    expect(io.stdout.text).toContain('CLIENT▼')
    expect(io.stdout.text).toContain('CLIENT▲')
    io.press('c')
    expect(fake.calls).toEqual([['cut', 'c1']])
    io.press('q')
    expect((await running).exit).toBe(0)
    expect(io.stdout.text.endsWith('\u001B[?25h\u001B[?1049l')).toBe(true)
    for (const screen of io.stdout.text.split('\u001B[H').slice(1))
      expect(screen.split('\r\n').length).toBeLessThanOrEqual(io.stdout.rows)
  })
})

describe('completion', () => {
  const offered = async (...words: string[]): Promise<string[]> => {
    const { out } = await naru(['complete', '--', ...words], fakeDeps(twoRules()))
    return out.map((line) => line.split('\t')[0] as string)
  }

  it('offers verbs, options, choices and names of rules', async () => {
    expect(await offered('st')).toEqual(['status', 'stop', ':words'])
    expect(await offered('status', '')).toEqual(['iis', 'dns', ':words'])
    expect(await offered('status', '--json', 'i')).toEqual(['iis', ':words'])
    expect(await offered('status', 'iis', '')).toEqual([':words'])
    expect(await offered('open', '--limit-')).toHaveLength(5)
    expect(await offered('open', '--engine', 's')).toEqual(['splice', 'sockets', ':words'])
    expect(await offered('open', '--engine=k')).toEqual(['--engine=kernel', ':words'])
    expect(await offered('ls', '-c', '')).toEqual([':files'])
    expect(await offered('-c', 'f', 'l')).toEqual(['ls', 'logs', ':words'])
    expect(await offered('completion', '')).toEqual(['bash', 'zsh', 'fish', 'powershell', ':words'])
  })

  it('has a script for each shell', async () => {
    for (const shell of ['bash', 'zsh', 'fish', 'powershell']) {
      const { out } = await naru(`completion ${shell}`, fakeDeps(null))
      expect(out.join('\n')).toContain('naru complete --')
    }
  })
})

it('data that is lost is an error, whatever was asked', async () => {
  for (const line of ['ls', '--version', 'ls --help', 'help']) {
    const io = new FakeIo()
    io.lost = new Error('ENOSPC: no space left on device, write')
    const { exit, talk } = await naru(line, fakeDeps(twoRules()), io)
    expect([line, exit]).toEqual([line, 1])
    expect(talk).toContain('error: cannot write the output: ENOSPC: no space left on device, write')
  }
})
