import { describe, expect, it } from 'vitest'
import { parseRule } from '../model/rule-file.ts'
import { exportRules, importRules } from './index.ts'

/** As Windows 10 prints it; the Korean headings are those of a Korean Windows 10. */
const english = `
Listen on ipv4:             Connect to ipv4:

Address         Port        Address         Port
--------------- ----------  --------------- ----------
0.0.0.0         8888        192.168.79.128  80
192.168.0.10    2222        vm.lan          22

Listen on ipv6:             Connect to ipv4:

Address         Port        Address         Port
--------------- ----------  --------------- ----------
*               8888        192.168.79.128  80

`
const korean = english
  .replaceAll(/Listen on (ipv.): {12} Connect to (ipv.):/g, '$1 수신 대기:             $2에 연결:')
  .replaceAll(
    'Address         Port        Address         Port',
    '주소            포트        주소            포트',
  )

const rules = {
  'port-8888': { listen: 8888, target: '192.168.79.128:80' },
  'port-2222': { listen: '192.168.0.10:2222', target: 'vm.lan:22' },
}

const byName = (text: string | Uint8Array): Record<string, unknown> =>
  Object.fromEntries(importRules(text).rules.map(({ name, rule }) => [name, rule]))

describe('netsh portproxy', () => {
  it.each([
    ['English', english],
    ['Korean', korean],
  ])('is read in %s, also with the line ends of Windows', (_, text) => {
    expect(importRules(text)).toMatchObject({ format: 'netsh', detected: true, losses: [] })
    expect(byName(text)).toEqual(rules)
    expect(byName(text.replaceAll('\n', '\r\n'))).toEqual(rules)
  })

  it('is read as PowerShell’s > (UTF-16) and a Korean cmd.exe (CP949) write it', () => {
    const wide = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(korean, 'utf16le')])
    expect(byName(wide)).toEqual(rules)
    const cp949 = Buffer.from(korean.replaceAll(/[^\x20-\x7E\n]/g, '\u00BC\u00F6'), 'latin1')
    expect(byName(cp949)).toEqual(rules)
  })

  it('names the line and column of a row that is none', () => {
    expect(() =>
      importRules(english.replace('8888        192', 'http        192'), { file: 'p.txt' }),
    ).toThrow('p.txt:6:17: "http" is no port')
  })

  it('goes out as commands and comes back', () => {
    const found = importRules(english)
    const { text, losses } = exportRules(
      'netsh',
      found.rules.map(({ name, rule }) => parseRule(name, rule)),
    )
    expect(losses).toEqual([])
    expect(text).toContain(
      'netsh interface portproxy add v6tov4 listenaddress=:: listenport=8888 connectaddress=192.168.79.128 connectport=80',
    )
    expect(byName(text)).toEqual(rules)
  })

  it('leaves out what would be open to others, and says what else is lost', () => {
    const guarded = parseRule('a', { listen: 1000, target: '10.0.0.2:80', allow: '10.0.0.0/8' })
    const slow = parseRule('b', { listen: '2000/tcp+udp', target: '10.0.0.2:80', timeouts: { idle: '5m' } })
    const { rules: carried, losses } = exportRules('netsh', [guarded, slow])
    expect(carried).toEqual(['b'])
    expect(losses.map(({ rule, what, leftOut }) => [rule, what, leftOut])).toEqual([
      ['a', 'allow', true],
      ['b', 'udp', false],
      ['b', 'timeouts.idle', false],
    ])
  })
})
