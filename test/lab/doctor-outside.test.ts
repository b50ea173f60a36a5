/** Proof from outside, in the lab: what a phone or a vantage on the internet tells is what the doctor is told. */
import { expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { startPhoneTest } from '../../src/doctor/outside/phone.ts'
import { askVantage, newVantageKey } from '../../src/doctor/outside/vantage.ts'
import { describeWith } from '../needs.ts'
import { answers, Chain } from './chain.ts'

const needs = { root: true, platform: 'linux', commands: ['ip', 'nft', 'miniupnpd', 'curl'] } as const
const phone = { address: '11.0.0.2', externalPort: 8888, port: 8888, clock: systemClock }

describeWith(needs, 'proof from outside', () => {
  const signal = AbortSignal.timeout(120_000)

  it('a phone reaches the page that is there for it alone', { timeout: 60_000 }, async () => {
    await using chain = await Chain.open({ without: ['relay'], service: null })
    const test = await startPhoneTest({ ...phone, host: chain.machine, signal, listen: true })
    expect(test.url).toMatch(/^http:\/\/11\.0\.0\.2:8888\/[\w-]/)
    expect(await answers(chain.internet, test.url)).toBe(true)
    expect(await test.outcome).toMatchObject({
      port: 8888,
      result: 'answered',
      who: { kind: 'phone', address: '11.0.0.1' },
    })
    await test[Symbol.asyncDispose]()
    expect(await answers(chain.internet, test.url)).toBe(false)
    expect(chain.host.run(['nft', 'list', 'tables'])).not.toContain('naru_syn')
  })

  it('a SYN without a connection points at the firewall of this machine', { timeout: 60_000 }, async () => {
    await using chain = await Chain.open({ without: ['firewall'] })
    await using test = await startPhoneTest({ ...phone, host: chain.machine, signal, listen: false })
    void answers(chain.internet, test.url, 8)
    const outcome = await test.outcome
    expect(outcome).toMatchObject({ result: 'silent' })
    expect(outcome.synsSeen).toBeGreaterThan(0)
    chain.outside.push(outcome)
    const { causes } = await chain.diagnose()
    expect(causes.map(({ code }) => code)).toEqual(['host-firewall'])
    expect(causes[0]?.evidence[1]?.en).toContain('SYN arrived')
  })

  it('nothing at all means that it ended before this machine', { timeout: 60_000 }, async () => {
    await using chain = await Chain.open({ without: ['router'] })
    await using test = await startPhoneTest({
      ...phone,
      host: chain.machine,
      signal,
      listen: false,
      limitMs: 1500,
    })
    void answers(chain.internet, test.url, 2)
    expect(await test.outcome).toMatchObject({ result: 'silent', synsSeen: 0 })
  })

  it('a vantage on the internet says which way it went', { timeout: 60_000 }, async () => {
    await using chain = await Chain.open()
    const key = newVantageKey()
    const vantage = chain.internet.start([process.execPath, '-e', vantageScript(key)])
    await new Promise((resolve) => vantage.stdout?.once('data', resolve))
    const ask = { address: '11.0.0.1', port: 6279, key, signal }
    expect(await askVantage({ ...ask, tryPort: 8888 })).toMatchObject({
      result: 'answered',
      seenAs: '11.0.0.2',
    })
    // The router refuses a port that it does not map.
    expect((await askVantage({ ...ask, tryPort: 8889 })).result).not.toBe('answered')
  })
})

/** The other side of the protocol as src/doctor/outside/vantage.ts writes it down, spoken by a program of its own. */
function vantageScript(key: string): string {
  return `
const { createHmac } = require('crypto'), net = require('net')
const proof = (words) => createHmac('sha256', '${key.replaceAll('-', '')}').update(words).digest('hex')
net.createServer((socket) => {
  const nonce = 'ab'.repeat(16)
  socket.write(JSON.stringify({ naru: 1, nonce }) + '\\n')
  socket.once('data', (bytes) => {
    const asked = JSON.parse(bytes)
    if (asked.proof !== proof('caller ' + nonce + ' ' + asked.nonce + ' ' + asked.port)) return socket.destroy()
    const from = socket.remoteAddress.replace('::ffff:', '')
    const back = net.connect({ host: from, port: asked.port })
    const say = (result) => { back.destroy(); socket.end(JSON.stringify({ proof: proof(['vantage', asked.nonce, nonce, asked.port, from, result, 1].join(' ')), seenAs: from, result, ms: 1 }) + '\\n') }
    const timer = setTimeout(() => say('silent'), 3000)
    back.once('connect', () => { clearTimeout(timer); say('answered') })
    back.once('error', () => { clearTimeout(timer); say('refused') })
  })
}).listen(6279, '0.0.0.0', () => console.log('up'))
`
}
