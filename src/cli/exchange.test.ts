import { mkdtempSync, rmSync, writeFileSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cliDeps } from '../daemon/index.ts'
import { FakeIo } from '../../test/fakes/io.ts'
import { run } from './run.ts'

const rinetd = `allow 10.0.0.*
0.0.0.0 8080 10.0.0.2 80
0.0.0.0 8081 10.0.0.3 80
logfile /var/log/rinetd.log
`

describe('import and export, on the file alone', () => {
  let folder: string
  let state: string | undefined
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'naru-exchange-'))
    state = process.env.NARU_STATE
    process.env.NARU_STATE = join(folder, 'state')
    writeFileSync(join(folder, 'rinetd.conf'), rinetd)
    writeFileSync(
      join(folder, 'naru.yaml'),
      '# mine\nrules:\n  # taken by name\n  port-8080: { listen: 9999, target: 10.9.9.9:80 } # stays\n',
    )
  })
  afterEach(() => {
    if (state === undefined) delete process.env.NARU_STATE
    else process.env.NARU_STATE = state
    rmSync(folder, { recursive: true, force: true })
  })

  const naru = async (...words: string[]): Promise<{ io: FakeIo; code: number }> => {
    const io = new FakeIo()
    const code = await run([...words, '-c', join(folder, 'naru.yaml')], io, cliDeps)
    return { io, code }
  }
  const file = (): string => readFileSync(join(folder, 'naru.yaml'), 'utf8')

  it('shows what it would add, and adds nothing on --dry-run', async () => {
    const before = file()
    const { io, code } = await naru('import', join(folder, 'rinetd.conf'), '--dry-run')
    expect(code).toBe(0)
    expect(io.stdout.text).toMatch(/\+ +port-8080-2 \(port-8080\) +0\.0\.0\.0:8080 +10\.0\.0\.2:80/)
    expect(io.stderr.text).toContain('rinetd (by its content)')
    expect(io.stderr.text).toContain('rinetd.conf:4:1: logfile /var/log/rinetd.log')
    expect(io.stderr.text).toContain('would add 2, 1 not carried over')
    expect(file()).toBe(before)
  })

  it('tells one reason of many lines once, with every line, and counts what it switched off', async () => {
    const rows = Array.from(
      { length: 9 },
      (_, at) => `-A PREROUTING -i eth0 -p tcp --dport ${9000 + at} -j DNAT --to-destination 10.0.0.2:80`,
    )
    writeFileSync(join(folder, 'saved'), ['*nat', ...rows, 'COMMIT', ''].join('\n'))
    const { io } = await naru('import', join(folder, 'saved'), '--from', 'iptables', '--dry-run')
    expect(io.stderr.text.match(/✗/g)).toHaveLength(2)
    expect(io.stderr.text).toContain('the same 8 times more: lines 3-10')
    expect(io.stderr.text).toContain('would add 9, 9 of them switched off')
  })

  it('adds beside what is there, keeps its comments, and a second time adds nothing', async () => {
    const first = await naru('import', join(folder, 'rinetd.conf'))
    expect(first.code).toBe(0)
    expect(file()).toContain('# taken by name\n  port-8080: { listen: 9999, target: 10.9.9.9:80 } # stays')
    expect(file()).toContain(
      '  port-8080-2:\n    listen: 0.0.0.0:8080\n    target: 10.0.0.2:80\n    allow: [ 10.0.0.0/24 ]\n',
    )
    const once = file()
    const { io, code } = await naru('import', join(folder, 'rinetd.conf'), '--json')
    expect(code).toBe(0)
    expect(JSON.parse(io.stdout.text)).toMatchObject({
      format: 'rinetd',
      detected: true,
      rules: [
        { name: 'port-8080-2', wanted: 'port-8080', result: 'there', line: 2, column: 1 },
        { name: 'port-8081', result: 'there' },
      ],
      losses: [{ place: { line: 4, column: 1 }, leftOut: false }],
    })
    expect(file()).toBe(once)
  })

  it('adds what it can where another rule holds a port, and exits with 3', async () => {
    writeFileSync(join(folder, 'naru.yaml'), 'rules:\n  web: { listen: 8080, target: 10.0.0.9:80 }\n')
    const { io, code } = await naru('import', join(folder, 'rinetd.conf'), '--from', 'rinetd')
    expect(code).toBe(3)
    expect(io.stderr.text).toContain('already taken by the rule web')
    expect(io.stderr.text).toContain('rinetd.conf:2:1: port-8080:')
    expect(io.stderr.text).toContain('added 1, 1 failed')
    expect(file()).toContain('port-8081')
    expect(file()).not.toContain('port-8080')
  })

  it('puts rules into the file only, with --disabled, also where there is none yet', async () => {
    rmSync(join(folder, 'naru.yaml'))
    const { code } = await naru('import', join(folder, 'rinetd.conf'), '--disabled')
    expect(code).toBe(0)
    expect(file().match(/enabled: false/g)).toHaveLength(2)
  })

  it('says what is wrong with its file:line:column, and what it could not tell', async () => {
    writeFileSync(join(folder, 'rinetd.conf'), `${rinetd}0.0.0.0 80\n`)
    const wrong = await naru('import', join(folder, 'rinetd.conf'))
    expect([wrong.code, wrong.io.stderr.text]).toEqual([
      2,
      expect.stringContaining('rinetd.conf:5:1: ') as unknown,
    ])
    writeFileSync(join(folder, 'other'), 'hello')
    const other = await naru('import', join(folder, 'other'))
    expect([other.code, other.io.stderr.text]).toEqual([2, expect.stringContaining('--from') as unknown])
    const none = await naru('import', join(folder, 'none'))
    expect([none.code, none.io.stderr.text]).toEqual([
      2,
      expect.stringContaining('there is no file') as unknown,
    ])
    const folderCode = await naru('import', folder)
    expect(folderCode.io.stderr.text).toContain('it is a folder')
  })

  it('exits with 3 where a forward was left out, and says where none is', async () => {
    writeFileSync(join(folder, 'rinetd.conf'), '0.0.0.0 8080 10.0.0.2 80\n0.0.0.0 81/udp 10.0.0.2 80\n')
    const some = await naru('import', join(folder, 'rinetd.conf'), '--dry-run')
    expect([some.code, some.io.stderr.text]).toEqual([3, expect.stringContaining('TCP cannot become UDP')])
    writeFileSync(join(folder, 'compose.yaml'), 'services: { db: { image: redis } }\n')
    const none = await naru('import', join(folder, 'compose.yaml'), '--dry-run')
    expect([none.code, none.io.stderr.text]).toEqual([
      0,
      expect.stringContaining('nothing is forwarded there'),
    ])
  })

  it('exports all or some, and exits with 3 where one had to stay out', async () => {
    await naru('import', join(folder, 'rinetd.conf'))
    const one = await naru('export', '--to', 'netsh', 'port-8080')
    expect([one.code, one.io.stdout.text]).toEqual([
      0,
      expect.stringContaining('connectaddress=10.9.9.9') as unknown,
    ])
    const all = await naru('export', '--to', 'netsh')
    expect(all.code).toBe(3)
    expect(all.io.stderr.text).toContain('✗ port-8081: allow: ')
    await naru('disable', 'port-8081')
    const off = await naru('export', '--to', 'netsh', 'port-8080', 'port-8081')
    expect([off.code, off.io.stderr.text]).toEqual([
      0,
      expect.stringContaining('Off, so not in it: port-8081'),
    ])
    expect(off.io.stderr.text).not.toContain('✗')
    await naru('enable', 'port-8081')
    const json = await naru('export', '--to', 'haproxy', '--json')
    expect(json.code).toBe(0)
    expect(JSON.parse(json.io.stdout.text)).toMatchObject({
      rules: ['port-8080', 'port-8080-2', 'port-8081'],
      losses: [],
    })
    const unknown = await naru('export', '--to', 'nft', 'nobody')
    expect([unknown.code, unknown.io.stderr.text]).toEqual([2, expect.stringContaining('nobody') as unknown])
    expect((await naru('export')).code).toBe(2)
  })

  it.each([
    ['a rule of 60,000 ports', ['r: { listen: 1001-61000, target: "10.0.0.2:1001-61000" }']],
    [
      'a thousand rules of 60 ports',
      Array.from({ length: 1000 }, (_, at) => {
        const ports = `${1001 + 60 * at}-${1060 + 60 * at}`
        return `r${at}: { listen: ${ports}, target: "10.0.0.2:${ports}" }`
      }),
    ],
  ])('names ranges as ranges, whatever is asked: %s', async (_what, rules) => {
    writeFileSync(join(folder, 'naru.yaml'), `rules:\n${rules.map((rule) => `  ${rule}\n`).join('')}`)
    const verbs = ['ls', 'plan', 'check']
    for (const word of [...verbs, 'nft', 'iptables', 'haproxy', 'nginx', 'netsh', 'socat']) {
      const isVerb = verbs.includes(word)
      const { io } = await naru(...(isVerb ? [word] : ['export', '--to', word]), '--json')
      // Those have no ranges: a line a port, and none of a rule that would take thousands.
      const most = ['netsh', 'socat'].includes(word) ? 300 * 60 : 2500
      expect(io.stdout.text.length, word).toBeLessThan(3000 + most * rules.length)
    }
  })

  it('speaks Korean', async () => {
    const { io } = await naru('import', join(folder, 'rinetd.conf'), '--dry-run', '--lang', 'ko')
    expect(io.stderr.text).toContain('옮기지 못한 것:')
    expect(io.stderr.text).toContain('추가될 규칙 2개')
  })
})
