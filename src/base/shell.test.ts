import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { shellWord } from './shell.ts'

it('a plain word stays as it is', () => {
  expect(shellWord('shop-web_1', 'linux')).toBe('shop-web_1')
  expect(shellWord('C:\\VMs\\win10.vmx', 'win32')).toBe('C:\\VMs\\win10.vmx')
})

it.skipIf(process.platform === 'win32')(
  'whatever a name holds, a shell reads it as one word and runs none of it',
  () => {
    for (const name of ['a b', "it's off", '$(id)', '`id`', 'a;b', '새 웹', '', '"', '*'])
      expect(execFileSync('sh', ['-c', `printf %s ${shellWord(name, 'linux')}`], { encoding: 'utf8' })).toBe(
        name,
      )
  },
)

it('on Windows a name with spaces is put in double quotes', () => {
  expect(shellWord('dev box', 'win32')).toBe('"dev box"')
})
