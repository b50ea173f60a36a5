/**
 * Every page at work is for everyone: axe finds nothing, and no page is wider than the screen. The pages stand in the
 * article's home, so that every one of them has something to show: a router's mappings, a firewall's rules, a verdict.
 */
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { screens, Visitor, type VisitorOptions } from './browser.ts'
import { homeNeeds, WebHome } from './home.ts'
import { patience } from './patience.ts'

/** The rule that is shown is open through every hop; others are off, broken, limited, over. */
const file = `rules:
  web:
    listen: 8888
    target: 80
    publish: { firewall: auto, router: auto }
    allow: [192.168.77.0/24, 11.0.0.0/24, 127.0.0.0/8]
  resting: { listen: 9001, target: 192.168.77.20:3389, enabled: false }
  broken: { listen: 127.0.0.1:9002, target: 81 }
  brief: { listen: 9003/udp, target: 192.168.77.30:51820, until: 2099-01-01T00:00:00Z }
  over: { listen: 9004, target: 192.168.77.30:22, until: 2020-01-01T00:00:00Z }
  several: { listen: 9005, targets: [192.168.77.30:80, 192.168.77.31:80] }
`

type Prepare = (visitor: Visitor) => Promise<void>

/** Each page by what stands after `#/`, and what makes it whole before it is looked at. */
const pages: Readonly<Record<string, Prepare>> = {
  rules: ({ page }) => page.locator('tbody[data-rule="web"][data-state="open"]').waitFor(),
  'rules/web': ({ page }) => page.locator('svg.picture').waitFor(),
  'rules/broken': ({ page }) => page.locator('svg.picture').waitFor(),
  'rules/web/edit': ({ page }) => page.locator('input[value="8888"]').first().waitFor(),
  'rules/several/edit': ({ page }) => page.locator('.target input').nth(5).waitFor(),
  new: async ({ page }) => {
    await page.locator('input[placeholder="8888"]').fill('70000')
    await page.locator('input[placeholder="70000"]').fill('80')
    await page.locator('[aria-invalid="true"]').first().waitFor()
    await page.locator('details summary').click()
    await page.locator('.picker button').click()
    await page.locator('.picker-list li').first().waitFor()
  },
  traffic: ({ page }) => page.locator('.rows tbody tr').first().waitFor(),
  doctor: async ({ page }) => {
    await page.locator('button.primary').first().click()
    await page.locator('[data-code], .verdict').first().waitFor()
  },
  'machine/ip': ({ page }) => page.getByText('192.168.77.10').first().waitFor(),
  'machine/ports': ({ page }) => page.locator('table tbody tr').first().waitFor(),
  'machine/router': ({ page }) => page.getByText('8888').first().waitFor(),
  'machine/firewall': ({ page }) => page.getByText('8888').first().waitFor(),
  'machine/guests': ({ page }) => page.locator('main .card').first().waitFor(),
}

describeWith(homeNeeds, 'axe and the pages at work', () => {
  let place: WebHome

  beforeAll(async () => {
    await built()
    place = await WebHome.build(file)
    await place.startService()
    // Nothing is published before its service answers.
    await vi.waitFor(() => expect(place.fromInternet(8888)).toBe('hello from the guest'), {
      timeout: patience,
    })
  }, 180_000)
  afterAll(async () => place?.[Symbol.asyncDispose]())

  it.each(['en', 'ko'] as const)(
    'agree on the log-in (%s)',
    async (language) => {
      await using visitor = await Visitor.open(place.browser, place.daemon.url, {
        language,
        expected: [/\/api\/session: 401/],
      })
      await visitor.page.locator('form.card').waitFor()
      expect(await everyLook(visitor)).toEqual([])
    },
    120_000,
  )

  const languages: readonly NonNullable<VisitorOptions['language']>[] = ['en', 'ko']
  for (const language of languages)
    it.each(Object.keys(pages))(
      `agree on %s (${language})`,
      async (name) => {
        await using visitor = await Visitor.open(place.browser, place.daemon.loginUrl, {
          language,
          expected: [/\/api\/plan: 4/],
        })
        await visitor.page.locator('nav').first().waitFor()
        await visitor.goTo(name)
        await pages[name]?.(visitor)
        expect(await visitor.page.locator('html').getAttribute('lang')).toBe(language)
        expect(await everyLook(visitor)).toEqual([])
      },
      120_000,
    )
})

const looks = [
  { theme: 'light', screen: 'desktop' },
  { theme: 'dark', screen: 'phone' },
] as const

/** The same page on a bright desktop and on a dark phone. @returns what is wrong, a line each */
async function everyLook(visitor: Visitor): Promise<string[]> {
  const wrong: string[] = []
  for (const { theme, screen } of looks) {
    await visitor.page.setViewportSize(screens[screen])
    await visitor.page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
    const overflow = (): Promise<number> =>
      visitor.page.evaluate<number>(
        'document.documentElement.scrollWidth - document.documentElement.clientWidth',
      )
    await expect
      .poll(overflow, { timeout: patience, message: `wider than a ${screen}` })
      .toBeLessThanOrEqual(0)
    wrong.push(...(await visitor.accessibility()).map((line) => `${screen}, ${theme}: ${line}`))
  }
  return wrong
}
