import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, it } from 'vitest'
import { freePort } from '../../test/free-port.ts'
import { unreachedText } from './unreached.ts'

it('a refusal of the system is told in words, without the address once more', async () => {
  const socket = connect(await freePort(), '127.0.0.1')
  const [error] = (await once(socket, 'error').catch((thrown: unknown) => [thrown])) as [unknown]
  expect(unreachedText(error)).toEqual({ en: 'the connection is refused', ko: '연결을 거부합니다' })
  expect(unreachedText(new Error('what nobody knows')).ko).toBe('what nobody knows')
})
