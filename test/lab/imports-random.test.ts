/**
 * Imports never widen, for tables that nobody thought of: random ones are loaded into a kernel, and each client that a
 * rule of ours lets in must reach the same target there. Where no line asks what a rule cannot say, both serve the same.
 *
 * `NARU_CASES=100 NARU_SEED=1 npx vitest run test/lab/imports-random.test.ts` runs more of them.
 */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseCidr } from '../../src/base/address.ts'
import { inOrder, holds } from '../../src/formats/shared/access.ts'
import { importRules } from '../../src/formats/index.ts'
import { formatEndpoint } from '../../src/base/address.ts'
import { parseRule } from '../../src/model/rule-file.ts'
import type { Rule } from '../../src/model/rule.ts'
import { describeWith } from '../needs.ts'
import { clients, ImportsLab } from './imports-lab.ts'

const cases = Number(process.env['NARU_CASES'] ?? 10)
const firstSeed = Number(process.env['NARU_SEED'] ?? 1)
const ports = Array.from({ length: 12 }, (_, index) => 7001 + index)
const goals = ['10.81.0.2:80', '10.81.0.2:81', '10.81.0.3:80']
/** `7001:7003` and such lead there; what the kernel makes of each is known to it alone. */
const ranges = [
  '10.81.0.2:80-82',
  '10.81.0.2:80-81',
  '10.81.0.2:80-82/7001',
  '10.81.0.2:80-82/7002',
  '10.81.0.2-10.81.0.3:80',
  '10.81.0.2:80 --random',
  '10.81.0.2:80 --persistent',
]
const sources = [
  '10.80.0.2',
  '10.80.0.66/32',
  '10.80.0.0/24',
  '10.80.0.64/26',
  '10.80.1.0/24',
  '10.80.0.0/16',
]

/** Numbers from a seed, the same each time: mulberry32. */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d_2b_79_f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

class Tables {
  readonly #next: (below: number) => number
  readonly #exact: boolean

  /** @param exact only what a rule can say */
  constructor(seed: number, exact: boolean) {
    this.#next = numbers(seed)
    this.#exact = exact
  }

  text(): string {
    const early = (table: string): string =>
      [`*${table}`, ':PREROUTING ACCEPT [0:0]', ...this.#some(3, () => this.#early(table)), 'COMMIT'].join(
        '\n',
      )
    const forward = [
      '-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      ...this.#some(5, () => this.#filter('FORWARD', ['A', 'B'])),
      ...this.#some(4, () => this.#filter('A', ['B'])),
      ...this.#some(4, () => this.#filter('B', [])),
      ...this.#some(3, () => this.#filter('FORWARD', ['A', 'B'])),
    ]
    const nat = [
      ...this.#some(6, () => this.#nat('PREROUTING', ['P', 'Q'])),
      ...this.#some(5, () => this.#nat('P', ['Q'])),
      ...this.#some(5, () => this.#nat('Q', [])),
      ...ports.map((port) => this.#forward('PREROUTING', `-p tcp -m tcp --dport ${port}`)),
    ]
    return [
      early('raw'),
      early('mangle'),
      `*filter\n:FORWARD ${this.#of(['ACCEPT', 'DROP'])} [0:0]\n:A - [0:0]\n:B - [0:0]`,
      ...forward,
      'COMMIT',
      '*nat\n:PREROUTING ACCEPT [0:0]\n:P - [0:0]\n:Q - [0:0]',
      ...nat,
      'COMMIT\n',
    ].join('\n')
  }

  #of<T>(some: readonly T[]): T {
    return some[this.#next(some.length)] as T
  }

  #some(most: number, one: () => string): string[] {
    return Array.from({ length: this.#next(most + 1) }, one)
  }

  #early(table: string): string {
    const port = this.#of(ports)
    const asked = this.#of([`-p tcp -m tcp --dport ${port}`, `-p tcp -m tcp --dport ${port}:${port + 3}`])
    const marks =
      this.#exact || table === 'raw'
        ? []
        : ['MARK --set-mark 1', 'MARK --set-xmark 0x1/0x1', 'CONNMARK --save-mark']
    const untracked = this.#exact || table !== 'raw' ? [] : ['CT --notrack', 'NOTRACK', 'TRACE']
    return this.#line(
      'PREROUTING',
      [asked, this.#source()],
      this.#of(['DROP', 'DROP', 'ACCEPT', ...marks, ...untracked]),
    )
  }

  #filter(chain: string, chains: readonly string[]): string {
    const [host = '', port = ''] = this.#of(goals).split(':')
    const asked = this.#of([
      '',
      `-d ${host}/32`,
      `-p tcp -m tcp --dport ${port}`,
      '-p tcp -m multiport --dports 80,443',
      '-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN',
      '-p udp',
      '-m conntrack --ctstate NEW',
      '-m conntrack --ctstate DNAT',
      '-m conntrack --ctstate INVALID',
      `-m conntrack --ctorigdstport ${this.#of(ports)}`,
      ...(this.#exact ? [] : ['-i lan', '-i dmz', '! -i lan', '-o dmz', '! -o dmz', '-m mark --mark 0x1']),
      ...(this.#exact ? [] : ['-m pkttype --pkt-type unicast', '-p tcp -m tcp ! --dport 80']),
      ...(this.#exact
        ? []
        : [
            '-p tcp --dport http',
            '-p tcp -m multiport ! --dports 80,82',
            '-p tcp -m multiport --ports 80,7001',
            '-p tcp -m multiport --sports 1024:65535',
            '-p tcp -m tcp --sport 1024:65535',
            '! -p udp',
            '-p all',
            '-p 6 --dport 80',
            '-p tcp --syn',
            '-p tcp ! --syn',
            '-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN',
            '-p tcp -m tcp --tcp-flags SYN,RST SYN',
            '! -f',
            '-f',
            '-m state --state NEW,ESTABLISHED',
            '-m conntrack ! --ctstate NEW',
            '-m conntrack ! --ctstate DNAT',
            '-m conntrack --ctstate DNAT,SNAT',
            '-m conntrack --ctstate UNTRACKED',
            '-m conntrack --ctorigsrc 10.80.0.0/24',
            '-m conntrack --ctorigdst 10.80.0.1',
            '-m conntrack --ctproto 6',
            '-m conntrack --ctdir REPLY',
            '-m iprange --src-range 10.80.0.60-10.80.0.70',
            '-m iprange ! --src-range 10.80.0.60-10.80.0.70',
            '-m iprange --dst-range 10.81.0.2-10.81.0.2',
            '-m addrtype --src-type LOCAL',
            '-m addrtype ! --dst-type LOCAL',
            '-m addrtype --dst-type UNICAST',
            '-m limit --limit 1/hour --limit-burst 1',
            '-m statistic --mode random --probability 0.0',
            '-m length --length 40:100',
            '-m ttl --ttl-lt 64',
            '-m comment --comment "-j ACCEPT"',
            '-m mark ! --mark 0x1',
            '-m mark --mark 0x0/0x1',
            `! -d ${host}/32`,
            `-d ${host}/31`,
            '-m time --timestart 00:00 --timestop 00:00:01',
            '-m rpfilter',
            '-m rpfilter --invert',
            '-m connlimit --connlimit-above 0',
            '-m string --string x --algo bm',
          ]),
    ])
    const ends = [
      'ACCEPT',
      'ACCEPT',
      'DROP',
      'REJECT',
      ...(this.#exact ? [] : ['LOG', 'MARK --set-mark 1', 'CONNMARK --restore-mark']),
    ]
    const end = this.#then(ends, chains)
    // What marks a packet stands in mangle alone, in FORWARD nothing comes of it.
    return this.#line(chain, [asked, this.#source()], /MARK/.test(end) ? 'RETURN' : end)
  }

  #nat(chain: string, chains: readonly string[]): string {
    const port = this.#of(ports)
    const asked = this.#of([
      `-p tcp -m tcp --dport ${port}`,
      `-p tcp -m tcp --dport ${port}:${port + 2}`,
      `-p tcp -m multiport --dports ${port},${this.#of(ports)}`,
      '-d 10.80.0.1/32 -p tcp',
      '-m addrtype --dst-type LOCAL',
      ...(this.#exact ? [] : ['-i lan', '-i dmz', '-m mark --mark 0x1', '-m pkttype --pkt-type unicast']),
      ...(this.#exact
        ? []
        : [
            `-p tcp -m tcp ! --dport ${port}`,
            `-p tcp -m multiport ! --dports ${port},${port + 1}`,
            '! -d 10.80.0.1/32',
            '-m addrtype ! --dst-type LOCAL',
            '-m statistic --mode nth --every 2 --packet 0',
            '-m iprange --src-range 10.80.0.60-10.80.0.70',
            '-p tcp -m tcp --sport 1024:65535',
            '-p tcp --syn',
            '-p udp',
            '! -p tcp',
            '-m conntrack --ctstate NEW',
            '-m conntrack --ctstate DNAT',
            '-m conntrack ! --ctstate NEW',
          ]),
    ])
    const words = [asked, this.#source()]
    if (this.#next(3) === 0) {
      const wide = this.#exact || this.#next(4) > 0 ? port : `${port}:${port + 2}`
      return this.#forward(chain, `-p tcp -m tcp --dport ${wide} ${this.#source()}`)
    }
    return this.#line(chain, words, this.#then(['ACCEPT'], chains))
  }

  #forward(chain: string, asked: string): string {
    const isOther = !this.#exact && this.#next(6) === 0
    return this.#line(chain, [asked], `DNAT --to-destination ${this.#of(isOther ? ranges : goals)}`)
  }

  #source(): string {
    return this.#of(['', '', ...sources.map((one) => `-s ${one}`), `! -s ${this.#of(sources)}`])
  }

  #then(ends: readonly string[], chains: readonly string[]): string {
    return this.#of([...ends, 'RETURN', ...chains, ...chains.map((chain) => `goto ${chain}`)])
  }

  #line(chain: string, asked: readonly string[], then: string): string {
    const end = then.startsWith('goto ') ? `-g ${then.slice(5)}` : `-j ${then}`
    // A source may stand before or behind, as iptables-restore takes it.
    return ['-A', chain, ...asked.filter(Boolean), end].join(' ')
  }
}

function ruleOf(rules: readonly Rule[], port: number): Rule | undefined {
  return rules.find(({ listen, enabled }) => enabled && listen.kind === 'inet' && listen.ports.first === port)
}

/** Where a rule takes this client; empty where it turns him away. */
function servedBy(rules: readonly Rule[], port: number, client: string): string {
  const rule = ruleOf(rules, port)
  if (!rule) return ''
  const { entries, otherwise } = inOrder(rule)
  const who = parseCidr(client)
  const action = entries.find(({ cidr }) => holds(cidr, who))?.action ?? otherwise
  const [to] = rule.targets.map((target) => target.to)
  return action === 'allow' && to?.kind === 'inet' ? formatEndpoint(to.host, to.ports.first) : ''
}

/** Loads the table, without the lines that the kernel does not take where they stand. */
function loaded(lab: ImportsLab, text: string): string {
  let lines = text.split('\n')
  for (;;)
    try {
      lab.middle.run(['iptables-restore', lab.file('random.rules', lines.join('\n'))])
      return lines.join('\n')
    } catch (error) {
      const refused = [...String(error).matchAll(/\bline:? (\d+)\b/g)].map(([, number]) => Number(number))
      if (!refused.some((number) => lines[number - 1]?.startsWith('-A'))) throw error
      lines = lines.filter((_, at) => !refused.includes(at + 1))
    }
}

describeWith(
  { root: true, platform: 'linux', commands: ['ip', 'iptables-restore'] },
  'random tables of iptables',
  () => {
    let lab: ImportsLab
    beforeAll(async () => {
      lab = new ImportsLab()
      await lab.serve()
    }, 60_000)
    afterAll(() => lab[Symbol.asyncDispose]())

    const questions = ports.flatMap((port) => clients.map((from) => ({ port, from })))

    it.each([
      ['that ask what a rule can say serve whom our rules serve', true],
      ['serve all whom our rules serve', false],
    ])(
      `%s (seed ${firstSeed})`,
      (_, exact) => {
        let [served, ours] = [0, 0]
        for (let seed = firstSeed; seed < firstSeed + cases; seed++) {
          const text = loaded(lab, new Tables(seed, exact).text())
          const answers = lab.ask(questions)
          const rules = importRules(text).rules.map(({ name, rule }) => parseRule(name, rule))
          for (const [index, { port, from }] of questions.entries()) {
            const [at = '', , host = ''] = (answers[index] ?? '').split(' ')
            const there = answers[index] === '' ? '' : `${host}:${at}`
            const here = servedBy(rules, port, from)
            if (there !== '') served++
            if (here !== '') ours++
            if (here !== '' || (exact && ruleOf(rules, port)))
              expect({ seed, port, from, to: here, text }).toEqual({ seed, port, from, to: there, text })
          }
        }
        expect(served).toBeGreaterThan(cases * 6)
        expect(ours).toBeGreaterThan(served / 4)
      },
      Math.max(120_000, cases * 10_000),
    )
  },
)
