import { expect, it } from 'vitest'
import { fakeHost, FakeRunner } from '../../../test/fakes/host.ts'
import { FakePowerShell } from '../../../test/fakes/hypervisor-tools.ts'
import { MemoryRecorder } from '../../../test/fakes/recorder.ts'
import { quoted } from '../shared/powershell.ts'
import { hyperv } from './hyperv.ts'

const signal = AbortSignal.timeout(30_000)
const request = {
  rule: 'web',
  name: '웹 서버',
  protocol: 'tcp',
  hostAddress: null,
  hostPorts: { first: 8888, last: 8888 },
  guestPorts: { first: 80, last: 80 },
} as const
const machine = { Name: '웹 서버', Id: 'a', State: 2 as const, Addresses: ['fe80::1', '192.168.50.10'] }

it('maps by a NAT’s own command, and removes by number', async () => {
  const shell = new FakePowerShell([machine])
  const runner = new FakeRunner(shell.answer)
  const host = fakeHost({ runner, facts: { platform: 'win32' } })
  const lease = await hyperv().open(request, { host, signal, record: new MemoryRecorder() })
  await lease.release({ signal })
  const changes = runner.ran
    .map((line) => line.replace(/^.*?'Stop'; /, ''))
    .filter((line) => /^(Add|Remove)-/.test(line))
  expect(changes).toEqual([
    "Add-NetNatStaticMapping -NatName 'NaruNat' -Protocol TCP -ExternalIPAddress '0.0.0.0' -ExternalPort 8888 -InternalIPAddress '192.168.50.10' -InternalPort 80 | Out-Null",
    'Remove-NetNatStaticMapping -StaticMappingID 0 -Confirm:$false',
  ])
})

it('knows a missing right by its id, as the sentence is Korean', async () => {
  const shell = new FakePowerShell([machine])
  shell.refuseNext = true
  const host = fakeHost({ run: shell.answer, facts: { platform: 'win32' } })
  await expect(hyperv().open(request, { host, signal, record: new MemoryRecorder() })).rejects.toMatchObject({
    code: 'NOT_PERMITTED',
    exitCode: 4,
  })
})

it('puts names in quotes that nothing ends', () => {
  expect(quoted("a'; Remove-VM *; '")).toBe("'a''; Remove-VM *; '''")
  expect(quoted('a\u2019b')).toBe("'a\u2019\u2019b'")
})
