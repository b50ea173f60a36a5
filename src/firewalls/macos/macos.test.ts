import { describe, expect, it } from 'vitest'
import { fakeHost } from '../../../test/fakes/host.ts'
import { MemoryRecorder } from '../../../test/fakes/recorder.ts'
import { parseCidr } from '../../base/address.ts'
import type { Host, RunResult } from '../../host/contract.ts'
import type { FirewallRequest } from '../contract.ts'
import { parseApps, socketfilterfw } from './application-firewall.ts'
import { macos } from './index.ts'

const signal = AbortSignal.timeout(60_000)
const node = process.execPath
const request: FirewallRequest = {
  rule: 'web',
  protocols: ['tcp'],
  ports: { first: 8888, last: 8888 },
  address: null,
  allow: [],
}

/** socketfilterfw and pfctl as macOS 14 speaks. */
class FakeMac {
  readonly programs = new Map<string, boolean>([['/Applications/Xcode.app', true]])
  readonly anchors = new Map<string, string>()
  readonly ran: string[] = []
  enabled = true
  blocksAll = false
  root = true
  pf = false

  get host(): Host {
    return fakeHost({
      run: (argv, { input }) => this.#answer(argv, String(input ?? '')),
      facts: { platform: 'darwin' },
    })
  }

  #answer(argv: readonly string[], input: string): Partial<RunResult> | undefined {
    if (argv[0] === 'pfctl') return this.#pfctl(argv, input)
    if (argv[0] !== socketfilterfw) return undefined
    const [, option = '', path = ''] = argv
    if (!option.startsWith('--get') && option !== '--listapps') this.ran.push(argv.slice(1).join(' '))
    return { stdout: this.#said(option, path) }
  }

  #said(option: string, path: string): string {
    if (option === '--getglobalstate')
      return this.enabled ? 'Firewall is enabled. (State = 1) \n' : 'Firewall is disabled. (State = 0)\n'
    if (option === '--getblockall')
      return this.blocksAll
        ? 'Firewall is set to block all non-essential incoming connections\n'
        : 'Firewall has block all state set to disabled.\n'
    if (option === '--listapps') return this.#list()
    if (!this.root) return 'Must be root to change settings.\n'
    if (option === '--remove') this.programs.delete(path)
    if (option === '--add' && !this.programs.has(path)) this.programs.set(path, true)
    if (option === '--blockapp') this.programs.set(path, false)
    if (option === '--unblockapp') this.programs.set(path, true)
    return `Incoming connection to the application is ${option === '--blockapp' ? 'blocked' : 'permitted'}\n`
  }

  #list(): string {
    const lines = [...this.programs].map(
      ([path, allowed], index) =>
        `${index + 1} :  ${path} \n \t ( ${allowed ? 'Allow' : 'Block'} incoming connections ) \n`,
    )
    return `Total number of apps = ${lines.length} \n\n${lines.join('\n')}`
  }

  #pfctl(argv: readonly string[], input: string): Partial<RunResult> {
    const anchor = argv[argv.indexOf('-a') + 1] ?? ''
    if (argv.includes('info'))
      return { stdout: this.pf ? 'Status: Enabled for 0 days 00:01:00\n' : 'Status: Disabled\n' }
    if (argv.includes('-f')) this.anchors.set(anchor, input)
    if (argv.includes('-F')) this.anchors.delete(anchor)
    if (argv.includes('-a')) return { stdout: this.anchors.get(anchor) ?? '' }
    return {
      stdout:
        'scrub-anchor "com.apple/*" all fragment reassemble\nanchor "com.apple/*" all\nblock drop in all\n',
    }
  }
}

describe('the application firewall of macOS', () => {
  it('reads lists of every version', () => {
    const older =
      'ALF: total number of apps = 2 \n\n1 :  /usr/local/bin/node \n \t ( Allow incoming connections ) \n\n2 :  /Applications/My Game.app \n \t ( Block incoming connections ) \n'
    expect(parseApps(older)).toEqual([
      { path: '/usr/local/bin/node', allowed: true },
      { path: '/Applications/My Game.app', allowed: false },
    ])
  })

  it('adds the program that runs us while leases need it, by these very commands', async () => {
    const mac = new FakeMac()
    const before = [...mac.programs]
    const record = new MemoryRecorder()
    const options = { host: mac.host, signal, record }
    const [one, two] = [
      await macos.open(request, options),
      await macos.open({ ...request, rule: 'api' }, options),
    ]
    expect(one.describe().differs[0]?.ko).toContain('프로그램')
    await one.release({ signal })
    await one.release({ signal })
    expect(mac.programs.get(node)).toBe(true)
    expect(await two.verify({ signal })).toMatchObject({ state: 'held' })
    await two.release({ signal })
    expect([...mac.programs]).toEqual(before)
    expect(mac.ran).toEqual([`--add ${node}`, `--unblockapp ${node}`, `--remove ${node}`])
    expect(record.left).toEqual([])
  })

  it('puts a program that was blocked back to blocked, also from the journal alone', async () => {
    const mac = new FakeMac()
    mac.programs.set(node, false)
    const lease = await macos.open(request, { host: mac.host, signal, record: new MemoryRecorder() })
    await lease.release({ signal })
    expect(mac.programs.get(node)).toBe(false)
    mac.programs.set(node, true)
    const effect = { tag: 'naru:web:00000000', program: node, before: 'blocked', anchor: null }
    await macos.undo(effect, { host: mac.host, signal })
    await macos.undo(effect, { host: mac.host, signal })
    expect(mac.programs.get(node)).toBe(false)
  })

  it('leaves a program alone that was let in before', async () => {
    const mac = new FakeMac()
    mac.programs.set(node, true)
    const lease = await macos.open(request, { host: mac.host, signal, record: new MemoryRecorder() })
    await lease.release({ signal })
    expect(mac.ran).toEqual([])
    expect(mac.programs.get(node)).toBe(true)
  })

  it('needs root, and prints both commands', async () => {
    const mac = new FakeMac()
    mac.root = false
    const record = new MemoryRecorder()
    const opened = macos.open(request, { host: mac.host, signal, record })
    await expect(opened).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
    await expect(opened).rejects.toHaveProperty('fix.en', expect.stringContaining(`--unblockapp '${node}'`))
  })

  it('says that "block all" lets nobody in', async () => {
    const mac = new FakeMac()
    mac.blocksAll = true
    const opened = macos.open(request, { host: mac.host, signal, record: new MemoryRecorder() })
    await expect(opened).rejects.toMatchObject({ code: 'FIREWALL_OVERRULED' })
    expect(
      await macos.explain({ protocol: 'tcp', port: 8888, from: null }, { host: mac.host, signal }),
    ).toMatchObject({ verdict: 'blocked' })
  })

  it('gives pf an anchor of ours where pf blocks', async () => {
    const mac = new FakeMac()
    mac.pf = true
    const record = new MemoryRecorder()
    const wanted = { ...request, allow: [parseCidr('192.168.0.0/16')], ports: { first: 8000, last: 8010 } }
    const lease = await macos.open(wanted, { host: mac.host, signal, record })
    const [[anchor, rules] = ['', '']] = [...mac.anchors]
    expect(anchor).toMatch(/^com\.apple\/naru\.web\.[0-9a-f]{8}$/)
    expect(rules.replace(/[0-9a-f]{8}"/, 'TOKEN"')).toBe(
      'pass in quick proto tcp from { 192.168.0.0/16 } to any port 8000:8010 keep state label "naru:web:TOKEN"\n',
    )
    mac.anchors.clear()
    expect(await lease.verify({ signal })).toMatchObject({ state: 'lost' })
    await lease.renew({ signal })
    expect(mac.anchors.size).toBe(1)
    await lease.release({ signal })
    expect(mac.anchors.size).toBe(0)
  })
})
