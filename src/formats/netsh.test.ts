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

  it('is read as netsh dumps it, and where it prints nothing there is nothing', () => {
    const dump = `
#========================
# Port Proxy configuration
#========================
pushd interface portproxy

reset
add v4tov4 listenport=1024 connectaddress=192.168.198.20 connectport=1024
add v4tov6 listenport=2222 connectaddress=2001:db8::5 connectport=22


popd

# End of Port Proxy configuration
`
    expect(importRules(dump)).toMatchObject({ format: 'netsh', detected: true, losses: [] })
    expect(byName(dump)).toEqual({
      'port-1024': { listen: '0.0.0.0:1024', target: '192.168.198.20:1024' },
      'port-2222': { listen: '0.0.0.0:2222', target: '[2001:db8::5]:22' },
    })
    expect(importRules('\r\n')).toMatchObject({ format: 'netsh', rules: [], losses: [] })
  })

  it('is read out of scripts, however its commands are written there', () => {
    const script = `if ($true) {
    netsh.exe int portproxy add v4tov4 listenport=8443 connectport=443 connectaddress=10.0.0.2
}
Invoke-Expression "netsh interface portproxy add v4tov4 listenport=9443 connectport=443 connectaddress=10.0.0.2"
netsh interface portproxy add v4tov4 8080 10.0.0.2 http && netsh int portproxy add v4tov4 8081 10.0.0.3 80 10.0.0.9
netsh interface portproxy add v4tov4 \`
  listenport=9000 connecta=10.0.0.4
netsh interface portproxy add v4tov4 listenport=9000 connectaddress=10.0.0.5
`
    expect(byName(script)).toEqual({
      'port-8443': { listen: '0.0.0.0:8443', target: '10.0.0.2:443' },
      'port-9443': { listen: '0.0.0.0:9443', target: '10.0.0.2:443' },
      'port-8080': { listen: '0.0.0.0:8080', target: '10.0.0.2:80' },
      'port-8081': { listen: '10.0.0.9:8081', target: '10.0.0.3:80' },
      'port-9000': { listen: '0.0.0.0:9000', target: '10.0.0.5:9000' },
    })
    expect(importRules(script).losses).toMatchObject([{ place: { line: 1 }, leftOut: false }])
  })

  it.each([
    'cmd /c "netsh interface portproxy add v4tov4 listenport=1 connectaddress=10.0.0.2"',
    'Start-Process netsh -ArgumentList "interface portproxy add v4tov4 listenport=1 connectaddress=10.0.0.2" -Verb RunAs',
    '& netsh.exe @("interface","portproxy","add","v4tov4","listenport=1","connectaddress=10.0.0.2")',
    `netsh interface portproxy add v4tov4 listenport="1" connectaddress='10.0.0.2' # the first`,
    '(netsh int p add v4tov4 1 10.0.0.2) >nul 2>&1 || exit /b 1',
    'netsh interface portproxy add v4tov4 1 10.0.0.2&rem done',
    'if (Test-Path a) { netsh interface portproxy add v4tov4 1 10.0.0.2 | Out-Null; }',
  ])('is read however it is called: %s', (line) => {
    expect(byName(`${line}\nnetsh interface portproxy show all\n`)).toEqual({
      'port-1': { listen: '0.0.0.0:1', target: '10.0.0.2:1' },
    })
  })

  it.each([
    '<#\nnetsh interface portproxy add v4tov4 listenport=1 connectaddress=10.0.0.2\n#>',
    'echo netsh interface portproxy add v4tov4 listenport=1 connectaddress=10.0.0.2',
    'Write-Host "run: netsh interface portproxy add v4tov4 listenport=1 connectaddress=10.0.0.2"',
    '@rem netsh interface portproxy add v4tov4 listenport=1 connectaddress=10.0.0.2',
    'dir & :: netsh interface portproxy add v4tov4 listenport=1 connectaddress=10.0.0.2',
  ])('what is only a remark or printed is no forward: %s', (text) => {
    expect(byName(`${text}\nnetsh interface portproxy add v4tov4 2 10.0.0.2\n`)).toEqual({
      'port-2': { listen: '0.0.0.0:2', target: '10.0.0.2:2' },
    })
  })

  it.each([
    ['netsh -r server interface portproxy add v4tov4 1 10.0.0.2', 'it is done on another machine'],
    ['psexec \\\\server netsh int portproxy add v4tov4 1 10.0.0.2', 'it is done on another machine'],
    [
      'Invoke-Command -ComputerName server { netsh int portproxy add v4tov4 1 10.0.0.2 }',
      'it is done on another machine',
    ],
    ['netsh -f forwards.txt', 'it is not followed: import that file too'],
    ['C:\\Windows\\System32\\netsh.exe exec forwards.txt', 'it is not followed: import that file too'],
  ])('opens nothing here for what is elsewhere: %s', (line, why) => {
    const { rules: found, losses } = importRules(`netsh int portproxy add v4tov4 2 10.0.0.2\n${line}\n`)
    expect(found.map(({ name }) => name)).toEqual(['port-2'])
    expect(losses).toMatchObject([{ place: { line: 2 }, leftOut: true, why: { en: why } }])
  })

  it('takes the zone of an address for no variable', () => {
    expect(byName('netsh int portproxy add v6tov4 80 10.0.0.2 listenaddress=fe80::1%12')).toEqual({
      'port-80': { listen: '[fe80::1%12]:80', target: '10.0.0.2:80' },
    })
  })

  it.each([
    ['netsh interface portproxy add v4tov4 listenport=$port connectaddress=10.0.0.9', 2],
    ['netsh interface portproxy add v4tov4 listenport=1 connectaddress=$(wsl hostname -I)', 2],
    ['netsh interface portproxy add v4tov4 listenport=%1 connectaddress=10.0.0.9', 2],
    ['netsh interface portproxy add v4tov4 listenport=nothing connectaddress=10.0.0.9', 2],
    ['netsh interface portproxy add v4tov4 connectaddress=10.0.0.9', 2],
    ['netsh interface portproxy ad 80 10.0.0.9', 2],
    ['netsh interface portproxy add v4tov4 listenport=1 wrong=10.0.0.9', 2],
    ['netsh interface portproxy delete v4tov4 listenport=80', 1],
    ['netsh interface portproxy reset', 1],
  ])('leaves the line out alone: %s', (line, place) => {
    const text = `netsh interface portproxy add v4tov4 listenport=80 connectaddress=10.0.0.2\n${line}\n`
    const { rules: found, losses } = importRules(text)
    expect(found).toHaveLength(place - 1)
    expect(losses).toMatchObject([{ place: { line: place }, leftOut: true }])
  })

  it('nothing is not taken for it', () => {
    expect(() => importRules('hello\nworld\n', { from: 'netsh' })).toThrow(
      'input:1:1: there is no command of netsh',
    )
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
