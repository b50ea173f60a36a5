/**
 * Every page of the web as the README and docs/screenshots show it, in both languages, before the daemon in the lab's
 * home: router, firewall, a service that runs and one that does not. `node scripts/screenshots.mjs` runs it.
 */
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { built } from '../built.ts'
import { homeAddresses } from '../lab/router.ts'
import { describeWith } from '../needs.ts'
import { Visitor, type VisitorOptions } from './browser.ts'
import { homeNeeds, WebHome } from './home.ts'
import { patience } from './patience.ts'

const folder = join(import.meta.dirname, '../../docs/screenshots')
const largest = 150_000

const rules = (until: Date): string => `# The ports of this house.
rules:
  iis:
    listen: 8888
    target: 127.0.0.1:80
    publish: { firewall: auto, router: auto }
  nas:
    listen: 5001
    target: 192.168.77.40:5000
    publish: { firewall: auto }
    allow: [192.168.0.0/16, 10.0.0.0/8]
  wiki:
    listen: 8090
    target: 127.0.0.1:80
    until: ${until.toISOString()}
  old-site:
    listen: 8000-8010
    target: 192.168.79.130:9000-9010
    enabled: false
`

describeWith(homeNeeds, 'pictures of the page', () => {
  let place: WebHome

  beforeAll(async () => {
    await built()
    await mkdir(folder, { recursive: true })
    place = await WebHome.build()
    await place.startService()
    await place.daemon.rewrite(() => rules(new Date(Date.now() + 7_170_000)))
    place.home.internet.start([
      'sh',
      '-c',
      `for i in $(seq 3000); do curl -s -m 5 -o /dev/null http://${homeAddresses.wan}:8888/; sleep 0.1; done`,
    ])
  }, 180_000)
  afterAll(async () => {
    await place?.[Symbol.asyncDispose]()
  })

  async function draw(page: Page, name: string): Promise<void> {
    const path = join(folder, `${name}.png`)
    await page.screenshot({ path, animations: 'disabled', scale: 'css' })
    expect([name, (await stat(path)).size < largest]).toEqual([name, true])
  }

  it.each<VisitorOptions & { language: 'en' | 'ko' }>([{ language: 'en' }, { language: 'ko' }])(
    'are drawn: $language',
    { timeout: 10 * patience },
    async ({ language }) => {
      await using visitor = await Visitor.open(place.browser, place.daemon.loginUrl, { language })
      const { page } = visitor
      const settled = (): Promise<void> =>
        expect.poll(() => page.locator('[aria-busy="true"]').count(), { timeout: patience }).toBe(0)
      await page.locator('tbody[data-rule="iis"] .stop[data-hop="router"][data-state="ok"]').waitFor()
      await page.locator('tbody[data-rule="nas"] .reason').first().waitFor()
      await draw(page, `rules-${language}`)

      await visitor.goTo('rules/iis')
      await page.locator('.picture .node[data-state="ok"]').nth(3).waitFor()
      await page.locator('.picture[data-moves="true"]').waitFor()
      await draw(page, `path-${language}`)

      await visitor.goTo('new?name=web&externalPort=8080&internalPort=80&target=192.168.79.128')
      await page.locator('.check input').nth(1).check()
      await page.locator('.plan .steps li').nth(3).waitFor()
      await draw(page, `form-${language}`)

      await visitor.goTo('traffic')
      await page.locator('[data-connection]').first().waitFor()
      await draw(page, `traffic-${language}`)

      await visitor.goTo('doctor/nas')
      await page.locator('.verdict').waitFor()
      await draw(page, `doctor-${language}`)

      await visitor.goTo('machine/router')
      await settled()
      await draw(page, `machine-${language}`)
    },
  )

  it.each<VisitorOptions & { language: 'en' | 'ko' }>([{ language: 'en' }, { language: 'ko' }])(
    'are drawn on a phone in the dark: $language',
    { timeout: 10 * patience },
    async ({ language }) => {
      const look = { language, theme: 'dark', screen: 'phone' } as const
      await using visitor = await Visitor.open(place.browser, place.daemon.loginUrl, look)
      await visitor.goTo('rules/iis')
      await visitor.page.locator('.picture .node[data-state="ok"]').nth(3).waitFor()
      await draw(visitor.page, `phone-${language}`)
    },
  )
})
