/**
 * Imports never widen: each program is run on its own configuration, and Naru on what it reads from that, with the same
 * clients. Where a forward is carried both reach the same targets for the same clients; where one is left out, Naru
 * serves nobody there and says so.
 */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { exportRules } from '../../src/formats/index.ts'
import type { Imported, ImportFormat } from '../../src/model/import-export.ts'
import type { RuleInput } from '../../src/model/naru-api.ts'
import { formatListen, type Listen } from '../../src/model/listen.ts'
import { parseRule } from '../../src/model/rule-file.ts'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { clients, ImportsLab, type Answer, type Question } from './imports-lab.ts'
import { end } from './namespaces.ts'

const streamModule = '/usr/lib/nginx/modules/ngx_stream_module.so'

/** Every client, without a header and behind ones that name a friend, a stranger and one who is turned away. */
const fromEverywhere = (port: number): Question[] =>
  clients.flatMap((from) => [
    { port, from },
    ...['10.80.0.2', '203.0.113.9', '10.80.0.66'].map((claims) => ({ port, from, claims })),
  ])

function portOf(listen: Listen): number {
  return listen.kind === 'inet' ? listen.ports.first : 0
}

interface Forward {
  /** What the program has there, and its port. */
  readonly text: string
  readonly port: number
  /** Is it carried? Else it is left out or switched off, with a reason. */
  readonly carried: boolean
  /** Clients that only the original serves or refuses, as a loss says; the import never serves more addresses. */
  readonly differs?: (question: Question) => boolean
}

function verdicts(
  forwards: readonly Forward[],
  questions: readonly Question[],
  { found, original, answers }: { found: Imported; original: Answer[]; answers: Answer[] },
): void {
  const open = found.rules.map(({ name, rule }) => parseRule(name, rule)).filter(({ enabled }) => enabled)
  const listens = open.map(({ listen }) => formatListen(listen))
  for (const { port, text: what, carried, differs } of forwards) {
    expect([what, listens.some((listen) => `:${listen}/`.includes(`:${port}/`))]).toEqual([what, carried])
    for (const [index, question] of questions.entries()) {
      if (question.port !== port || differs?.(question)) continue
      const expected = carried ? original[index] : ''
      expect({ what, ...question, answer: answers[index] }).toEqual({ what, ...question, answer: expected })
    }
    const line = what.split('\n')[0] ?? ''
    if (!carried) expect([line, found.losses.some(({ leftOut }) => leftOut)]).toEqual([line, true])
  }
}

describeWith(
  {
    root: true,
    platform: 'linux',
    commands: ['ip', 'nft', 'haproxy', 'nginx', 'socat', 'rinetd', 'iptables-restore'],
    files: [streamModule],
  },
  'what is imported lets in whom the program itself lets in',
  () => {
    let lab: ImportsLab

    beforeAll(async () => {
      await built()
      lab = new ImportsLab()
      await lab.serve()
    }, 120_000)
    afterAll(() => lab[Symbol.asyncDispose]())

    const nginxHead = `load_module ${streamModule};\ndaemon off;\nmaster_process off;\nerror_log stderr;\nevents { }\n`

    /** One run of each with all forwards at once, so that a case costs a few lines and no time. */
    const compare = async (
      from: ImportFormat,
      text: string,
      command: (path: string) => string[],
      forwards: readonly Forward[],
    ): Promise<void> => {
      const questions = forwards.flatMap(({ port }) => fromEverywhere(port))
      const path = lab.file(`${from}.conf`, text)
      const original = await lab.asked(() => lab.middle.start(command(path)), questions)
      const { found, answers } = await lab.imported(text, from, questions)
      verdicts(forwards, questions, { found, original, answers })
    }

    it('haproxy', async () => {
      const list = (name: string, bind: string, lines: string[], server = ''): string =>
        [
          `listen ${name}`,
          ` bind 10.80.0.1:${bind}`,
          ...lines.map((line) => ` ${line}`),
          ` server a 10.81.0.2:80 ${server}`,
        ].join('\n')
      const forwards: Forward[] = [
        { port: 7001, carried: true, text: list('open', '7001', []) },
        {
          port: 7002,
          carried: true,
          text: list('guarded', '7002', [
            'tcp-request connection reject if { src 10.80.0.66 }',
            'tcp-request connection reject unless { src 10.80.0.0/24 }',
          ]),
        },
        {
          port: 7003,
          carried: false,
          text: list('peer', '7003 accept-proxy', [
            'tcp-request connection reject unless { src 10.80.0.0/24 }',
          ]),
        },
        {
          port: 7004,
          carried: true,
          text: list('session', '7004 accept-proxy', [
            'tcp-request session reject unless { src 10.80.0.0/24 }',
          ]),
        },
        {
          port: 7005,
          carried: true,
          text: list(
            'content',
            '7005 accept-proxy',
            ['tcp-request content reject if { src 10.80.0.66 }'],
            'send-proxy',
          ),
        },
        {
          port: 7006,
          carried: false,
          text: list('expected', '7006', [
            'tcp-request connection expect-proxy layer4 if { src 10.80.0.2 }',
            'tcp-request connection reject unless { src 10.80.0.2 }',
          ]),
        },
        {
          port: 7007,
          carried: false,
          text: list('counted', '7007 accept-proxy', [
            'stick-table type ip size 1k expire 30s store conn_cur',
            'tcp-request connection track-sc0 src',
            'tcp-request session reject if { sc0_conn_cur gt 2 }',
          ]),
        },
        {
          port: 7008,
          carried: true,
          text: list('layers', '7008', [
            'tcp-request connection accept if { src 10.80.0.0/24 }',
            'tcp-request session reject if { src 10.80.0.66 }',
            'tcp-request connection reject if { src 10.80.1.0/25 }',
            'tcp-request content reject if { src 10.80.0.66 }',
          ]),
        },
        {
          port: 7009,
          carried: true,
          text: 'frontend behind\n bind 10.80.0.1:7009\n default_backend guarding\nbackend guarding\n tcp-request content reject if { src 10.80.0.66 }\n server a 10.81.0.3:81',
        },
        {
          port: 7010,
          carried: false,
          text: list('moved', '7010', [
            'tcp-request connection set-src ipv4(10.80.0.2)',
            'tcp-request connection reject unless { src 10.80.0.2 }',
          ]).replace('ipv4(10.80.0.2)', 'str(10.80.0.66)'),
        },
        { port: 7011, carried: false, text: list('card', '7011 interface lo', []) },
      ]
      const text = `defaults
 mode tcp
 timeout connect 2s
 timeout client 5s
 timeout server 5s
${forwards.map((forward) => forward.text).join('\n')}
`
      await compare('haproxy', text, (path) => ['haproxy', '-db', '-f', path], forwards)
    }, 60_000)

    it('and haproxy those that a rule of ours lets in, whom the header names', async () => {
      const questions = fromEverywhere(7020)
      const rule = parseRule('named', {
        listen: '10.80.0.1:7020',
        target: '10.81.0.2:80',
        acceptProxy: ['10.80.0.2', '10.80.1.5'],
        allow: ['10.80.0.0/24'],
        deny: ['10.80.0.66'],
        limits: { perSource: 100 },
      })
      const { text } = exportRules('haproxy', [rule])
      const path = lab.file('exported.cfg', text)
      const there = await lab.asked(() => lab.middle.start(['haproxy', '-db', '-f', path]), questions)
      const { found, answers } = await lab.imported(text, 'haproxy', questions)
      expect(found.rules.map((one) => one.rule.acceptProxy)).toEqual([['10.80.0.2', '10.80.1.5']])
      expect(there).toEqual(answers)
      expect(answers.filter((answer) => answer !== '')).toHaveLength(2)
    }, 60_000)

    it('nginx', async () => {
      const server = (listen: string, ...lines: string[]): string =>
        `server { listen 10.80.0.1:${listen}; ${lines.map((line) => `${line};`).join(' ')} proxy_pass 10.81.0.2:80; }`
      const trusted = 'set_real_ip_from 10.80.0.2'
      const forwards: Forward[] = [
        { port: 7001, carried: true, text: server('7001') },
        {
          port: 7002,
          carried: true,
          text: server('7002', 'deny 10.80.0.66', 'allow 10.80.0.0/24', 'deny all'),
        },
        {
          port: 7003,
          carried: false,
          text: server('7003 proxy_protocol', 'allow 10.80.0.0/24', 'deny all'),
        },
        {
          port: 7004,
          carried: true,
          text: server('7004 proxy_protocol', trusted, 'deny 10.80.0.66', 'allow 10.80.0.0/24', 'deny all'),
          // Others than the trusted one may come as themselves, and not with a header.
          differs: ({ from }) => from !== '10.80.0.2',
        },
        {
          port: 7005,
          carried: true,
          text: server(
            '7005 proxy_protocol',
            'set_real_ip_from 0.0.0.0/0',
            'set_real_ip_from ::/0',
            'deny 10.80.0.66',
            'proxy_protocol on',
          ),
        },
        { port: 7006, carried: true, text: server('7006 proxy_protocol') },
        { port: 7007, carried: false, text: server('7007 proxy_protocol', 'limit_conn sources 50') },
        { port: 7008, carried: false, text: server('7008 proxy_protocol', 'proxy_protocol on') },
        { port: 7009, carried: false, text: server('7009', `include ${lab.folder}/more.conf`) },
      ]
      lab.file('more.conf', 'deny 10.80.0.66;')
      const text = `load_module ${streamModule};
daemon off;
master_process off;
pid ${lab.folder}/nginx.pid;
error_log stderr;
events { }
stream {
limit_conn_zone $binary_remote_addr zone=sources:1m;
${forwards.map((forward) => forward.text).join('\n')}
}
`
      await compare('nginx', text, (path) => ['nginx', '-e', 'stderr', '-c', path], forwards)
    }, 60_000)

    it('nginx in several files, alone and as nginx -T prints them', async () => {
      const server = (port: number, own = ''): string =>
        `server { listen 10.80.0.1:${port}; ${own} proxy_pass 10.81.0.2:80; }`
      lab.file('shared.conf', 'deny 10.80.0.66;\n')
      lab.file('more-1.conf', `${server(7011)}\n`)
      const path = lab.file(
        'main.conf',
        `load_module ${streamModule};
daemon off;
master_process off;
pid ${lab.folder}/nginx.pid;
events { }
stream {
${server(7010)}
include shared.conf;
include ${lab.folder}/more-*.conf;
${server(7012, 'deny 10.80.1.0/24;')}
}
`,
      )
      const questions = [7010, 7011, 7012].flatMap((port) => fromEverywhere(port))
      const command = ['nginx', '-e', 'stderr', '-c', path]
      const original = await lab.asked(() => lab.middle.start(command), questions)
      const alone = await lab.imported(readFileSync(path, 'utf8'), 'nginx', questions)
      const left = { text: 'shared', carried: false }
      verdicts(
        [
          { ...left, port: 7010 },
          { ...left, port: 7011 },
          { port: 7012, carried: true, text: 'own' },
        ],
        questions,
        { ...alone, original },
      )
      const whole = await lab.imported(lab.middle.run([...command, '-T']), 'nginx', questions)
      expect(whole.found.rules).toHaveLength(3)
      expect(whole.answers).toEqual(original)
    }, 60_000)

    /** An IPv4 client, an IPv6 one, and one of 6to4 who has an allowed IPv4 address within his own. */
    const ofFamilies = (port: number): Question[] => [
      { port, from: '10.80.0.2' },
      { port, from: 'fd80::2', to: 'fd80::1' },
      { port, from: '2002:a50:2::1', to: '2002:a50:2::9' },
    ]

    it('clients of one family are not taken for those of the other, when exported', async () => {
      lab.client.ip('addr', 'add', '2002:a50:2::1/64', 'dev', 'eth0', 'nodad')
      lab.middle.ip('addr', 'add', '2002:a50:2::9/64', 'dev', 'lan', 'nodad')
      const target = '10.81.0.2:80'
      const rules: Record<string, RuleInput> = {
        six: { listen: 7021, target, allow: '::/0' },
        four: { listen: 7022, target, allow: '0.0.0.0/0' },
        lan: { listen: 7023, target, allow: '10.80.0.0/24' },
        local: { listen: 7024, target, allow: 'fd80::/64' },
        notSix: { listen: 7025, target, deny: '::/0' },
        notLan: { listen: 7026, target, deny: '10.80.0.0/24' },
        mixed: { listen: 7027, target, allow: ['10.80.0.0/24', '::/0'], deny: 'fd80::/64' },
      }
      const questions = Object.values(rules).flatMap(({ listen }) => ofFamilies(Number(listen)))
      const parsed = Object.entries(rules).map(([name, rule]) => parseRule(name, rule))
      const ours = (await lab.served(rules, questions)).map((answer) => answer !== '')
      for (const [format, file] of [
        ['haproxy', (text: string) => ['haproxy', '-db', '-f', lab.file('both.cfg', text)]],
        ['nginx', (text: string) => ['nginx', '-e', 'stderr', '-c', lab.file('both.conf', nginxHead + text)]],
      ] as const) {
        const { text } = exportRules(format, parsed)
        const there = await lab.asked(() => lab.middle.start(file(text)), questions)
        const served = there.map((answer) => answer !== '')
        expect([format, ...questions.map((question, at) => [question, served[at]])]).toEqual([
          format,
          ...questions.map((question, at) => [question, ours[at]]),
        ])
        const back = await lab.imported(text, format, questions)
        expect(back.answers.map((answer) => answer !== '')).toEqual(ours)
      }
      const lists = ['src ::/0', 'src 10.80.0.0/24', 'src fd80::/64', 'src 0.0.0.0/0']
      const text = `defaults\n mode tcp\n timeout connect 2s\n timeout client 5s\n timeout server 5s\n${lists
        .flatMap((list) => [`reject if { ${list} }`, `reject unless { ${list} }`])
        .map(
          (line, at) =>
            `listen l${at}\n bind :::${7030 + at} v4v6\n tcp-request connection ${line}\n server a ${target}`,
        )
        .join('\n')}\n`
      const asked = lists.flatMap((_, at) => [...ofFamilies(7030 + 2 * at), ...ofFamilies(7031 + 2 * at)])
      const path = lab.file('lists.cfg', text)
      const original = await lab.asked(() => lab.middle.start(['haproxy', '-db', '-f', path]), asked)
      const { answers } = await lab.imported(text, 'haproxy', asked)
      for (const [at, question] of asked.entries())
        if (answers[at] !== '')
          expect({ ...question, answer: original[at] }).toEqual({ ...question, answer: answers[at] })
      expect(answers.filter((answer) => answer !== '').length).toBeGreaterThan(6)
    }, 90_000)

    it('rinetd', async () => {
      const one = (port: number, ...lines: string[]): Forward => ({
        port,
        carried: true,
        text: [`10.80.0.1 ${port} 10.81.0.2 80`, ...lines].join('\n'),
      })
      const forwards: Forward[] = [
        one(7001),
        one(7002, 'allow 10.80.0.*'),
        one(7003, 'deny 10.80.0.66'),
        one(7004, 'allow 10.80.0.*', 'deny 10.80.0.66', 'allow 10.80.0.66'),
        one(7005, 'deny 10.80.0.?'),
        one(7006, 'allow 10.80.*'),
        one(7007, 'allow 10.9.0.1'),
        { ...one(7008, 'allow 10.*.5'), carried: false },
        one(7009, 'deny *', 'allow 10.80.0.2'),
        { port: 7011, carried: true, text: '0.0.0.0 7011/udp 10.81.0.2 81/udp\nallow 10.80.0.2' },
      ]
      const rest = (port: number): Question[] =>
        clients.map((from) => ({ port, from, ...(port === 7011 ? { udp: true } : {}) }))
      for (const everywhere of [
        [],
        ['deny 10.80.1.*'],
        ['allow 10.80.0.*', 'allow 10.80.1.5', 'deny 10.80.0.2'],
      ]) {
        const text = [...everywhere, ...forwards.map((forward) => forward.text), ''].join('\n')
        const questions = forwards.flatMap(({ port }) => rest(port))
        const path = lab.file('rinetd.conf', text)
        const original = await lab.asked(() => lab.middle.start(['rinetd', '-f', '-c', path]), questions)
        const { found, answers } = await lab.imported(text, 'rinetd', questions)
        verdicts(forwards, questions, { found, original, answers })
      }
    }, 90_000)

    it('socat serves no more than a rule of ours', async () => {
      const target = '10.81.0.2:80'
      const rules: Record<string, RuleInput> = {
        open: { listen: '10.80.0.1:7001', target },
        allowed: { listen: 7002, target, allow: '10.80.0.0/24' },
        one: { listen: '0.0.0.0:7003', target, allow: '10.80.0.2' },
        denied: { listen: '10.80.0.1:7004', target, deny: '10.80.0.66' },
        mixed: { listen: '10.80.0.1:7005', target, allow: '10.80.0.0/24', deny: '10.80.0.66' },
        six: { listen: 7006, target, allow: 'fd80::/64' },
        udp: { listen: '10.80.0.1:7007/udp', target: '10.81.0.2:81', allow: '10.80.0.0/24' },
        fewer: { listen: '[::]:7008', target, allow: 'fd80::/64' },
      }
      const questions = [1, 2, 3, 4, 5, 6, 7, 8].flatMap((port) =>
        clients.map((from) => ({ port: 7000 + port, from, ...(port === 7 ? { udp: true } : {}) })),
      )
      const parsed = Object.entries(rules).map(([name, rule]) => parseRule(name, rule))
      const { text, rules: carried } = exportRules('socat', parsed)
      expect(carried).toEqual(['open', 'allowed', 'one', 'six', 'udp', 'fewer'])
      const path = lab.file('socat.sh', text)
      const there = await lab.asked(() => lab.middle.start(['sh', path]), questions)
      const ours = await lab.served(rules, questions)
      const open = new Set(
        parsed.filter(({ name }) => carried.includes(name)).map(({ listen }) => portOf(listen)),
      )
      for (const [index, question] of questions.entries()) {
        const [answer, own = ''] = [there[index], open.has(question.port) ? ours[index] : '']
        // One socat takes one datagram at a time: of clients that send at once one may go without.
        if (!question.udp || answer !== '')
          expect({ ...question, answer }).toEqual({ ...question, answer: own })
      }
    }, 60_000)

    it('iptables', async () => {
      const nat = '-A PREROUTING -p tcp -m tcp'
      const to = (target: string): string => `-j DNAT --to ${target}`
      const forwards: Forward[] = [
        { port: 7001, carried: true, text: `${nat} --dport 7001 ${to('10.81.0.2:80')}` },
        {
          port: 7002,
          carried: true,
          text: `${nat} --dport 7002 -s 10.80.0.66 -j RETURN\n${nat} --dport 7002 -s 10.80.0.0/24 ${to('10.81.0.3:81')}`,
        },
        {
          port: 7003,
          carried: true,
          text: `-A PREROUTING ! -s 10.80.0.66 -p tcp --dport=7003 ${to('10.81.0.2:80')}`,
        },
        {
          port: 7004,
          carried: false,
          text: `${nat} --dport 7004 -m iprange --src-range 10.80.0.1-10.80.0.9 ${to('10.81.0.2:80')}`,
        },
        {
          port: 7005,
          carried: false,
          text: `${nat} --dport 7005 -m statistic --mode nth --every 2 --packet 0 ${to('10.81.0.2:80')}\n${nat} --dport 7005 ${to('10.81.0.3:80')}`,
        },
        {
          port: 7006,
          carried: true,
          text: `-A PREROUTING -s 10.80.1.0/24 -p tcp --dport 7006:7020 -j RETURN\n${nat} --dport 7006 ${to('10.81.0.2:80')}`,
        },
        { port: 7007, carried: false, text: `${nat} -i dmz --dport 7007 ${to('10.81.0.2:80')}` },
        {
          port: 7021,
          carried: true,
          text: `:X - [0:0]\n${nat} --dport 7021 -j X\n-A X -s 10.80.0.66 -j RETURN\n-A X -p tcp ${to('10.81.0.2:80').replace(' -j', ' -m tcp --dport 7021 -j')}`,
        },
        { port: 7022, carried: false, text: `${nat} --dport 7022 -j REDIRECT --to-ports 8090` },
        { port: 7023, carried: false, text: `${nat} --dport 7023 ${to('127.0.0.1:8090')}` },
        { port: 7024, carried: true, text: `${nat} --dport 7024 ${to('10.81.0.2:82')}` },
        { port: 7025, carried: true, text: `${nat} --dport 7025 ${to('10.81.0.3:82')}` },
        { port: 7026, carried: true, text: `${nat} --dport 7026 ${to('10.81.0.3:80')}` },
        { port: 7027, carried: false, text: `${nat} --dport 7027 ${to('10.81.0.2:81')}` },
        { port: 7028, carried: true, text: `${nat} --dport 7028 ${to('10.81.0.2:80')}` },
      ]
      const text = `*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -s 10.80.0.2/32 -p tcp -m tcp --dport 7028 -j DROP
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
-A PREROUTING -s 10.80.1.0/24 -p tcp -m tcp --dport 7028 -m conntrack --ctstate NEW -j DROP
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:friends - [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -j DROP
-A FORWARD -s 10.80.0.66/32 -d 10.81.0.3/32 -p tcp -m tcp --dport 80:81 -j REJECT --reject-with tcp-reset
-A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT
-A FORWARD -d 10.81.0.3/32 -p tcp -m multiport --dports 81,443 -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 82 -j friends
-A FORWARD -m conntrack --ctorigdstport 7025 -j ACCEPT
-A friends ! -s 10.80.0.0/24 -j RETURN
-A friends -d 10.81.0.2/32 -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
${forwards.map((forward) => forward.text).join('\n')}
COMMIT
`
      const loopbackAlone = lab.middle.start([
        'socat',
        'TCP-LISTEN:8090,bind=127.0.0.1,fork',
        'SYSTEM:read asked; echo loopback',
      ])
      // A rule answers who is not forwarded with a refusal, as this machine does where nobody listens.
      lab.middle.run(['iptables-restore', lab.file('iptables.rules', text)])
      const questions = forwards.flatMap(({ port }) => clients.map((from) => ({ port, from })))
      const original = lab.ask(questions)
      const none = ['raw', 'mangle', 'filter', 'nat'].map(
        (table) => `*${table}\n${table === 'filter' ? ':FORWARD ACCEPT [0:0]\n' : ''}COMMIT\n`,
      )
      lab.middle.run(['iptables-restore', lab.file('none.rules', none.join(''))])
      expect(lab.ask(questions).join('')).toBe('')
      const { found, answers } = await lab.imported(text, 'iptables', questions)
      verdicts(forwards, questions, { found, original, answers })
      expect(original.filter((answer) => answer !== '').length).toBeGreaterThan(14)
      await end(loopbackAlone)
    }, 60_000)

    it('and iptables whom a rule of ours lets in, and nobody else reaches who listens there', async () => {
      const questions = [7001, 7002].flatMap((port) => clients.map((from) => ({ port, from })))
      const target = '10.81.0.2:80'
      const rules = {
        guarded: { listen: '0.0.0.0:7001', target, allow: '10.80.0.0/24', deny: '10.80.0.66' },
        open: { listen: '0.0.0.0:7002', target, deny: '10.80.1.0/24' },
      }
      const parsed = Object.entries(rules).map(([name, rule]) => parseRule(name, rule))
      for (const [format, load, undo] of [
        ['iptables', 'iptables-restore --noflush', 'iptables-restore'],
        ['nft', 'nft -f', 'nft -f'],
      ] as const) {
        // Somebody on this machine listens on the same ports, whom those who are turned away must not reach either.
        const local = [7001, 7002].map((port) =>
          lab.middle.start(['socat', `TCP-LISTEN:${port},fork,reuseaddr`, 'SYSTEM:read asked; echo local']),
        )
        await lab.asked(() => null, questions)
        lab.middle.run([...load.split(' '), lab.file('exported', exportRules(format, parsed).text)])
        const answers = lab.ask(questions).map((answer) => answer.split(' for')[0])
        const none = format === 'nft' ? 'delete table inet naru_export\n' : '*mangle\nCOMMIT\n*nat\nCOMMIT\n'
        lab.middle.run([...undo.split(' '), lab.file('none', none)])
        for (const child of local) await end(child)
        const served = '80 of 10.81.0.2'
        expect([format, ...answers]).toEqual([format, served, '', '', served, served, ''])
      }
    }, 60_000)
  },
)
