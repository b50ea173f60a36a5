import { expect, it } from 'vitest'
import { importRules } from '../index.ts'

const server = (port: number, ...more: string[]): string =>
  `server { listen ${port}; ${more.map((line) => `${line}; `).join('')}proxy_pass 10.0.0.2:80; }`

it('what every server may have from a file that is not followed leaves out those that have no list of their own', () => {
  const { rules, losses } = importRules(
    `stream {\n${server(80)}\ninclude shared.conf;\n${server(81, 'deny 10.0.0.1')}\n}\n`,
  )
  expect(rules.map(({ rule }) => [rule.listen, rule.deny])).toEqual([['0.0.0.0:81', ['10.0.0.1']]])
  expect(losses.map(({ place, leftOut }) => [place?.line, leftOut])).toEqual([
    [3, true],
    [3, false],
  ])
})

it.each(['js_access main.access', 'js_preread main.look'])(
  '%s of all servers leaves out each of them',
  (word) => {
    const { rules, losses } = importRules(`stream {\n${word};\n${server(80, 'deny 10.0.0.1')}\n}\n`)
    expect([rules, losses.some(({ leftOut }) => leftOut)]).toEqual([[], true])
  },
)

it('servers on one port that differ in their name are left out', () => {
  const { rules } = importRules(
    `stream {\n${server(80, 'server_name a.example.org')}\n${server(80, 'server_name b.example.org')}\n}\n`,
  )
  expect(rules).toEqual([])
})

const dump = (files: Record<string, string>): string =>
  Object.entries(files)
    .map(([path, text]) => `# configuration file ${path}:\n${text}\n`)
    .join('\n')

it('what nginx -T prints is followed, with the place of each line in it', () => {
  const text = dump({
    '/etc/nginx/nginx.conf':
      'events { }\nstream {\n  include lists/*.conf;\n  include /etc/nginx/streams/web?.conf;\n}',
    '/etc/nginx/lists/shared.conf': 'deny 10.0.0.1;',
    '/etc/nginx/streams/web1.conf': server(80),
    '/etc/nginx/streams/web2.conf':
      'upstream pool { include pool.inc; }\nserver { listen 81; proxy_pass pool; }',
    '/etc/nginx/pool.inc': 'server 10.0.0.2:80;',
  })
  const { format, rules, losses } = importRules(text)
  expect([format, losses]).toEqual(['nginx', []])
  expect(rules.map(({ rule, place }) => [rule.listen, rule.target, rule.deny, place.line])).toEqual([
    ['0.0.0.0:80', '10.0.0.2:80', ['10.0.0.1'], 12],
    ['0.0.0.0:81', '10.0.0.2:80', ['10.0.0.1'], 16],
  ])
})

it('files that include each other are refused', () => {
  const text = dump({ '/a/nginx.conf': 'stream { include b.conf; }', '/a/b.conf': 'include b.conf;' })
  expect(() => importRules(text, { from: 'nginx' })).toThrow('includes never end')
})

it('names are read where nginx reads them', () => {
  const byName = (map: string, own: string): ReturnType<typeof importRules> =>
    importRules(
      `stream {\nmap $ssl_preread_server_name $to { ${map} a.example.org 10.0.0.3:443; *.example.net 10.0.0.4:443; default 10.0.0.2:443; }\nserver { listen 443; ${own} proxy_pass $to; }\n}\n`,
    )
  const names = ({ rules }: ReturnType<typeof importRules>): unknown =>
    rules.map(({ rule }) => JSON.stringify(rule.targets).match(/"name":"[^"]+"/g))
  expect(names(byName('', 'ssl_preread on;'))).toEqual([['"name":"a.example.org"']])
  expect(names(byName('hostnames;', 'ssl_preread on;'))).toEqual([
    ['"name":"a.example.org"', '"name":"*.example.net"'],
  ])
  expect(names(byName('hostnames;', ''))).toEqual([])
})

it('a variable that decides on the PROXY header leaves its server out', () => {
  const { rules, losses } = importRules(
    `stream {\n${server(80, 'proxy_protocol $header')}\n${server(81, 'proxy_protocol on')}\n}\n`,
  )
  expect(rules.map(({ rule }) => rule.source)).toEqual(['proxy-v1'])
  expect(losses).toMatchObject([{ leftOut: true, what: 'proxy_protocol $header', place: { line: 2 } }])
})

it('a time as long as for ever is none for TCP, and a long one for UDP, whose sessions end at some time', () => {
  const of = (listen: string): ReturnType<typeof importRules> =>
    importRules(`stream { server { listen ${listen}; proxy_timeout 30d; proxy_pass 10.0.0.1:1; } }`, {
      from: 'nginx',
    })
  expect(of('1').rules).toMatchObject([{ rule: { listen: '0.0.0.0:1' } }])
  expect(of('1').rules[0]?.rule.timeouts).toBeUndefined()
  expect(of('1 udp').rules[0]?.rule.timeouts).toMatchObject({ udp: '30d' })
})
