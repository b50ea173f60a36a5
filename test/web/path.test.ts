/**
 * The article's rule by hand in the browser, from the internet through router and firewall to the service; then a hop
 * after the other is broken, and the strip of hops and the picture of the path say so, without a reload.
 */
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { Visitor } from './browser.ts'
import { homeNeeds, WebHome } from './home.ts'
import { patience } from './patience.ts'

describeWith(homeNeeds, 'the path in the browser', () => {
  let place: WebHome
  let list: Visitor
  let picture: Visitor

  beforeAll(async () => {
    await built()
    place = await WebHome.build()
    await place.startService()
    list = await Visitor.open(place.browser, place.daemon.loginUrl)
    picture = await Visitor.open(place.browser, place.daemon.loginUrl, { screen: 'phone' })
  }, 180_000)
  afterAll(async () => {
    try {
      await list?.[Symbol.asyncDispose]()
      await picture?.[Symbol.asyncDispose]()
    } finally {
      await place?.[Symbol.asyncDispose]()
    }
  })

  it('leads from the internet to the service after one form', async () => {
    const { page } = list
    expect(place.fromInternet(8888)).toBe('nothing')
    await page.getByRole('link', { name: 'Add rule' }).click()
    await page.getByLabel('Service name').fill('iis')
    await page.getByLabel('External port').fill('8888')
    await page.getByLabel('Internal port').fill('80')
    await page.getByLabel('Open the port on the router').check()
    expect(await page.getByLabel('Open the host firewall').isChecked()).toBe(true)
    const plan = page.getByRole('heading', { name: 'What will be done' }).locator('..')
    for (const hop of ['Relay', 'Firewall', 'Router']) await plan.getByText(`Open · ${hop}`).waitFor()
    expect(place.fromInternet(8888)).toBe('nothing')
    await page.getByRole('button', { name: 'Open it' }).click()
    await page.getByRole('heading', { level: 1, name: 'iis' }).waitFor()
    await page.getByRole('link', { name: 'All rules' }).click()
    for (const hop of ['router', 'firewall', 'relay']) await hopIs(page, hop, 'ok')
    expect(place.fromInternet(8888)).toBe('hello from the guest')

    await picture.goTo('rules/iis')
    await pathSays(picture.page, /Router, 11\.0\.0\.2 8888, works/)
    await pathSays(picture.page, /Firewall, 8888 TCP, works/)
  }, 240_000)

  it('shows the firewall broken when somebody closes it, and whole again', async () => {
    await breaks('firewall', () => place.closeInFirewall(8888))
    await hopIs(list.page, 'firewall', 'ok')
    await pathSays(picture.page, /Firewall, 8888 TCP, works/)
    await expect.poll(() => place.fromInternet(8888), { timeout: patience }).toBe('hello from the guest')
  }, 240_000)

  it('shows the service broken when it stops, and whole again', async () => {
    await breaks('service', () => place.stopService())
    await place.startService()
    await pathSays(picture.page, /Service, this machine 80(?!, broken)/)
    await list.page.locator('tbody[data-rule="iis"][data-state="open"]').waitFor(long)
  }, 240_000)

  it('shows the router broken when it dies without a word', async () => {
    await breaks('router', () => place.home.router.kill())
  }, 240_000)

  /** Breaks a hop and waits until both pages say so, with the reason. */
  async function breaks(hop: string, how: () => Promise<void> | void): Promise<void> {
    await how()
    const began = performance.now()
    await Promise.all([hopIs(list.page, hop, 'broken'), pathSays(picture.page, brokenHop(hop))])
    process.stderr.write(`${hop}: shown broken after ${Math.round(performance.now() - began)} ms\n`)
    await list.page.locator('tbody[data-rule="iis"] .reason').first().waitFor()
  }
})

/** A hop that came and went is believed to be well again after ever longer. */
const long = { timeout: 3 * patience }

const hopIs = (page: Page, hop: string, state: string): Promise<void> =>
  page.locator(`tbody[data-rule="iis"] .stop[data-hop="${hop}"][data-state="${state}"]`).waitFor(long)

/** The picture is told in words. */
const pathSays = (page: Page, words: RegExp): Promise<void> =>
  page.getByRole('img', { name: words }).waitFor(long)

const brokenHop = (hop: string): RegExp => new RegExp(`${hop},[^→]*broken`, 'i')
