/** `naru open` as a person leaves it in a terminal: what becomes of the service behind it is told. */
import { mkdtempSync, rmSync } from 'node:fs'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Scope } from '../../src/base/scope.ts'
import { built } from '../built.ts'
import { freePort } from '../free-port.ts'
import { NaruProcess } from './naru-process.ts'

/** Looked at every 4 s, twice before it counts. */
const toldWithinMs = 20_000

it('says that the service does not run, and that it works again', { timeout: 4 * toldWithinMs }, async () => {
  await built()
  await using scope = new Scope()
  const state = mkdtempSync(join(tmpdir(), 'naru-open-'))
  scope.defer(() => rmSync(state, { recursive: true, force: true }))
  const port = await freePort()
  const listen = `127.0.0.1:${await freePort()}`
  const naru = new NaruProcess({ through: ['env'], state }, ['open', listen, `127.0.0.1:${port}`])
  scope.defer(() => naru.end())
  await naru.opened()
  expect(naru.hop('relay')?.state).toBe('ok')

  await naru.until('the service is away', () => naru.hop('service')?.state === 'broken', toldWithinMs)
  expect(naru.hop('service')).toMatchObject({
    problem: 'service-down',
    text: { en: `the service does not run: 127.0.0.1:${port} refuses connections` },
  })

  const service = createServer((socket) => socket.on('error', () => {})).listen(port, '127.0.0.1')
  await once(service, 'listening')
  scope.defer(() => service.close())
  await naru.until('the service is back', () => naru.works, toldWithinMs)
  expect(await naru.interrupt()).toBe(0)
})
