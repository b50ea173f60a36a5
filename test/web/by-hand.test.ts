/** Behind a router that opens nothing by itself: what a person types there, and whether it works by now. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { built } from '../built.ts'
import { homeAddresses } from '../lab/router.ts'
import { describeWith } from '../needs.ts'
import { Visitor } from './browser.ts'
import { homeNeeds, WebHome } from './home.ts'
import { patience } from './patience.ts'

const port = 8888

describeWith(homeNeeds, 'the row to type on the router’s page', () => {
  let place: WebHome

  beforeAll(async () => {
    await built()
    place = await WebHome.build()
    // It stays a router, and no program can ask it for a port any more.
    await place.home.router.stop()
    await place.daemon.rewrite(
      () =>
        `rules:\n  web: { listen: ${port}, target: '127.0.0.1:80', publish: { firewall: auto, router: auto } }\n`,
    )
    await place.startService()
  }, 180_000)
  afterAll(async () => {
    await place?.[Symbol.asyncDispose]()
  })

  it('is shown field by field, and can be checked', { timeout: 10 * patience }, async () => {
    await using visitor = await Visitor.open(place.browser, place.daemon.loginUrl)
    const { page } = visitor
    await visitor.goTo('rules/web')
    const card = page.locator('.by-hand')
    await card.getByRole('heading', { name: 'To do on the router by hand' }).waitFor()
    expect(await card.getByRole('link').getAttribute('href')).toContain(homeAddresses.router)
    const cells = (name: string): Promise<string[]> => card.locator(`.to-type ${name}`).allInnerTexts()
    const [labels, values] = [await cells('dt'), await cells('dd.figure')]
    const row = labels.map((label, at) => [label, values[at]])
    expect(row).toEqual([
      ['Service name', 'web'],
      ['External port', String(port)],
      ['Internal port', String(port)],
      ['Internal (private) IP address', homeAddresses.host],
      ['Protocol', 'TCP'],
    ])
    await card.getByRole('button', { name: 'Check now' }).click()
    const answer = card.locator('[data-check]')
    await answer.waitFor({ timeout: 3 * patience })
    // Nobody outside was asked, and the router tells nothing.
    expect(await answer.getAttribute('data-check')).toBe('unknown')
    expect(await answer.locator('p').first().innerText()).toContain('naru doctor')
    expect(await answer.locator('code').innerText()).toBe('naru doctor')
  })
})
