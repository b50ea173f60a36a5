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
