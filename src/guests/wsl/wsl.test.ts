import { expect, it } from 'vitest'
import { fakeHost, FakeRunner } from '../../../test/fakes/host.ts'
import { FakeWsl } from '../../../test/fakes/hypervisor-tools.ts'
import { wsl } from './wsl.ts'

const signal = AbortSignal.timeout(30_000)
const windows = { platform: 'win32' } as const
const ubuntu = (): { name: string; running: boolean; address: string } => ({
  name: 'Ubuntu-22.04',
  running: true,
  address: '172.28.112.5',
})

it('reads names from a Korean Windows, and from one that writes UTF-16', async () => {
  const tool = new FakeWsl([ubuntu(), { name: 'Debian', running: false, address: '' }])
  const host = fakeHost({ run: tool.answer, facts: windows })
  for (const utf16 of [false, true]) {
    tool.utf16 = utf16
    expect((await wsl().list({ host, signal })).map(({ name, state }) => `${name} ${state}`)).toEqual([
      'Ubuntu-22.04 running',
      'Debian stopped',
    ])
  }
})

it('takes a sentence that nothing runs for no name', async () => {
  const tool = new FakeWsl([{ ...ubuntu(), running: false }])
  for (const utf16 of [false, true]) {
    tool.utf16 = utf16
    const [only] = await wsl().list({ host: fakeHost({ run: tool.answer, facts: windows }), signal })
    expect(only).toMatchObject({ name: 'Ubuntu-22.04', state: 'stopped' })
  }
})

it('finds the address where there is no hostname -I, and asks by argv alone', async () => {
  const tool = new FakeWsl([ubuntu()])
  tool.busybox = true
  const runner = new FakeRunner(tool.answer)
  const host = fakeHost({ runner, facts: windows })
  expect((await wsl().resolve('Ubuntu-22.04', { host, signal })).addresses).toEqual(['172.28.112.5'])
  expect(runner.ran).toEqual([
    'wsl.exe --list --quiet',
    'wsl.exe --list --running --quiet',
    'wsl.exe -d Ubuntu-22.04 --exec hostname -I',
    'wsl.exe -d Ubuntu-22.04 --exec ip -4 -o address show scope global',
  ])
})

it('an address that ends in .255 is one like any other in a network as large as WSL’s', async () => {
  for (const busybox of [false, true]) {
    const tool = new FakeWsl([{ ...ubuntu(), address: '172.28.112.255' }])
    tool.busybox = busybox
    const host = fakeHost({ run: tool.answer, facts: windows })
    expect((await wsl().resolve('Ubuntu-22.04', { host, signal })).addresses).toEqual(['172.28.112.255'])
  }
})

it('is not here where Windows is not', async () => {
  expect((await wsl().detect({ host: fakeHost(), signal })).ok).toBe(false)
})
