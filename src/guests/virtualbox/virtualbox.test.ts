import { expect, it } from 'vitest'
import { fakeHost } from '../../../test/fakes/host.ts'
import { FakeVBoxManage } from '../../../test/fakes/hypervisor-tools.ts'
import { virtualbox } from './virtualbox.ts'

const signal = AbortSignal.timeout(30_000)
const [broken, sound] = ['1', '2'].map((digit) =>
  '11111111-1111-1111-1111-111111111111'.replaceAll('1', digit),
)

it('a machine that VirtualBox cannot read hides no other', async () => {
  const machine = { uuid: sound as string, state: 'poweroff', nic: 'nat', address: '', forwards: [] } as const
  const tool = new FakeVBoxManage([{ ...machine, name: 'dev box', forwards: [] }])
  const host = fakeHost({
    run(argv, options) {
      if (argv[1] === 'list') return `"<inaccessible>" {${broken}}\n"dev box" {${sound}}\n`
      if (argv.includes(broken as string))
        return {
          exit: 1,
          stderr:
            'VBoxManage: error: The object functionality is limited\nVBoxManage: error: Details: code E_ACCESSDENIED (0x80070005), component MachineWrap, interface IMachine, callee nsISupports\n',
        }
      return tool.answer(argv, options)
    },
  })
  const member = virtualbox({ command: 'VBoxManage' })
  expect(await member.list({ host, signal })).toMatchObject([
    { name: '<inaccessible>', state: 'unknown' },
    { name: 'dev box', state: 'stopped' },
  ])
  await expect(member.resolve('dev box', { host, signal })).rejects.toMatchObject({
    code: 'GUEST_STOPPED',
    fix: { en: expect.stringMatching(/startvm ['"]dev box['"] --type headless$/) as string },
  })
  await expect(member.resolve('<inaccessible>', { host, signal })).rejects.toMatchObject({
    code: 'GUEST_REFUSED',
    message: expect.stringContaining('E_ACCESSDENIED') as string,
  })
})

it('an interface that the guest made itself, or one on VirtualBox’s NAT, is no way in', async () => {
  const tool = new FakeVBoxManage([
    { uuid: sound as string, name: 'dev', state: 'running', nic: 'hostonly', address: '', forwards: [] },
  ])
  const told = (style: (key: string, value: string) => string): string =>
    [
      style('Net/2/V4/IP', '172.17.0.1'),
      style('Net/2/MAC', '0242FECFBE3D'),
      style('Net/0/V4/IP', '10.0.2.15'),
      style('Net/0/MAC', '0800274A2EA2'),
      style('Net/1/V4/IP', '192.168.56.101'),
      style('Net/1/MAC', '080027C9F1E5'),
      style('Net/3/V4/IP', '169.254.7.7'),
    ].join('\n')
  const styles = [
    (key: string, value: string) =>
      `Name: /VirtualBox/GuestInfo/${key}, value: ${value}, timestamp: 1, flags: `,
    (key: string, value: string) => `/VirtualBox/GuestInfo/${key} = '${value}' @ 2026-11-22T10:00:00.000Z`,
  ]
  for (const style of styles) {
    const host = fakeHost({
      run: (argv, options) => (argv[1] === 'guestproperty' ? told(style) : tool.answer(argv, options)),
    })
    const { addresses } = await virtualbox({ command: 'VBoxManage' }).resolve('dev', { host, signal })
    expect(addresses).toEqual(['192.168.56.101'])
  }
})
