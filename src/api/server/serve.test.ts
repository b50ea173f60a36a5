import { mkdtemp, rm, stat, writeFile, mkdir } from 'node:fs/promises'
import { Agent, request, type IncomingMessage } from 'node:http'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freePort } from '../../../test/free-port.ts'
import { FakeMachine, diagnosis } from '../../../test/fakes/machine.ts'
import { FakeNaru, connection, hopStatus, ruleStatus } from '../../../test/fakes/naru.ts'
import { errnoOf, NaruError } from '../../base/errors.ts'
import { silentLog, type Log } from '../../base/log.ts'
import { say } from '../../base/text.ts'
import type { NaruEvent } from '../../model/naru-api.ts'
import { noCounters } from '../../rules/counters.ts'
import { createClient, type NaruClient } from '../client/client.ts'
import { fetchTransport } from '../client/fetch.ts'
import { createMachineClient } from '../client/machine-client.ts'
import { socketTransport } from '../client/socket.ts'
import { steadyEvents } from '../client/reconnect.ts'
import { systemClock } from '../../base/clock.ts'
import {
  AboutSchema,
  ChangeResultSchema,
  ConnectionSchema,
  NaruEventSchema,
  PlanSchema,
  RuleStatusSchema,
} from '../protocol/schemas.ts'
import { routes } from '../protocol/routes.ts'
import { isPlace, proofOf } from '../protocol/proof.ts'
import { filesOf } from './static.ts'
import type { ReturnOffer } from '../protocol/wire.ts'
import { accessOfBearer, secretOf } from './guard.ts'
import { Returning } from './returning.ts'
import { newToken, serve, type RunningServer } from './serve.ts'

const token = newToken()
const readToken = newToken()

let folder: string
let naru: FakeNaru
let served: RunningServer
let client: NaruClient
const opened: AsyncDisposable[] = []

async function open(over: Partial<Parameters<typeof serve>[1]> = {}): Promise<RunningServer> {
  const one = await serve(naru, {
    socketPath: join(folder, 'naru.sock'),
    tcp: { port: 0, exact: true, token, readToken },
    pageFiles: filesOf(join(folder, 'web')),
    log: silentLog,
    ...over,
  })
  opened.push(one)
  return one
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'naru-api-'))
  await mkdir(join(folder, 'web/assets'), { recursive: true })
  await writeFile(join(folder, 'web/index.html'), '<!doctype html><title>Naru</title>')
  await writeFile(join(folder, 'web/assets/app-1.js'), 'export {}')
  await writeFile(join(folder, 'secret.txt'), 'secret')
  naru = new FakeNaru(ruleStatus('iis'), ruleStatus('dns', { listen: '53/udp' }))
  served = await open()
  client = createClient(socketTransport({ socketPath: join(folder, 'naru.sock'), file: 'naru.yaml' }))
})

afterEach(async () => {
  for (const one of opened.splice(0)) await one[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

interface Answer {
  status: number
  headers: IncomingMessage['headers']
  body: string
}

/** A request with exactly these headers, as no browser would send it. */
function raw(
  path: string,
  {
    method = 'GET',
    headers = {},
    body,
    agent = false,
  }: { method?: string; headers?: Record<string, string>; body?: string; agent?: Agent | false } = {},
): Promise<Answer> {
  const { port } = new URL(served.url as string)
  return new Promise((resolve, reject) => {
    const call = request({ host: '127.0.0.1', port, path, method, headers, agent }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
      )
    })
    call.on('error', reject)
    call.end(body)
  })
}

const bearer = { authorization: `Bearer ${token}` }
const codeOf = (answer: Answer): string => (JSON.parse(answer.body) as { code: string }).code

describe('the local socket', () => {
  it('belongs to its owner alone', async () => {
    expect((await stat(served.socketPath as string)).mode & 0o777).toBe(0o600)
  })

  it('carries every question of Naru and its answer', async () => {
    naru.connectionsNow.push(connection('c1'), connection('c2', { rule: 'dns' }))
    expect(await client.about()).toEqual({ ...naru.aboutNow, web: served.url })
    expect(await client.rules.list()).toEqual(await naru.rules.list())
    expect(await client.rules.get('iis')).toEqual(ruleStatus('iis'))
    expect(await client.plan()).toEqual(await naru.plan())
    expect((await client.connections({ rule: 'dns' })).map(({ id }) => id)).toEqual(['c2'])
    expect((await client.connections({ limit: 1 })).map(({ id }) => id)).toEqual(['c1'])
    expect(await client.cut('c1')).toBe(true)
    expect(await client.cut('c1')).toBe(false)
    await client.stop({ drain: true })
    expect(naru.stopped).toEqual({ drain: true })
  })

  it('carries any number of new rules, as many at a time as a request may have', async () => {
    const rule = { listen: 9000, target: '80', title: '긴 이름'.repeat(50) }
    const rules = Array.from({ length: 2500 }, (_, at) => ({ name: at === 7 ? 'iis' : `r${at}`, rule }))
    const { rules: told } = await client.rules.addAll(rules, { dryRun: true })
    expect(told.map(({ name }) => name)).toEqual(rules.map(({ name }) => name))
    expect(told.filter(({ added }) => !added)).toMatchObject([
      { name: 'iis', problem: { code: 'RULE_EXISTS' } },
    ])
    expect(await client.rules.addAll([])).toMatchObject({ rules: [] })
    const large = { name: 'large', rule: { ...rule, description: 'x'.repeat(2 << 20) } }
    await expect(client.rules.addAll([large])).rejects.toMatchObject({ code: 'API_TOO_LARGE' })
  })

  it('carries changes with their options', async () => {
    const rule = { listen: 9000, target: '80', publish: { router: 'auto' } }
    const { revision } = await client.about()
    await client.rules.add('web', rule, { dryRun: true, revision })
    await client.rules.edit('iis', { allow: ['10.0.0.0/8'], until: null })
    await client.rules.disable('iis', { now: true })
    await client.rules.enable('iis')
    await client.rules.reopen('iis')
    await client.rules.remove('dns', { now: true })
    await client.reload()
    await client.plan({ name: 'iis', rule: null })
    expect(naru.calls).toEqual([
      ['add', 'web', rule, { dryRun: true, revision }],
      ['edit', 'iis', { allow: ['10.0.0.0/8'], until: null }, { dryRun: false }],
      ['disable', 'iis', { dryRun: false, now: true }],
      ['enable', 'iis', { dryRun: false }],
      ['reopen', 'iis'],
      ['remove', 'dns', { dryRun: false, now: true }],
      ['reload'],
      ['plan', { name: 'iis', rule: null }],
    ])
  })

  it('carries errors as they are', async () => {
    await expect(client.rules.get('nginx')).rejects.toMatchObject({
      code: 'RULE_UNKNOWN',
      message: 'there is no rule named nginx; there are: iis, dns',
    })
    await expect(client.rules.add('iis', {})).rejects.toMatchObject({ code: 'RULE_EXISTS', exitCode: 2 })
    await expect(client.rules.edit('iis', {}, { revision: 'r0' })).rejects.toMatchObject({
      code: 'FILE_CHANGED',
    })
    naru.failNext = new Error('out of luck')
    await expect(client.reload()).rejects.toMatchObject({
      code: 'INTERNAL',
      params: { why: 'out of luck' },
    })
    naru.failNext = new NaruError('NOT_PERMITTED', { what: say('x', '가'), command: 'sudo x' })
    await expect(client.reload()).rejects.toMatchObject({
      text: { en: 'not permitted to x', ko: '권한이 없습니다: 가' },
    })
  })

  it('takes names with any character', async () => {
    naru.set(ruleStatus('웹 서버/1?'))
    expect((await client.rules.get('웹 서버/1?')).name).toBe('웹 서버/1?')
  })

  it('tells the login links, which the TCP side never does', async () => {
    expect(await client.session()).toEqual({
      access: 'full',
      loginUrl: served.loginUrl,
      readOnlyUrl: served.readOnlyUrl,
    })
    const answer = await raw('/api/session', { headers: bearer })
    expect(JSON.parse(answer.body)).toEqual({ access: 'full', loginUrl: null, readOnlyUrl: null })
  })

  it('replaces what a killed process left, and no living one', async () => {
    const path = join(folder, 'left.sock')
    const dead = createServer().listen(path)
    await once(dead, 'listening')
    const living = await serve(naru, {
      socketPath: join(folder, 'b.sock'),
      tcp: null,
      pageFiles: null,
      log: silentLog,
    })
    opened.push(living)
    await expect(
      serve(naru, { socketPath: join(folder, 'b.sock'), tcp: null, pageFiles: null, log: silentLog }),
    ).rejects.toMatchObject({ code: 'API_IN_USE' })
    dead.close()
    await once(dead, 'close')
    await writeFile(path, '')
    opened.push(await serve(naru, { socketPath: path, tcp: null, pageFiles: null, log: silentLog }))
    const other = createClient(socketTransport({ socketPath: path, file: 'f' }))
    expect((await other.about()).pid).toBe(4242)
  })

  it('says that nothing runs where there is no socket', async () => {
    const nobody = createClient(socketTransport({ socketPath: join(folder, 'none'), file: '/etc/naru.yaml' }))
    await expect(nobody.about()).rejects.toMatchObject({
      code: 'NOT_RUNNING',
      message: 'no Naru runs on /etc/naru.yaml',
    })
  })

  it('says that the daemon hangs where it does not answer', async () => {
    const path = join(folder, 'mute.sock')
    const mute = createServer().listen(path)
    await once(mute, 'listening')
    const waiting = createClient(socketTransport({ socketPath: path, file: 'f', limitMs: 50 }))
    await expect(waiting.about()).rejects.toMatchObject({ code: 'API_SILENT' })
    mute.close()
  })
})

describe('the TCP side asks who is there', () => {
  it('answers nothing without a token', async () => {
    for (const path of ['/api/rules', '/api/events', '/api/openapi.json', '/metrics', '/api/none']) {
      const answer = await raw(path)
      expect([path, answer.status, codeOf(answer)]).toEqual([path, 401, 'API_NO_TOKEN'])
    }
  })

  it('refuses a wrong token, however near', async () => {
    for (const wrong of ['', 'x', `${token}x`, token.slice(1), 'a'.repeat(5000), `${token} ${token}`]) {
      const answer = await raw('/api/rules', { headers: { authorization: `Bearer ${wrong}` } })
      expect(answer.status).toBe(401)
    }
    expect((await raw('/?token=wrong')).status).toBe(401)
    const page = await raw('/?token=wrong', { headers: { accept: 'text/html' } })
    expect([page.status, page.body.includes('<title>Naru')]).toEqual([401, true])
  })

  it('takes each request for what it shows itself, whatever its connection has shown before', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const ports = new Set<number | undefined>()
    agent.on('free', (socket: { localPort?: number }) => ports.add(socket.localPort))
    const asked = async (shown?: string): Promise<number> => {
      const headers: Record<string, string> = shown === undefined ? {} : { authorization: `Bearer ${shown}` }
      return (await raw('/api/reload', { method: 'POST', headers, agent })).status
    }
    expect([await asked(token), await asked(token), await asked(readToken)]).toEqual([200, 200, 403])
    expect([await asked(`${token}x`), await asked(), await asked(token)]).toEqual([401, 401, 200])
    expect(ports.size).toBe(1)
    agent.destroy()
  })

  it('takes the token as a header, and the session that the page makes of it', async () => {
    expect((await raw('/api/rules', { headers: bearer })).status).toBe(200)
    const login = await raw(`/?token=${token}`)
    expect([login.status, login.body.includes('<title>Naru'), login.headers['set-cookie']]).toEqual([
      200,
      true,
      undefined,
    ])
    const answer = await raw('/api/session', { method: 'POST', body: JSON.stringify({ token }) })
    const { session } = JSON.parse(answer.body) as { session: string }
    expect(session).toMatch(/^[\w-]{43}$/)
    expect(session).not.toBe(token)
    expect((await raw('/api/rules', { headers: { authorization: `Bearer ${session}` } })).status).toBe(200)
  })

  it('prints links that are good for as long as it holds its port, and tell no token', async () => {
    for (const [link, access] of [
      [served.loginUrl, 'full'],
      [served.readOnlyUrl, 'read'],
    ] as const) {
      const said = new URL(link ?? '').searchParams.get('token') ?? ''
      expect([token, readToken]).not.toContain(said)
      const answer = await raw('/api/session', { method: 'POST', body: JSON.stringify({ token: said }) })
      expect(JSON.parse(answer.body)).toMatchObject({ access, session: said })
      const later = { token, readToken, pageKey: newToken() }
      expect([accessOfBearer(said, later), accessOfBearer(token, later)]).toEqual([null, 'full'])
    }
  })

  it('lets a page of before come back, which neither says nor is told its secret', async () => {
    const ask = (body: object): ReturnType<typeof raw> =>
      raw('/api/session/return', { method: 'POST', body: JSON.stringify(body) })
    const secret = secretOf(readToken)
    const pageNonce = 'a nonce of the page'
    const offer = async (): Promise<ReturnOffer> =>
      JSON.parse((await ask({ access: 'read', pageNonce })).body) as ReturnOffer
    const { at, naruNonce, proof } = await offer()
    expect(isPlace(at, new URL(served.url as string))).toBe(true)
    const meeting = { at, pageNonce, naruNonce }
    expect(proof).toBe(await proofOf(secret, 'naru', meeting))
    const right = { naruNonce, proof: await proofOf(secret, 'page', meeting) }
    expect(JSON.parse((await ask(right)).body)).toMatchObject({ access: 'read' })
    // Once, and not by giving its own words back.
    expect((await ask(right)).status).toBe(401)
    const second = await offer()
    expect((await ask({ naruNonce: second.naruNonce, proof: second.proof })).status).toBe(401)
    for (const wrong of [{}, { access: 'root', pageNonce }, { access: 'read', pageNonce: 'x' }])
      expect((await ask(wrong)).status).toBe(400)
  })

  it('keeps few offers, however many are asked for', async () => {
    const offers = new Returning({ token, readToken, pageKey: newToken() })
    const end = { localAddress: '::ffff:127.0.0.1', localPort: 6278 }
    const first = await offers.offer('full', 'a nonce of the page', end)
    expect(first.at).toBe('127.0.0.1:6278')
    for (let more = 0; more < 64; more++) await offers.offer('full', 'a nonce of the page', end)
    const meeting = { at: first.at, pageNonce: 'a nonce of the page', naruNonce: first.naruNonce }
    await expect(
      offers.take(first.naruNonce, await proofOf(secretOf(token), 'page', meeting)),
    ).rejects.toMatchObject({ code: 'API_NO_TOKEN' })
  })

  it('gives browsers nothing that they would send to another port of this address', async () => {
    const body = JSON.stringify({ token })
    const answers = [await raw(`/?token=${token}`), await raw('/api/session', { method: 'POST', body })]
    expect(answers.map(({ headers }) => headers['set-cookie'])).toEqual([undefined, undefined])
    const { session } = JSON.parse(answers[1]?.body ?? '') as { session: string }
    for (const cookie of [token, session]) {
      const { port } = new URL(served.url as string)
      const answer = await raw('/api/rules', { headers: { cookie: `naru_${port}=${cookie}` } })
      expect(answer.status).toBe(401)
    }
  })

  it('takes the token typed into the page', async () => {
    const answer = await raw('/api/session', { method: 'POST', body: JSON.stringify({ token: readToken }) })
    expect(JSON.parse(answer.body)).toMatchObject({ access: 'read' })
    const wrong = await raw('/api/session', { method: 'POST', body: '{"token":"x"}' })
    expect(wrong.status).toBe(401)
    for (const body of ['', '{}', '[1]', '{"token":7}', '['.repeat(5000)])
      expect((await raw('/api/session', { method: 'POST', body })).status).toBe(400)
  })

  it('lets the second token look, not change, nor have this machine ask whom no rule names', async () => {
    const headers = { authorization: `Bearer ${readToken}`, 'content-type': 'application/json' }
    expect((await raw('/api/rules', { headers })).status).toBe(200)
    expect((await raw('/api/plan', { headers })).status).toBe(200)
    const changes: [string, string][] = [
      ['POST', '/api/plan'],
      ['GET', '/api/doctor?about=127.0.0.77:7588'],
      ['GET', '/api/doctor?about=[::1]:22'],
      ['GET', '/api/doctor?names=intranet.example'],
      ['GET', '/api/doctor?internet=true'],
      ['GET', '/api/machine/addresses?internet=true'],
      ['DELETE', '/api/rules/iis'],
      ['POST', '/api/rules'],
      ['POST', '/api/stop'],
      ['POST', '/api/reload'],
      ['DELETE', '/api/connections/c1'],
    ]
    for (const [method, path] of changes) {
      const answer = await raw(path, { method, headers })
      expect([path, answer.status, codeOf(answer)]).toEqual([path, 403, 'API_READ_ONLY'])
    }
    expect(naru.calls.map(([call]) => call)).toEqual(['plan'])
  })

  it('refuses a name as Host: that is how DNS rebinding arrives', async () => {
    for (const host of ['evil.example:6278', 'localhost.evil.example', '127.0.0.1.nip.io', 'a@localhost']) {
      const answer = await raw('/api/rules', { headers: { ...bearer, host } })
      expect([host, [400, 403].includes(answer.status)]).toEqual([host, true])
    }
    for (const host of ['localhost:6278', '127.0.0.1', '[::1]:6278', '192.168.1.5:6278'])
      expect((await raw('/api/rules', { headers: { ...bearer, host } })).status).toBe(200)
  })

  it('refuses a page of another origin, of another port of this machine too', async () => {
    const own = { ...bearer, 'content-type': 'application/json' }
    const foreign: Record<string, string>[] = [
      { origin: 'http://127.0.0.1:8888' },
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' },
    ]
    for (const headers of foreign) {
      for (const method of ['GET', 'DELETE']) {
        const answer = await raw('/api/rules/iis', { method, headers: { ...own, ...headers } })
        expect([headers, answer.status, codeOf(answer)]).toEqual([headers, 403, 'API_FOREIGN'])
      }
    }
    expect(naru.calls).toEqual([])
    const headers = { ...own, origin: served.url as string, 'sec-fetch-site': 'same-origin' }
    expect((await raw('/api/rules/iis', { method: 'DELETE', headers })).status).toBe(200)
  })

  it('gives the look-only token what the table of routes says, and no more', async () => {
    for (const { method, path, right } of Object.values(routes)) {
      if (right === 'none' || path === routes.events.path) continue
      const answer = await raw(path.replaceAll(/\{\w+\}/g, '1'), {
        method: method.toUpperCase(),
        headers: { authorization: `Bearer ${readToken}`, 'content-type': 'application/json' },
      })
      expect([method, path, answer.status === 403]).toEqual([method, path, right === 'full'])
    }
  })

  it('opens the page from a link of another site, and gives no more than the page', async () => {
    const headers = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }
    expect((await raw('/', { headers })).status).toBe(200)
    expect((await raw('/', { method: 'POST', headers })).status).toBe(403)
  })
})

describe('bad input', () => {
  const headers = { ...bearer, 'content-type': 'application/json' }

  it('is told what is wrong', async () => {
    const cases: [string, string, string | undefined][] = [
      ['POST', '/api/rules', '{'],
      ['POST', '/api/rules', '[]'],
      ['POST', '/api/rules', '{"name":1,"rule":{}}'],
      ['POST', '/api/rules', undefined],
      ['POST', '/api/rules?dryRun=maybe', '{"name":"a","rule":{}}'],
      ['PATCH', '/api/rules/iis', '"x"'],
      ['GET', '/api/connections?limit=-1', undefined],
      ['GET', '/api/connections?limit=x', undefined],
      ['GET', '/api/events?since=x', undefined],
      ['DELETE', `/api/rules/${'n'.repeat(200)}`, undefined],
    ]
    for (const [method, path, body] of cases) {
      const answer = await raw(path, { method, headers, ...(body === undefined ? {} : { body }) })
      expect([path, answer.status, codeOf(answer)]).toEqual([path, 400, 'API_BAD_REQUEST'])
    }
    expect((await raw('/api/rules', { method: 'POST', headers: bearer, body: 'x=1' })).status).toBe(400)
    expect(naru.calls).toEqual([])
  })

  it('answers 404 where nothing is: to programs as JSON, to browsers with the page, which says so', async () => {
    for (const path of ['/healthz', '/rules', '/assets/none.js', '/api/nothing']) {
      const answer = await raw(path, { headers: bearer })
      expect([path, answer.status, codeOf(answer)]).toEqual([path, 404, 'API_NOT_FOUND'])
    }
    const page = await raw('/healthz', { headers: { accept: 'text/html,*/*' } })
    expect([page.status, page.body]).toEqual([404, expect.stringContaining('<title>Naru</title>')])
    const api = await raw('/api/nothing', { headers: { ...bearer, accept: 'text/html' } })
    expect([api.status, codeOf(api)]).toEqual([404, 'API_NOT_FOUND'])
    expect((await raw('/')).status).toBe(200)
  })

  it('names what does not exist', async () => {
    const answer = await raw('/api/nothing', { headers: bearer })
    expect([answer.status, codeOf(answer)]).toEqual([404, 'API_NOT_FOUND'])
    const cut = await raw('/api/connections/c9', { method: 'DELETE', headers })
    expect([cut.status, codeOf(cut)]).toEqual([404, 'CONNECTION_UNKNOWN'])
  })

  it('is turned away where it is too large, announced or not', async () => {
    const body = JSON.stringify({ name: 'a', rule: { x: 'y'.repeat(1_100_000) } })
    const announced = await raw('/api/rules', {
      method: 'POST',
      headers: { ...headers, 'content-length': String(body.length) },
      body,
    })
    expect([announced.status, codeOf(announced)]).toEqual([413, 'API_TOO_LARGE'])
    const chunked = await raw('/api/rules', {
      method: 'POST',
      headers: { ...headers, 'transfer-encoding': 'chunked' },
      body,
    })
    expect([chunked.status, codeOf(chunked)]).toEqual([400, 'API_BAD_REQUEST'])
    expect((await raw('/api/rules', { headers: { ...bearer, 'x-long': 'x'.repeat(20_000) } })).status).toBe(
      431,
    )
    expect(naru.calls).toEqual([])
  })

  it('that is wide or deep gets a short answer', async () => {
    const keys = Array.from({ length: 60_000 }, (_, at) => `"k${at}":1`).join()
    const deep = `{"listen":${'['.repeat(300_000)}${']'.repeat(300_000)}}`
    for (const rule of [`{${keys}}`, deep]) {
      const answer = await raw('/api/rules', { method: 'POST', headers, body: `{"name":"a","rule":${rule}}` })
      expect(answer.body.length).toBeLessThan(1000)
      expect([answer.status, codeOf(answer)]).toEqual([400, 'API_BAD_REQUEST'])
    }
  })

  it('that does not mean one thing to everybody is refused with its place', async () => {
    for (const [rule, why] of [
      ['{"listen":1,"listen":2}', '1:32: this key stands here twice'],
      ['{"limits":{"perSource":1e999}}', '1:43: a number is at most 9007199254740991'],
      ['{"__proto__":{"listen":1}}', '1:21: __proto__ is no key'],
      ['{', 'it is no JSON'],
    ]) {
      const answer = await raw('/api/rules', { method: 'POST', headers, body: `{"name":"a","rule":${rule}}` })
      expect([answer.status, codeOf(answer)]).toEqual([400, 'API_BAD_REQUEST'])
      expect(answer.body).toContain(why)
    }
    expect(naru.calls).toEqual([])
  })

  it('that is no HTTP at all disturbs nobody', async () => {
    const { port } = new URL(served.url as string)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write('\x16\x03\x01garbage\r\n\r\n')
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    expect(chunk.toString()).toContain('400 Bad Request')
    socket.destroy()
    expect((await raw('/api/about', { headers: bearer })).status).toBe(200)
  })
})

describe('events', () => {
  const counters = { ...noCounters, open: 1 }

  async function listening(count: number): Promise<void> {
    for (let tries = 0; naru.listening !== count && tries < 500; tries++) await systemClock.sleep(2)
    expect(naru.listening).toBe(count)
  }

  it('arrive as they are, whatever their kind', async () => {
    const all: Parameters<FakeNaru['tell']>[0][] = [
      { type: 'rule', rule: ruleStatus('iis') },
      { type: 'rule-removed', name: 'dns' },
      { type: 'hop', rule: 'iis', status: hopStatus({ hop: 'router', state: 'broken' }) },
      { type: 'opened', connection: connection('c1') },
      { type: 'closed', connection: connection('c1', { state: 'closed', closeReason: 'finished' }) },
      { type: 'refused', rule: 'iis', client: '10.0.0.1:5', reason: 'denied' },
      { type: 'traffic', rules: [{ name: 'iis', counters, rate: { toTarget: 1, toClient: 2 } }] },
      { type: 'file', problem: null },
      { type: 'log', level: 'info', rule: null, text: say('a\nb', '가') },
    ]
    const stop = new AbortController()
    const got: NaruEvent[] = []
    const reading = (async () => {
      for await (const event of client.events({ signal: stop.signal })) {
        got.push(event)
        if (got.length === all.length) break
      }
    })()
    await listening(1)
    for (const event of all) naru.tell(event)
    await reading
    expect(got).toEqual(all.map((event, at) => ({ ...event, id: at + 1, at: expect.any(Number) as number })))
    for (const event of got) expect(NaruEventSchema.parse(event)).toEqual(event)
    await listening(0)
    stop.abort()
  })

  it('go on where the listener left', async () => {
    for (const name of ['a', 'b', 'c']) naru.tell({ type: 'rule-removed', name })
    const got: string[] = []
    for await (const event of client.events({ signal: AbortSignal.timeout(5000), since: 1 })) {
      got.push(event.type === 'rule-removed' ? event.name : event.type)
      if (got.length === 2) break
    }
    expect(got).toEqual(['b', 'c'])
  })

  it('that are no longer kept, or of another run, are a gap', async () => {
    naru.keep = 1
    for (const name of ['a', 'b', 'c']) naru.tell({ type: 'rule-removed', name })
    const first = async (resume: { since: number } | { lastKey: string }): Promise<string> => {
      for await (const { event } of client.keyedEvents({ signal: AbortSignal.timeout(5000), ...resume }))
        return event.type
      return 'nothing'
    }
    expect(await first({ since: 0 })).toBe('gap')
    expect(await first({ lastKey: '5.3' })).toBe('gap')
    expect(await first({ lastKey: 'rubbish' })).toBe('gap')
    expect(await first({ lastKey: `${naru.aboutNow.startedAt}.2` })).toBe('rule-removed')
  })

  it('survive a restart of the daemon', async () => {
    const path = join(folder, 'again.sock')
    const start = (): Promise<RunningServer> =>
      serve(naru, { socketPath: path, tcp: null, pageFiles: null, log: silentLog })
    let running = await start()
    const stop = new AbortController()
    const states: string[] = []
    const got: string[] = []
    const reading = (async () => {
      const events = steadyEvents(createClient(socketTransport({ socketPath: path, file: 'f' })), {
        signal: stop.signal,
        clock: systemClock,
        onState: ({ state }) => states.push(state),
      })
      for await (const event of events) {
        got.push(event.type === 'rule-removed' ? event.name : event.type)
        if (got.length === 2) stop.abort()
      }
    })()
    await listening(1)
    naru.tell({ type: 'rule-removed', name: 'before' })
    for (let tries = 0; got.length < 1 && tries < 500; tries++) await systemClock.sleep(2)
    await running[Symbol.asyncDispose]()
    naru.tell({ type: 'rule-removed', name: 'meanwhile' })
    running = await start()
    await reading
    await running[Symbol.asyncDispose]()
    expect(got).toEqual(['before', 'meanwhile'])
    expect(states.filter((state, at) => state !== states[at - 1])).toEqual(['live', 'lost', 'live'])
  })

  it('wait for a slow listener only so long, then tell it what it missed', async () => {
    const { port } = new URL(served.url as string)
    const slow = connect(Number(port), '127.0.0.1')
    slow.write(`GET /api/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`)
    await listening(1)
    slow.pause()
    const before = process.memoryUsage().heapUsed
    const filler = 'x'.repeat(8192)
    for (let at = 0; at < 20_000; at++) {
      naru.tell({ type: 'log', level: 'info', rule: null, text: say(filler, '') })
      if (at % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(100 << 20)
    let text = ''
    slow.on('data', (chunk: Buffer) => (text = (text + chunk.toString()).slice(-20_000)))
    const seen = new Promise<void>((resolve) => {
      let all = ''
      slow.on('data', (chunk: Buffer) => {
        all = all.slice(-40) + chunk.toString()
        if (all.includes('"type":"gap"')) resolve()
      })
    })
    slow.resume()
    await seen
    slow.destroy()
    await listening(0)
  })
})

describe('the page', () => {
  it('comes with a policy that lets it talk to us alone', async () => {
    const answer = await raw('/')
    expect(answer.status).toBe(200)
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(answer.headers['content-security-policy']).toContain("default-src 'none'")
    expect(answer.headers['content-security-policy']).toContain("script-src 'self'; style-src 'self'")
    expect(answer.headers['x-frame-options']).toBe('DENY')
    expect(answer.headers['referrer-policy']).toBe('no-referrer')
    const errors = await raw('/api/none')
    expect(errors.headers['x-content-type-options']).toBe('nosniff')
    expect(errors.headers['cache-control']).toBe('no-store')
  })

  it('answers its own paths, and keeps what never changes', async () => {
    expect((await raw('/')).body).toContain('<title>Naru')
    const script = await raw('/assets/app-1.js')
    expect(script.headers['content-type']).toBe('text/javascript; charset=utf-8')
    expect(script.headers['cache-control']).toContain('immutable')
    const again = await raw('/', { headers: { 'if-none-match': String((await raw('/')).headers.etag) } })
    expect([again.status, again.body]).toEqual([304, ''])
  })

  it('gives no file from elsewhere', async () => {
    for (const path of [
      '/../secret.txt',
      '/%2e%2e/secret.txt',
      '/..%2fsecret.txt',
      '/assets/..%5c..%5csecret.txt',
      '/%00.txt',
      '/%',
      '/.env',
    ]) {
      const answer = await raw(path)
      expect([path, answer.body.includes('secret\n') || answer.body === 'secret']).toEqual([path, false])
    }
  })
})

describe('for other programs', () => {
  it('metrics are what Prometheus reads', async () => {
    naru.set(
      ruleStatus('iis', {
        counters: {
          ...noCounters,
          open: 2,
          offloaded: 1,
          opened: 5,
          closed: { finished: 3 },
          bytesToTarget: 10,
          bytesToClient: 20,
        },
      }),
    )
    const { body, headers } = await raw('/metrics', { headers: bearer })
    expect(headers['content-type']).toContain('text/plain; version=0.0.4')
    expect(body).toContain('naru_connections_open{rule="iis"} 2')
    expect(body).toContain('naru_connections_offloaded{rule="iis"} 1')
    expect(body).toContain('naru_connections_total{rule="iis"} 5')
    expect(body).toContain('naru_connections_closed_total{rule="iis",reason="finished"} 3')
    expect(body).toContain('naru_bytes_total{rule="iis",direction="to_client"} 20')
    expect(body).toContain('naru_rule_state{rule="iis",state="open"} 1')
    expect(body).toContain('naru_hop_ok{rule="iis",hop="relay",member="sockets"} 1')
  })

  it('the OpenAPI document names every route and shape', async () => {
    const none = (): Promise<never> => Promise.reject(new Error('not asked'))
    const exchange = { read: none, write: none }
    served = await open({ machine: new FakeMachine(), exchange, socketPath: null })
    const document = JSON.parse((await raw('/api/openapi.json', { headers: bearer })).body) as {
      paths: Record<string, object>
      components: { schemas: object }
    }
    const { session: _session, login: _login, comeBack: _comeBack, document: _document, ...told } = routes
    const named = Object.entries(document.paths).flatMap(([path, ways]) =>
      Object.keys(ways).map((method) => `${method} ${path}`),
    )
    expect(new Set(named)).toEqual(
      new Set(Object.values(told).map(({ method, path }) => `${method} ${path}`)),
    )
    expect(Object.keys(document.components.schemas)).toEqual(
      expect.arrayContaining(['RuleStatus', 'RuleInput', 'Plan', 'Event', 'Error', 'Connection']),
    )
  })

  it('answers are of the shapes it promises', async () => {
    naru.connectionsNow.push(connection('c1'))
    expect(AboutSchema.parse(await client.about())).toBeTruthy()
    for (const rule of await client.rules.list()) expect(RuleStatusSchema.parse(rule)).toEqual(rule)
    expect(PlanSchema.parse(await client.plan())).toEqual(await naru.plan())
    expect(ChangeResultSchema.parse(await client.reload())).toBeTruthy()
    for (const one of await client.connections()) expect(ConnectionSchema.parse(one)).toEqual(one)
  })

  it('fetch speaks it too, with a token', async () => {
    const far = createClient(fetchTransport({ base: served.url as string, token }))
    expect((await far.rules.list()).map(({ name }) => name)).toEqual(['iis', 'dns'])
    await expect(far.rules.get('x')).rejects.toMatchObject({ code: 'RULE_UNKNOWN' })
    naru.tell({ type: 'rule-removed', name: 'a' })
    for await (const event of far.events({ signal: AbortSignal.timeout(5000), since: 0 })) {
      expect(event).toMatchObject({ id: 1, type: 'rule-removed' })
      break
    }
    const nobody = createClient(fetchTransport({ base: 'http://127.0.0.1:1' }))
    await expect(nobody.about()).rejects.toMatchObject({ code: 'API_SILENT' })
  })
})

describe('the port', () => {
  it('that is taken is passed over, or refused where it was asked for', async () => {
    const port = Number(new URL(served.url as string).port)
    const tcp = { port, token, readToken }
    const next = await open({ socketPath: null, tcp: { ...tcp, exact: false } })
    expect(Number(new URL(next.url as string).port)).toBeGreaterThan(port)
    await expect(open({ socketPath: null, tcp: { ...tcp, exact: true } })).rejects.toMatchObject({
      code: 'API_IN_USE',
      exitCode: 5,
    })
    await expect(
      open({ socketPath: null, tcp: { ...tcp, address: '203.0.113.1', exact: true } }),
    ).rejects.toMatchObject({ code: 'API_UNAVAILABLE' })
  })

  it('is held at both addresses of localhost, so that a browser asks nobody else by that name', async () => {
    for (const address of ['127.0.0.1', '0.0.0.0', '::1', '::']) {
      const one = await open({ socketPath: null, tcp: { address, port: 0, exact: false, token, readToken } })
      const port = Number(new URL(one.url as string).port)
      for (const host of ['127.0.0.1', '::1']) {
        expect([address, host, await listeningFails(host, port)]).toEqual([address, host, 'EADDRINUSE'])
        const at = host === '::1' ? '[::1]' : host
        const answer = await fetch(`http://${at}:${port}/api/rules`, { headers: bearer })
        expect([address, host, answer.status]).toEqual([address, host, 200])
      }
    }
  })

  it('that another program has at the other address of localhost is passed over, or warned of', async () => {
    const port = await freePort()
    const other = createServer().listen(port, '::1')
    await once(other, 'listening')
    const tcp = { port, token, readToken }
    const warned: string[] = []
    const log: Log = {
      ...silentLog,
      warn: (_, text) => void warned.push(typeof text === 'string' ? text : text.en),
    }
    try {
      const next = await open({ socketPath: null, log, tcp: { ...tcp, exact: false } })
      expect(Number(new URL(next.url as string).port)).toBeGreaterThan(port)
      expect(warned).toEqual([])
      const exact = await open({ socketPath: null, log, tcp: { ...tcp, exact: true } })
      expect(exact.url).toBe(`http://127.0.0.1:${port}`)
      expect(warned).toEqual([expect.stringContaining(`another program listens at [::1]:${port}`)])
    } finally {
      other.close()
    }
  })

  it('is free again at once when it closes, listeners or not', async () => {
    const reading = (async () => {
      for await (const _ of client.events({ signal: AbortSignal.timeout(10_000) })) break
      return 'ended'
    })()
    for (let tries = 0; naru.listening === 0 && tries < 500; tries++) await systemClock.sleep(2)
    const started = performance.now()
    await served[Symbol.asyncDispose]()
    expect(await reading).toBe('ended')
    expect(performance.now() - started).toBeLessThan(1500)
    expect(served.url).not.toBeNull()
    await expect(stat(join(folder, 'naru.sock'))).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

describe('this machine, for the page', () => {
  const { signal } = new AbortController()

  it('answers from afar what it answers at home', async () => {
    const here = new FakeMachine()
    const door = await open({ machine: new FakeMachine(), socketPath: null })
    const far = createMachineClient(fetchTransport({ base: door.url as string, token }))
    expect(await far.addresses({ signal, mayAskInternet: true })).toEqual(await here.addresses({ signal }))
    const ports = { all: true, port: 80, find: 'x y&z', sort: 'pid', protocol: 'udp' } as const
    expect(await far.ports({ signal, ...ports })).toEqual(await here.ports({ signal }))
    expect(await far.router.info({ signal })).toEqual(await here.router.info({ signal }))
    expect(await far.router.list({ signal })).toEqual(await here.router.list({ signal }))
    expect(await far.firewall({ signal })).toEqual(await here.firewall({ signal }))
    expect(await far.guests({ signal })).toEqual(await here.guests({ signal }))
    expect(await far.neighbours({ signal })).toEqual(await here.neighbours({ signal }))
    const question = { protocol: 'tcp', port: 80, from: '10.0.0.1' } as const
    expect(await far.admits(question, { signal })).toEqual(await here.admits(question, { signal }))
    const row = {
      name: 'web',
      protocols: ['tcp'],
      externalPort: 'any',
      internalPort: 80,
      internalAddress: null,
    } as const
    expect(await far.router.add(row, { signal })).toHaveLength(1)
    await far.router.remove({ protocol: 'udp', externalPort: 53 }, { signal, force: true })
    const wish = {
      name: 'iis',
      protocols: ['tcp'],
      ports: { first: 80, last: 80 },
      externalPort: null,
      allow: [],
    } as const
    expect(await far.router.check(wish, { signal })).toEqual(await here.router.check(wish, { signal }))
  })

  it('is asked exactly what was asked', async () => {
    const machine = new FakeMachine()
    await open({ machine, socketPath: join(folder, 'm.sock'), tcp: null })
    const far = createMachineClient(socketTransport({ socketPath: join(folder, 'm.sock'), file: 'f' }))
    await far.addresses({ signal, mayAskInternet: true })
    await far.ports({ signal, all: true, port: 80, find: 'x y&z', sort: 'pid', protocol: 'udp' })
    await far.router.remove({ protocol: 'udp', externalPort: 53 }, { signal })
    await far.admits({ protocol: 'udp', port: 53, from: null }, { signal })
    expect(machine.calls).toEqual([
      ['addresses', { mayAskInternet: true }],
      ['ports', { all: true, port: 80, find: 'x y&z', sort: 'pid', protocol: 'udp' }],
      ['router.remove', { protocol: 'udp', externalPort: 53 }, false],
      ['admits', { protocol: 'udp', port: 53, from: null }],
    ])
  })

  it('tells the doctor’s progress live, then the diagnosis, or why there is none', async () => {
    const machine = new FakeMachine()
    const door = await open({ machine, socketPath: null })
    const far = createMachineClient(fetchTransport({ base: door.url as string, token }))
    const seen: string[] = []
    const onEvent = ({ type }: { type: string }): void => void seen.push(type)
    expect(await far.diagnose({ signal, about: 'iis', names: ['a.example', 'b.example'], onEvent })).toEqual(
      diagnosis(),
    )
    expect(seen).toEqual(['started', 'finished'])
    expect(machine.calls).toEqual([
      [
        'diagnose',
        { about: 'iis', mayAskInternet: false, fromPhone: false, names: ['a.example', 'b.example'] },
      ],
    ])
    Object.assign(machine, {
      diagnose: () => Promise.reject(new NaruError('RULE_UNKNOWN', { name: 'x', known: 'iis' })),
    })
    await expect(far.diagnose({ signal })).rejects.toMatchObject({ code: 'RULE_UNKNOWN' })
  })

  it('does a few things at once for one token, however much it asks for', async () => {
    const machine = new FakeMachine()
    let [underWay, most] = [0, 0]
    const slow = async (): Promise<never[]> => {
      most = Math.max(most, ++underWay)
      await systemClock.sleep(20)
      underWay--
      return []
    }
    Object.assign(machine, { neighbours: slow })
    const door = await open({ machine, socketPath: null })
    const far = createMachineClient(fetchTransport({ base: door.url as string, token: readToken }))
    await Promise.all(Array.from({ length: 40 }, () => far.neighbours({ signal })))
    expect(most).toBeGreaterThan(1)
    expect(most).toBeLessThanOrEqual(4)
  })

  it('lets the second token look at the router, not change it', async () => {
    const machine = new FakeMachine()
    const door = await open({ machine, socketPath: null })
    const far = createMachineClient(fetchTransport({ base: door.url as string, token: readToken }))
    const wish = {
      name: 'iis',
      protocols: ['tcp'],
      ports: { first: 8888, last: 8888 },
      externalPort: null,
      allow: [],
    } as const
    expect((await far.router.check(wish, { signal })).state).toBe('wrong')
    // Another row than a rule's would be a look at whoever is behind the router's outside address.
    for (const other of [{ externalPort: 22 }, { ports: { first: 1, last: 64 } }])
      await expect(far.router.check({ ...wish, ...other }, { signal })).rejects.toMatchObject({
        code: 'API_READ_ONLY',
      })
    const row = {
      name: 'web',
      protocols: ['tcp'],
      externalPort: 80,
      internalPort: 80,
      internalAddress: null,
    } as const
    await expect(far.router.add(row, { signal })).rejects.toMatchObject({ code: 'API_READ_ONLY' })
    await expect(far.router.remove({ protocol: 'tcp', externalPort: 80 }, { signal })).rejects.toMatchObject({
      code: 'API_READ_ONLY',
    })
    expect(machine.calls.map(([call]) => call)).toEqual(['router.check'])
  })

  it('is not there where the daemon was given none', async () => {
    expect((await raw('/api/machine/ports', { headers: bearer })).status).toBe(404)
  })
})

/** What the system says to another program that wants the port; null where it may have it. */
async function listeningFails(host: string, port: number): Promise<string | null> {
  const other = createServer().listen(port, host)
  const code = await once(other, 'listening').then(
    () => null,
    (error: unknown) => errnoOf(error) ?? 'unknown',
  )
  other.close()
  return code
}
