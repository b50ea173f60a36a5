/**
 * The stream of events is lost alone, while the daemon lives on: the page says so, comes back by itself, shows what
 * became true meanwhile, and hears nothing twice.
 */
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { NaruClient } from '../../src/api/client/client.ts'
import { Scope } from '../../src/base/scope.ts'
import type { NaruEvent } from '../../src/model/naru-api.ts'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { freePort } from '../free-port.ts'
import { chromiumPath, startBrowser, Visitor } from './browser.ts'
import { Cuttable } from './cuttable.ts'
import { Daemon } from './daemon.ts'
import { patience } from './patience.ts'
import { Service } from './service.ts'

const expected = [/^failed: .*\/api\//, /^console: /]

describeWith({ files: [chromiumPath] }, 'a page whose connection is cut', () => {
  const scope = new Scope()
  let browser: Browser
  let daemon: Daemon
  let way: Cuttable
  let service: Service

  beforeAll(async () => {
    await built()
    service = scope.use(await Service.start('here'))
    daemon = scope.use(
      await Daemon.start({
        file: `rules:\n  web: { listen: '127.0.0.1:${await freePort()}', target: ${service.port} }\n  next: { listen: '127.0.0.1:${await freePort()}', target: ${service.port} }\n`,
      }),
    )
    way = scope.use(await Cuttable.start(Number(new URL(daemon.url).port)))
    browser = await startBrowser()
    scope.defer(() => browser.close())
  }, 180_000)
  afterAll(() => scope[Symbol.asyncDispose]())

  const visit = (): Promise<Visitor> => {
    const link = new URL(daemon.loginUrl)
    link.port = String(way.port)
    return Visitor.open(browser, link.href, { expected })
  }

  it('says so, comes back, and shows what became true meanwhile', { timeout: 6 * patience }, async () => {
    await using visitor = await visit()
    const { page } = visitor
    await badge(page, 'web', 'open')
    await way.close()
    await lost(page).waitFor()
    await daemon.ask('POST', '/api/rules/web/disable')
    await daemon.ask('DELETE', '/api/rules/next')
    const rule = { listen: `127.0.0.1:${await freePort()}`, target: String(service.port) }
    await daemon.ask('POST', '/api/rules', { name: 'meanwhile', rule })
    // What is shown is what was last known, and said to be so.
    await badge(page, 'web', 'open')
    await way.open()
    await lost(page).waitFor({ state: 'detached' })
    await badge(page, 'web', 'disabled')
    await badge(page, 'meanwhile', 'open')
    await page.locator('[data-rule="next"]').waitFor({ state: 'detached' })
    await daemon.ask('POST', '/api/rules/web/enable')
    await badge(page, 'web', 'open')
  })

  it('hears every event once, however often it is cut', { timeout: 6 * patience }, async () => {
    await using visitor = await visit()
    const { page } = visitor
    const listening = new AbortController()
    const told = toldTo(await daemon.client(), listening.signal)
    await page.addInitScript(noteKeys)
    await page.reload()
    const heard = async (): Promise<number[]> =>
      (await page.evaluate<string[]>('keys')).map((key) => Number(key.split('.').at(-1)))
    await badge(page, 'web', 'open')
    // Who has heard nothing yet reads everything anew, and goes on from there.
    await expect.poll(heard, { timeout: patience }).not.toEqual([])
    for (let time = 0; time < 6; time++) {
      await daemon.ask('POST', `/api/rules/web/${time % 2 === 0 ? 'disable' : 'enable'}`)
      way.cut()
      await daemon.ask('PATCH', '/api/rules/meanwhile', { limits: { connections: 10 + time } })
      await badge(page, 'web', time % 2 === 0 ? 'disabled' : 'open')
      await lost(page).waitFor({ state: 'detached' })
    }
    // The page is told that it is connected before it has heard what it missed.
    await expect.poll(async () => (await heard()).length, { timeout: patience }).toBeGreaterThan(12)
    const ids = await heard()
    expect(ids, 'each after the one before it').toEqual([...new Set(ids)].toSorted((a, b) => a - b))
    const [first = 0, last = 0] = [ids[0], ids.at(-1)]
    await expect.poll(() => told.at(-1)?.id, { timeout: patience }).toBeGreaterThanOrEqual(last)
    listening.abort()
    // A rule is told anew with every look at it: who missed some hears the last.
    const missed = told.filter(({ id }) => id > first && id < last && !ids.includes(id))
    const isSaidAgain = (event: NaruEvent): boolean =>
      event.type === 'rule' &&
      told.some(
        (later) =>
          later.type === 'rule' &&
          later.rule.name === event.rule.name &&
          later.id > event.id &&
          ids.includes(later.id),
      )
    expect(missed.filter((event) => event.type !== 'traffic' && !isSaidAgain(event))).toEqual([])
  })
})

/** All events from now on, as one hears them whom nobody cuts. */
function toldTo(client: NaruClient, signal: AbortSignal): readonly NaruEvent[] {
  const told: NaruEvent[] = []
  const listen = async (): Promise<void> => {
    for await (const event of client.events({ signal })) told.push(event)
  }
  listen().catch(() => {})
  return told
}

/** Run in the page before its own script: what names its streams of events told, whole frames only. */
const noteKeys = `
const ask = fetch
globalThis.keys = []
globalThis.fetch = async (...how) => {
  const answer = await ask(...how)
  if (!String(how[0]).includes('/api/events')) return answer
  const [mine, theirs] = answer.body.tee()
  const note = async () => {
    let rest = ''
    for await (const text of mine.pipeThrough(new TextDecoderStream())) {
      const frames = (rest + text).split('\\n\\n')
      rest = frames.pop()
      for (const frame of frames) {
        const key = /^id: (.+)$/m.exec(frame)?.[1]
        if (key) keys.push(key)
      }
    }
  }
  note().catch(() => {})
  return new Response(theirs, answer)
}`

const lost = (page: Page) => page.locator('.banner', { hasText: 'Connection lost, reconnecting' })

const badge = (page: Page, rule: string, state: string): Promise<void> =>
  page.locator(`tbody[data-rule="${rule}"][data-state="${state}"]`).waitFor()
