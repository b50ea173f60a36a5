/**
 * Imports never widen, for configurations that nobody thought of: random ones of haproxy, nginx and rinetd are run by the
 * program itself and by Naru on what it reads from them, with the same clients, some behind PROXY headers. Whoever is
 * served here is served the same there.
 *
 * `NARU_CASES=50 NARU_SEED=1 npx vitest run test/lab/imports-random-proxies.test.ts` runs more of them.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ImportFormat } from '../../src/model/import-export.ts'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { clients, ImportsLab, type Question } from './imports-lab.ts'

const cases = Number(process.env['NARU_CASES'] ?? 3)
const seed = Number(process.env['NARU_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const streamModule = '/usr/lib/nginx/modules/ngx_stream_module.so'

const forwardsEach = 10
const firstPort = 7001
const pick = fc.constantFrom
const some = (line: fc.Arbitrary<string>, maxLength: number) => fc.array(line, { maxLength })
const sources = [
  '10.80.0.2',
  '10.80.0.66',
  '10.80.0.0/24',
  '10.80.0.64/26',
  '10.80.1.5',
  '10.80.0.0/16',
  '203.0.113.0/24',
  'fd80::/64',
]
const source = pick(...sources)

/** Of a forward its text, told its number. */
type Forward = (number: number) => string
interface Program {
  readonly format: ImportFormat
  readonly whole: (forwards: readonly string[]) => string
  readonly forward: fc.Arbitrary<Forward>
  readonly command: (path: string) => readonly string[]
  /** Ends well where the program takes the file. */
  readonly check?: (path: string) => readonly string[]
}

const asks = fc.oneof(
  source.map((one) => `{ src ${one} }`),
  fc.tuple(source, source).map((both) => `{ src ${both.join(' ')} }`),
  source.map((one) => `!{ src ${one} }`),
  fc.tuple(source, source).map(([one, other]) => `{ src ${one} } !{ src ${other} }`),
  fc.tuple(source, source).map(([one, other]) => `{ src ${one} } or { src ${other} }`),
  pick('a', '!a', 'b', 'a b', 'a !b', 'a || !b', 'TRUE', 'FALSE', 'LOCALHOST', 'METH_GET'),
  pick(
    '{ dst 10.80.0.1 }',
    '{ dst_port 7003 }',
    '{ fe_conn gt 999 }',
    '{ src_port lt 1024 }',
    '{ always_true }',
    '{ src_is_local }',
    '{ nbsrv gt 0 }',
    '{ src,ipmask(24) 10.80.0.0 }',
    '{ src -m found }',
    '{ req.len gt 0 }',
    '{ so_id 1 }',
    'WAIT_END',
  ),
  source.map((one) => `{ src -m ip ${one} }`),
  source.map((one) => `{ src -n ${one} }`),
)
const condition = fc
  .tuple(pick('if', 'if', 'unless'), asks)
  .map((words) => words.join(' '))
  .chain((asked) => pick(asked, asked, asked, asked, ''))
const haproxyLine = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .tuple(
        pick('connection', 'connection', 'session', 'content'),
        pick('reject', 'reject', 'accept'),
        condition,
      )
      .map(([when, what, asked]) => `tcp-request ${when} ${what} ${asked}`.trim()),
  },
  {
    weight: 1,
    arbitrary: source.map((one) => `tcp-request connection expect-proxy layer4 if { src ${one} }`),
  },
  { weight: 2, arbitrary: asks.map((asked) => `use_backend other if ${asked}`) },
  {
    weight: 2,
    arbitrary: pick(
      'tcp-request connection set-src src,ipmask(16)',
      'tcp-request connection set-src dst',
      'tcp-request session set-src src,ipmask(16)',
      'tcp-request connection silent-drop if a',
      'tcp-request connection track-sc0 src',
      'tcp-request content silent-drop if b',
      'tcp-request content accept if WAIT_END',
      'tcp-request content set-dst-port int(81)',
      'tcp-request connection set-dst str(10.81.0.3)',
      'use_backend other',
      'use_backend guarded if a',
      'use_backend shut if b',
      'maxconn 500',
      'disabled',
      'option tcp-smart-accept',
    ),
  },
)
const haproxy: Program = {
  format: 'haproxy',
  whole: (forwards) => `defaults
 mode tcp
 timeout connect 1s
 timeout client 5s
 timeout server 5s
backend other
 server c 10.81.0.3:81
backend guarded
 tcp-request content reject if { src 10.80.0.66 }
 server c 10.81.0.3:80
backend shut
 disabled
 server c 10.81.0.3:80
${forwards.join('')}`,
  forward: fc
    .record({
      proxy: pick('', '', ' accept-proxy'),
      acls: fc.tuple(source, source, source),
      lines: some(haproxyLine, 4),
      servers: pick(
        ['a 10.81.0.2:80'],
        ['a 10.81.0.2:80 send-proxy'],
        ['a 10.81.0.2:82 disabled', 'b 10.81.0.2:81'],
        ['a 10.81.0.2:80', 'b 10.81.0.2:81 backup'],
        ['a 10.81.0.2:80 weight 0', 'b 10.81.0.2:81'],
        ['a 10.81.0.2:80 send-proxy', 'b 10.81.0.2:81 backup'],
        ['a ipv4@10.81.0.2:80'],
      ),
      bind: pick(
        (port: number) => `10.80.0.1:${port}`,
        (port: number) => `:${port}`,
        (port: number) => `ipv4@10.80.0.1:${port}`,
        (port: number) => `127.0.0.1:${port},10.80.0.1:${port} name x`,
        (port: number) => `10.80.0.1:${port} interface lan`,
        (port: number) => `*:${port} tcp-ut 30s defer-accept`,
      ),
    })
    .map(
      ({ proxy, acls: [a, b, more], lines, servers, bind }): Forward =>
        (number) =>
          [
            `listen f${number}`,
            `bind ${bind(firstPort + number)}${proxy}`,
            `acl a src ${a}`,
            `acl b src ${b}`,
            `acl a src ${more}`,
            // haproxy takes each kind in its own time, whatever the order.
            ...[/ connection /, / session /, / content /, /use_backend/, /^(?!tcp|use)/].flatMap((kind) =>
              lines.filter((line) => kind.test(line)),
            ),
            ...servers.map((server) => `server ${server}`),
            '',
          ].join('\n'),
    ),
  command: (path) => ['haproxy', '-db', '-f', path],
  check: (path) => ['haproxy', '-c', '-q', '-f', path],
}

const nginx: Program = {
  format: 'nginx',
  whole: (forwards) => `load_module ${streamModule};
daemon off; master_process off; error_log stderr; events { }
stream {
deny 203.0.113.7;
geo $other { default 10.81.0.2:80; 10.80.0.64/26 10.81.0.3:81; }
map $remote_addr $mapped { default 10.81.0.2:81; 10.80.0.66 10.81.0.3:80; }
split_clients $remote_addr $split { 50% 10.81.0.2:80; * 10.81.0.3:80; }
upstream up { server 10.81.0.2:80; server 10.81.0.2:82 down; server 10.81.0.3:80 backup; }
upstream hashed { hash $remote_addr; server 10.81.0.2:81; }
${forwards.join('\n')}
}
`,
  forward: fc
    .record({
      proxy: pick('', '', ' proxy_protocol'),
      lines: some(
        fc.oneof(
          fc.tuple(pick('allow', 'allow', 'deny'), pick(...sources, 'all')).map((words) => words.join(' ')),
          source.map((one) => `set_real_ip_from ${one}`),
          pick(
            'proxy_protocol on',
            'proxy_connect_timeout 1s',
            'limit_conn_log_level error',
            'proxy_bind 10.81.0.1',
            'proxy_socket_keepalive on',
            'deny all',
            'allow all',
            'proxy_upload_rate 1m',
          ),
        ),
        5,
      ),
      to: pick('10.81.0.2:80', '10.81.0.2:80', '10.81.0.2:81', '$other', '$mapped', '$split', 'up', 'hashed'),
      listen: pick(
        (port: number) => `10.80.0.1:${port}`,
        (port: number) => `${port}`,
        (port: number) => `*:${port}`,
        (port: number) => `10.80.0.1:${port} so_keepalive=on backlog=100`,
        (port: number) => `127.0.0.1:${port}; listen 10.80.0.1:${port}`,
      ),
    })
    .map(({ proxy, lines, to, listen }): Forward => (number) => {
      const own = [...new Set(lines)].map((line) => `${line};`).join(' ')
      return `server { listen ${listen(firstPort + number)}${proxy}; ${own} proxy_pass ${to}; }`
    }),
  command: (path) => ['nginx', '-e', 'stderr', '-c', path],
  check: (path) => ['nginx', '-e', 'stderr', '-t', '-q', '-c', path],
}

const pattern = pick(
  '10.80.0.*',
  '10.80.0.66',
  '10.80.*',
  '10.80.0.?',
  '*',
  '10.80.1.5',
  '10.*.5',
  '10.80.0.2',
)
const rinetdLine = fc.tuple(pick('allow', 'deny'), pattern).map((words) => words.join(' '))
const rinetd: Program = {
  format: 'rinetd',
  // rinetd 0.73 mistakes whose they are where a file both allows and denies: forwards lose lines of their own.
  whole: (forwards) => {
    const lines = forwards.join('').split('\n')
    const other = lines.length % 2 === 0 ? 'allow' : 'deny'
    return lines.filter((line) => !line.startsWith(other)).join('\n')
  },
  forward: some(rinetdLine, 4).map((lines): Forward => (number) => {
    const forward = `10.80.0.1 ${firstPort + number} 10.81.0.2 ${80 + (number % 3)}`
    // What stands before the first forward is for all of them.
    return [...(number === 0 ? [...lines, forward] : [forward, ...lines]), ''].join('\n')
  }),
  command: (path) => ['rinetd', '-f', '-c', path],
}

function isTaken(lab: ImportsLab, argv: readonly string[]): boolean {
  try {
    lab.middle.run([...argv])
    return true
  } catch {
    return false
  }
}

describeWith(
  {
    root: true,
    platform: 'linux',
    commands: ['ip', 'haproxy', 'nginx', 'rinetd'],
    files: [streamModule],
  },
  'random configurations',
  () => {
    let lab: ImportsLab
    beforeAll(async () => {
      await built()
      lab = new ImportsLab()
      await lab.serve()
    }, 120_000)
    afterAll(() => lab[Symbol.asyncDispose]())

    const ports = Array.from({ length: forwardsEach }, (_, number) => firstPort + number)
    const plain: Question[] = ports.flatMap((port) => clients.map((from) => ({ port, from })))
    const headers = ['10.80.0.2', '203.0.113.9', '10.80.0.66']
    const behind = plain.flatMap((one) => headers.map((claims) => ({ ...one, claims })))

    it.each([haproxy, nginx, rinetd])(
      `of $format serve all whom our rules serve (seed ${seed})`,
      async ({ format, whole, forward, command, check }) => {
        let ours = 0
        // rinetd knows no header, and does not survive many at once.
        const questions = format === 'rinetd' ? plain : [...plain, ...behind]
        const texts = fc
          .array(forward, { minLength: forwardsEach, maxLength: forwardsEach })
          .map((list) => whole(list.map((one, number) => one(number))))
        await fc.assert(
          fc.asyncProperty(texts, async (text) => {
            const path = lab.file(`random-${format}.conf`, text)
            fc.pre(check === undefined || isTaken(lab, check(path)))
            const { found, answers } = await lab.imported(text, format, questions)
            // Who serves nobody proves nothing: another is drawn.
            fc.pre(answers.some((answer) => answer !== ''))
            const askAll = () => lab.asked(() => lab.middle.start([...command(path)]), questions)
            const original = await askAll()
            // Of many that come to it at once it loses one now and then.
            if (format === 'rinetd')
              for (const [at, answer] of (await askAll()).entries()) original[at] ||= answer
            ours += answers.filter(Boolean).length
            for (const [index, question] of questions.entries()) {
              const seen = (answer = ''): string =>
                question.claims ? answer : answer.replace(/ told .*/, '')
              const answer = seen(answers[index])
              // Where a header is wanted of everybody, a client that ours takes without one is served behind one.
              const there = questions.flatMap(({ port, from, claims }, at) =>
                port === question.port &&
                from === question.from &&
                [claims, undefined].includes(question.claims)
                  ? [seen(original[at])]
                  : [],
              )
              if (answer === '' || there.includes(answer)) continue
              const { losses } = found
              expect({ losses, ...question, answer: '' }).toEqual({ losses, ...question, answer })
            }
          }),
          { numRuns: cases, seed, endOnFailure: true },
        )
        expect(ours).toBeGreaterThan(0)
      },
      Math.max(120_000, cases * 20_000),
    )
  },
)
