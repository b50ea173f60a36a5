import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { silentLog } from '../base/log.ts'
import type { RuleStatus } from '../model/naru-api.ts'
import { followSample, sampleUrl } from './sample.ts'

const rule = (listen: string, target: string, state: RuleStatus['state'] = 'open'): RuleStatus =>
  ({ listen, targets: [target], state }) as unknown as RuleStatus

describe('the sample page through a rule', () => {
  it.each([
    ['127.0.0.1:8888', 'http://127.0.0.1:8888/'],
    ['8888', 'http://127.0.0.1:8888/'],
    ['[::1]:8888', 'http://[::1]:8888/'],
    ['0.0.0.0:8888-8890', 'http://127.0.0.1:8888/'],
  ])('is where %s is', (listen, url) => {
    const rules = [rule('9999', '10.0.0.1:80'), rule(listen, '127.0.0.1:6279')]
    expect(sampleUrl(rules, 6279)).toBe(url)
  })

  it('is nowhere without a rule that leads there and is open', () => {
    expect(sampleUrl([rule('8888', '10.0.0.1:80')], 6279)).toBeNull()
    expect(sampleUrl([rule('8888', '127.0.0.1:6279', 'failed')], 6279)).toBeNull()
    expect(sampleUrl([rule('unix:/run/x', '127.0.0.1:6279')], 6279)).toBeNull()
    expect(sampleUrl([rule('8888', '127.0.0.1:6279')], null)).toBeNull()
  })
})

it('a port that another program keeps is told of once, and served when it is free', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  const told: unknown[] = []
  let look = (): void => {}
  await using _page = await followSample(() => port, {
    log: { ...silentLog, warn: (fields) => void told.push(fields) },
    clock: { every: (_ms, run) => ((look = run), { [Symbol.dispose]() {} }) },
  })
  const served = (): Promise<boolean> =>
    fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } }).then(
      async (answer) => (await answer.text()).includes('The ferry runs'),
      () => false,
    )
  for (let times = 0; times < 3; times++) {
    look()
    await new Promise((resolve) => setImmediate(resolve))
  }
  other.close()
  await once(other, 'close')
  await expect.poll(() => (look(), served())).toBe(true)
  expect(told).toEqual([{ port }])
})
