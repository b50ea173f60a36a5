import { describe, expect, it } from 'vitest'
import { fakeHost } from '../../../test/fakes/host.ts'
import { MemoryRecorder } from '../../../test/fakes/recorder.ts'
import { FakeWindows, koreanRules, promptBlock } from '../../../test/fakes/windows-firewall.ts'
import { parseCidr } from '../../base/address.ts'
import type { Host, SocketEntry } from '../../host/contract.ts'
import type { FirewallRequest } from '../contract.ts'
import { windows } from './index.ts'

const signal = AbortSignal.timeout(60_000)
const request: FirewallRequest = {
  rule: 'web',
  protocols: ['tcp', 'udp'],
  ports: { first: 8888, last: 8890 },
  address: null,
  allow: [],
}
const node: SocketEntry = {
  protocol: 'tcp',
  family: 4,
  address: '0.0.0.0',
  port: 8888,
  peer: null,
  state: 'listening',
  v6only: null,
  process: { pid: 4242, name: 'node.exe' },
}

function machine(fake: FakeWindows, listening: readonly SocketEntry[] = [node]): Host {
  return fakeHost({
    run: (argv) => fake.answer(argv),
    facts: { platform: 'win32' },
    sockets: { list: () => Promise.resolve(listening) },
  })
}

describe('Windows Defender Firewall', () => {
  it('opens one rule a protocol, by these very commands', async () => {
    const fake = new FakeWindows()
    const record = new MemoryRecorder()
    const allow = ['192.168.0.0/16', '2001:db8::/32'].map(parseCidr)
    const lease = await windows.open({ ...request, allow }, { host: machine(fake), signal, record })
    const golden = fake.ran
      .find((body) => body.includes('New-NetFirewallRule'))
      ?.replaceAll(/[0-9a-f]{8}/g, 'TOKEN')
    expect(golden).toBe(
      "New-NetFirewallRule -Name 'naru-web-TOKEN-tcp' -DisplayName 'naru:web:TOKEN' -Group 'Naru' -Direction Inbound -Action Allow -Profile Any -Protocol TCP -LocalPort 8888-8890 -RemoteAddress '192.168.0.0/16','2001:db8::/32' | Out-Null; New-NetFirewallRule -Name 'naru-web-TOKEN-udp' -DisplayName 'naru:web:TOKEN' -Group 'Naru' -Direction Inbound -Action Allow -Profile Any -Protocol UDP -LocalPort 8888-8890 -RemoteAddress '192.168.0.0/16','2001:db8::/32' | Out-Null",
    )
    expect(record.left).toHaveLength(1)
    expect(await lease.verify({ signal })).toMatchObject({ state: 'held' })
    await lease.release({ signal })
    await lease.release({ signal })
    expect(fake.rules).toEqual(koreanRules)
    expect(record.left).toEqual([])
  })

  it('is undone from the journal alone, twice without harm', async () => {
    const fake = new FakeWindows()
    const record = new MemoryRecorder()
    await windows.open(request, { host: machine(fake), signal, record })
    const [effect] = record.left
    for (let turn = 0; turn < 2; turn++) await windows.undo(effect ?? null, { host: machine(fake), signal })
    expect(fake.rules).toEqual(koreanRules)
  })

  it('takes from a journal no name that is not ours', async () => {
    const fake = new FakeWindows()
    const names = ['RemoteDesktop-UserMode-In-TCP', "naru-x'; Remove-Item C:\\ -Recurse; '"]
    await windows.undo({ names }, { host: machine(fake), signal })
    expect(fake.ran.join()).not.toContain('Remove-Item')
    expect(fake.rules).toEqual(koreanRules)
  })

  it('needs an administrator, and says so whatever the language of Windows', async () => {
    const fake = new FakeWindows()
    fake.administrator = false
    const record = new MemoryRecorder()
    const opened = windows.open(request, { host: machine(fake), signal, record })
    await expect(opened).rejects.toMatchObject({ code: 'NOT_PERMITTED', exitCode: 4 })
    await expect(opened).rejects.toHaveProperty('fix.en', expect.stringContaining('New-NetFirewallRule'))
    expect(record.left).toEqual([])
  })

  it('takes back the first rule where the second fails', async () => {
    const fake = new FakeWindows()
    fake.additions = 1
    const record = new MemoryRecorder()
    const opened = windows.open(request, { host: machine(fake), signal, record })
    await expect(opened).rejects.toMatchObject({
      code: 'COMMAND_FAILED',
      message: expect.stringContaining('매개 변수가 틀립니다'),
    })
    expect(fake.rules).toEqual(koreanRules)
    expect(record.left).toEqual([])
  })

  it('finds the block that "Cancel" in the prompt left, which beats every allow', async () => {
    const fake = new FakeWindows([...koreanRules, promptBlock])
    const opened = windows.open(request, { host: machine(fake), signal, record: new MemoryRecorder() })
    await expect(opened).rejects.toMatchObject({
      code: 'FIREWALL_OVERRULED',
      params: { by: expect.stringContaining('node.exe') },
    })
    expect(fake.rules).toEqual([...koreanRules, promptBlock])
    fake.profile = 'Private'
    const lease = await windows.open(request, { host: machine(fake), signal, record: new MemoryRecorder() })
    expect(await lease.verify({ signal })).toMatchObject({ state: 'held' })
    const asked = { protocol: 'tcp', port: 8888, from: null } as const
    fake.profile = 'Public'
    expect(await windows.explain(asked, { host: machine(fake), signal })).toMatchObject({
      verdict: 'blocked',
    })
    const iis = { ...node, process: { pid: 4, name: 'System' } }
    expect(await windows.explain(asked, { host: machine(fake, [iis]), signal })).toMatchObject({
      verdict: 'allowed',
    })
  })

  it('explains by profile, block, allow, and default', async () => {
    const fake = new FakeWindows()
    const ask = (port: number, from: string | null): ReturnType<typeof windows.explain> =>
      windows.explain({ protocol: 'tcp', port, from }, { host: machine(fake), signal })
    expect(await ask(8888, null)).toMatchObject({ verdict: 'blocked', by: 'profile Public' })
    fake.profile = 'Private'
    const desk = await ask(3389, null)
    expect(desk.verdict).toBe('blocked')
    expect(desk.why.ko).toContain('원격 데스크톱')
    expect(await ask(3389, '192.168.1.7')).toMatchObject({ verdict: 'unknown' })
    fake.enabled = false
    expect(await ask(8888, null)).toMatchObject({ verdict: 'allowed' })
    expect(await windows.detect({ host: machine(fake), signal })).toMatchObject({ ok: false })
  })

  it('names what is ours in its status, and adds again what was lost', async () => {
    const fake = new FakeWindows()
    const lease = await windows.open(request, { host: machine(fake), signal, record: new MemoryRecorder() })
    const { open, defaultInput } = await windows.status({ host: machine(fake), signal })
    expect(defaultInput).toBe('block')
    expect(open.filter(({ ours }) => ours === 'web').map(({ protocol, ports }) => [protocol, ports])).toEqual(
      [
        ['tcp', { first: 8888, last: 8890 }],
        ['udp', { first: 8888, last: 8890 }],
      ],
    )
    fake.rules.pop()
    expect(await lease.verify({ signal })).toMatchObject({ state: 'lost', why: { code: 'FIREWALL_LOST' } })
    await lease.renew({ signal })
    expect(await lease.verify({ signal })).toMatchObject({ state: 'held' })
  })

  it('says what it cannot read', async () => {
    const host = fakeHost({
      run: () => ({ exit: 1, stdout: '', stderr: '시스템에서 스크립트를 실행할 수 없습니다.' }),
      facts: { platform: 'win32' },
    })
    await expect(windows.detect({ host, signal })).rejects.toMatchObject({ code: 'FIREWALL_UNCLEAR' })
  })
})
