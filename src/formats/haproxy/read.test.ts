import { expect, it } from 'vitest'
import { importRules } from '../index.ts'

const head = 'defaults\n mode tcp\n timeout connect 5s\n timeout client 1m\n timeout server 1m\n'
const read = (text: string): ReturnType<typeof importRules> =>
  importRules(`${head}${text}\n`, { from: 'haproxy' })

it('the first use_backend without a condition takes all, and no default_backend', () => {
  const { rules, losses } = read(`frontend f
 bind 127.0.0.1:1
 use_backend a
 use_backend b if { req.ssl_sni x.example.org }
 default_backend b
backend a
 server s 10.0.0.1:1
backend b
 server s 10.0.0.2:1`)
  expect(rules.map(({ rule }) => rule)).toMatchObject([{ target: '10.0.0.1:1' }])
  expect(losses.map(({ place, what }) => [place?.line, what])).toEqual([
    [9, 'use_backend b if { req.ssl_sni x.example.org }'],
    [13, 'backend b'],
  ])
})

it('a computed backend leaves its frontend out, and nothing else', () => {
  const { rules, losses } = read(`frontend tls
 bind :1
 use_backend %[req.ssl_sni,lower,map(/etc/names)]
frontend db
 bind 127.0.0.1:2
 default_backend a
backend a
 server s 10.0.0.1:1`)
  expect(rules.map(({ name }) => name)).toEqual(['db'])
  expect(losses).toMatchObject([{ leftOut: true, place: { line: 8 } }])
})

it('a name that an earlier one holds goes to the earlier, as haproxy takes the first that matches', () => {
  const { rules, losses } = read(`frontend f
 bind :1
 use_backend a if { req.ssl_sni -m end .example.org }
 use_backend b if { req.ssl_sni x.example.org }
 default_backend b
backend a
 server s 10.0.0.1:1
backend b
 server s 10.0.0.2:1`)
  expect(rules[0]?.rule.targets).toEqual([{ to: '10.0.0.1:1', name: '*.example.org' }, { to: '10.0.0.2:1' }])
  expect(losses).toMatchObject([{ place: { line: 9 }, leftOut: false }])
})

it.each([
  ['bind :1\n bind :::1', 1],
  ['bind [::]:1\n bind *:1', 1],
  ['bind :1\n bind [::]:1 v6only', 1],
  ['bind [::]:1 v4v6', 1],
  ['bind *:1', '0.0.0.0:1'],
])('%s is one rule', (bind, listen) => {
  const { rules, losses } = read(`listen l\n ${bind}\n server s 10.0.0.1:1`)
  expect([rules.map(({ rule }) => rule.listen), losses]).toEqual([[listen], []])
})

it('a port that only the check asks is said to be lost', () => {
  const { rules, losses } = read(`listen l
 bind :1
 default-server check inter 3s
 server s 10.0.0.1:5432 port 8008
 server t 10.0.0.2:5432 port 5432`)
  expect(rules[0]?.rule.health).toMatchObject({ every: '3s' })
  expect(losses.map(({ what }) => what)).toEqual(['server s: check port 8008'])
})

it.each([
  ['use-server s if { src 10.0.0.0/8 }', 7],
  ['.if streq("$A",b)', 7],
  ['tcp-request content accept if { req.ssl_hello_type 1 }\n tcp-request content reject', 8],
  ['tcp-request content reject if { src -f /etc/banned }', 7],
])('%s leaves the proxy out', (line, at) => {
  const { rules, losses } = read(`listen l\n ${line}\n bind :1\n server s 10.0.0.1:1`)
  expect(rules).toEqual([])
  expect(losses).toMatchObject([{ leftOut: true, place: { line: at } }])
})

it('the list of a backend counts too; for several backends it cannot be said', () => {
  const back = 'backend a\n tcp-request content reject unless { src 10.0.0.0/8 }\n server s 10.0.0.1:1'
  const { rules } = read(`frontend f
 bind :1
 tcp-request connection reject if { src 10.9.0.0/16 }
 default_backend a
${back}`)
  expect(rules[0]?.rule).toMatchObject({ allow: ['10.0.0.0/8'], deny: ['10.9.0.0/16'] })
  const both = read(`frontend f
 bind :1
 use_backend b if { req.ssl_sni x.example.org }
 default_backend a
backend b
 server s 10.0.0.2:1
${back}`)
  expect([both.rules, both.losses[0]?.leftOut]).toEqual([[], true])
})

const byNameTo = (one: string, other: string): ReturnType<typeof importRules> =>
  read(`frontend f
 bind :1
 use_backend b if { req.ssl_sni x.example.org }
 default_backend a
backend a
 ${one}
backend b
 ${other}`)

it.each([
  ['server s 10.0.0.1:1 send-proxy', 'server s 10.0.0.2:1'],
  ['server s 10.0.0.1:1', 'server s 10.0.0.2:1 send-proxy-v2'],
  ['server s 10.0.0.1:1', 'source 0.0.0.0 usesrc clientip\n server s 10.0.0.2:1'],
  ['server s 10.0.0.1:1', 'disabled\n server s 10.0.0.2:1'],
])('backends that serve otherwise cannot be one rule: %s, %s', (one, other) => {
  const { rules, losses } = byNameTo(one, other)
  expect([rules, losses[0]?.leftOut]).toEqual([[], true])
})

it('balance, times and checks of a backend are lost where another has its own', () => {
  const { rules, losses } = byNameTo(
    'balance leastconn\n timeout server 30s\n server s 10.0.0.1:1 check inter 4s',
    'server s 10.0.0.2:1',
  )
  expect(rules[0]?.rule).toMatchObject({ balance: 'least-connections', health: { every: '4s' } })
  expect(losses).toMatchObject([{ what: 'backend b: balance, check', rule: 'f', leftOut: false }])
})

it('a socket for somebody else is said to be for its owner alone', () => {
  const { rules, losses } = read('listen l\n bind /run/x.sock mode 660 group www\n server s 10.0.0.1:1')
  expect(rules.map(({ rule }) => rule.listen)).toEqual(['unix:/run/x.sock'])
  expect(losses[0]?.why.en).toContain('only root and the user that Naru runs as')
})

it('who only monitors is no client', () => {
  expect(read('listen l\n bind :1\n monitor-net 10.9.0.0/16\n server s 10.0.0.1:1').rules).toEqual([])
})

it('a PROXY header that tells of TLS as well is one all the same', () => {
  for (const word of ['send-proxy-v2', 'send-proxy-v2-ssl', 'send-proxy-v2-ssl-cn']) {
    const { rules, losses } = read(`listen a\n bind :1\n server s 10.0.0.1:1 ${word}`)
    expect(rules.map(({ rule }) => rule.source)).toEqual(['proxy-v2'])
    expect(losses.map(({ what }) => what)).toEqual(word === 'send-proxy-v2' ? [] : [`server s: ${word}`])
  }
})

it('a server takes back what default-server says', () => {
  const of = (defaults: string, own: string): string => `listen a
 bind :1
 default-server ${defaults}
 server s 10.0.0.1:1 ${own}
 server t 10.0.0.2:1 ${own}`
  const only = (text: string): unknown => read(text).rules.map(({ rule }) => rule)
  expect(only(of('send-proxy check', 'no-send-proxy no-check'))).toMatchObject([{ targets: [{}, {}] }])
  expect(JSON.stringify(only(of('send-proxy check', 'no-send-proxy no-check')))).not.toMatch(/source|health/)
  expect(only(of('disabled', 'enabled'))).toMatchObject([{ targets: [{}, {}] }])
  expect(read(of('send-proxy', '').replace(/t 10.*/, 't 10.0.0.2:1 no-send-proxy'))).toMatchObject({
    rules: [],
    losses: [{ leftOut: true, what: 'listen a: send-proxy' }],
  })
})

it('servers that haproxy makes leave their proxy out, with that reason', () => {
  const { rules, losses } = read(
    'listen a\n bind :1\n server s 10.0.0.1:1\n server-template t 3 db.example.org:1 check',
  )
  expect(rules).toEqual([])
  expect(losses).toMatchObject([
    { place: { line: 9 }, leftOut: true, why: { en: expect.stringContaining('made by haproxy') as string } },
  ])
})

it('a connect without an end is tried for as long as the kernel tries', () => {
  const { rules, losses } = read('listen a\n bind :1\n timeout connect 0\n server s 10.0.0.1:1')
  expect(rules.map(({ rule }) => rule.timeouts)).toMatchObject([{ connect: '2m10s' }])
  expect(losses).toEqual([])
})
