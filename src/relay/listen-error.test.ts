import { expect, it } from 'vitest'
import { listenError } from './listen-error.ts'

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code })
}

it('a port range that takes more descriptors than there are names the limit and what to do', async () => {
  const error = await listenError(systemError('EMFILE'), '*:1024-60000/tcp', () => Promise.resolve(null))
  expect(error.message).toMatch(
    /^cannot listen on \*:1024-60000\/tcp: this process has all \S+ files .*ulimit -n, or LimitNOFILE=/,
  )
})

it('a folder that is not there is no missing permission, though libuv says so', async () => {
  const error = await listenError(systemError('EACCES'), 'unix:/not/there/x.sock', () =>
    Promise.resolve(null),
  )
  expect(error.message).toContain('the folder /not/there is not there')
})

it('the very process that says so is not named as a program to end', async () => {
  const owned = (by: string) => listenError(systemError('EADDRINUSE'), '*:53/udp', () => Promise.resolve(by))
  expect((await owned(`node (pid ${process.pid})`)).message).toContain('this very process, for another rule')
  expect((await owned('dnsmasq (pid 1)')).message).toContain('in use by dnsmasq (pid 1)')
})

it.each([
  ['ENFILE', 'fs.file-max'],
  ['ENOMEM', 'memory limit'],
  ['ENOBUFS', 'memory limit'],
])('%s is the whole machine’s, and no process’s limit', async (code, said) => {
  const { message } = await listenError(systemError(code), '*:80/tcp', () => Promise.resolve(null))
  expect(message).toContain(said)
  expect(message).not.toContain('ulimit')
})
