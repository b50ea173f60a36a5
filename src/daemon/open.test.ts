import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { expect, it, vi } from 'vitest'
import type { RuleStatus } from '../model/naru-api.ts'
import { freePort } from '../../test/free-port.ts'
import { openHere } from './open.ts'

it('naru open tells of each hop while it opens, and no more once it is open', async () => {
  const service = createServer().listen(0, '127.0.0.1')
  await once(service, 'listening')
  const { port } = service.address() as { port: number }
  const folder = mkdtempSync(join(tmpdir(), 'naru-open-'))
  const before = process.env.NARU_STATE
  process.env.NARU_STATE = folder
  const told: RuleStatus[] = []
  try {
    const rule = { listen: `127.0.0.1:${await freePort()}`, target: `127.0.0.1:${port}`, engine: 'sockets' }
    const naru = await openHere(
      {
        name: 'web',
        rule,
        keepPartial: false,
        signal: new AbortController().signal,
        onProgress: (status) => void told.push(status),
        onLeftOver: () => {},
      },
      () => Promise.resolve(null),
    )
    const count = told.length
    const steps = told.map(({ hops }) => hops.map(({ hop, state }) => `${hop} ${state}`).join(', '))
    expect([...new Set(steps)]).toEqual(['', 'relay opening', 'relay ok'])
    await naru.rules.disable('web')
    expect(told).toHaveLength(count)
    await naru[Symbol.asyncDispose]()
  } finally {
    service.close()
    if (before === undefined) delete process.env.NARU_STATE
    else process.env.NARU_STATE = before
    rmSync(folder, { recursive: true, force: true })
  }
})

it('a port that another rule of Naru has is told by that rule’s name', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'naru-open-'))
  const before = process.env.NARU_STATE
  process.env.NARU_STATE = folder
  const listen = `127.0.0.1:${await freePort()}`
  const open = (name: string): ReturnType<typeof openHere> =>
    openHere(
      {
        name,
        rule: { listen, target: 'unix:/run/nobody', engine: 'sockets' },
        keepPartial: false,
        signal: new AbortController().signal,
        onProgress: () => {},
        onLeftOver: () => {},
      },
      () => Promise.resolve(null),
    )
  try {
    await using first = await open('first')
    expect(await first.rules.get('first')).toMatchObject({ state: 'open' })
    // What it holds is written soon.
    await vi.waitFor(
      () => expect(open('second')).rejects.toThrow(`in use by the rule first of Naru (pid ${process.pid})`),
      { timeout: 10_000 },
    )
  } finally {
    if (before === undefined) delete process.env.NARU_STATE
    else process.env.NARU_STATE = before
    rmSync(folder, { recursive: true, force: true })
  }
})

it('a Ctrl-C while a name server is still silent calls it off, and is no fault', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'naru-open-'))
  const before = process.env.NARU_STATE
  process.env.NARU_STATE = folder
  const interrupt = new AbortController()
  interrupt.abort()
  try {
    const rule = { listen: `127.0.0.1:${await freePort()}`, target: 'nobody.invalid:80', engine: 'sockets' }
    const { signal } = interrupt
    const request = {
      name: 'web',
      rule,
      keepPartial: false,
      signal,
      onProgress: () => {},
      onLeftOver: () => {},
    }
    await expect(openHere(request, () => Promise.resolve(null))).rejects.toMatchObject({
      code: 'ABORTED',
      left: [],
    })
  } finally {
    if (before === undefined) delete process.env.NARU_STATE
    else process.env.NARU_STATE = before
    rmSync(folder, { recursive: true, force: true })
  }
})
