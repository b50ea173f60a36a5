/**
 * Every page at work is for everyone: axe finds nothing, no page is wider than the screen, no word is broken in its
 * middle and no text is cut, down to 360 px. The pages stand in the
 * article's home, so that every one of them has something to show: a router's mappings, a firewall's rules, a verdict.
 */
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { screens, Visitor, type VisitorOptions } from './browser.ts'
import { homeNeeds, WebHome } from './home.ts'
import { layoutFaults } from './layout.ts'
import { patience } from './patience.ts'

/** The rule that is shown is open through every hop; others are off, broken, limited, over. */
const file = `rules:
  web:
    listen: 8888
    target: 80
    publish: { firewall: auto, router: auto }
    allow: [192.168.77.0/24, 11.0.0.0/24, 127.0.0.0/8]
  a-rule-with-a-rather-long-name.its.own:
    title: 웹 서버 for the whole family and their friends
    description: What grandma looks at on Sundays.
    tags: [web, 가족]
    listen: '127.0.0.1:9006'
    target: 80
  resting: { listen: 9001, target: 192.168.77.20:3389, enabled: false }
  broken: { listen: 127.0.0.1:9002, target: 81 }
  brief: { listen: 9003/udp, target: 192.168.77.30:51820, until: 2099-01-01T00:00:00Z }
  over: { listen: 9004, target: 192.168.77.30:22, until: 2020-01-01T00:00:00Z }
  far: { listen: 9007-9008, target: a-rather-long-name.of.a-service.in-some.subdomain.example.org:9007-9008, enabled: false }
  aNameOfFortyLettersWithNoBreakInItAtAll1:
    title: 띄어쓰기하나없이마흔글자가넘도록길게지은제목이라서휴대폰보다넓습니다정말로길어요
    description: WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW
    tags: [aTagOfFortyLettersAndWithNoBreakInItAll1]
    listen: 9010
    target: aNameOfSixtyLettersAsACloudGivesThemToItsMachinesWithoutADot.aNameOfSixtyLettersAsACloudGivesThemToItsMachinesWithoutADot:80
    publish: { router: nat-pmp, externalPort: 9011 }
    until: 2099-01-01T00:00:00Z
  several: { listen: 9005, targets: [192.168.77.30:80, 192.168.77.31:80] }
`

type Prepare = (visitor: Visitor) => Promise<void>

/** Each page by what stands after `#/`, and what makes it whole before it is looked at. */
const pages: Readonly<Record<string, Prepare>> = {
  rules: ({ page }) => page.locator('tbody[data-rule="web"][data-state="open"]').waitFor(),
  'rules/web': ({ page }) => page.locator('svg.picture').waitFor(),
  'rules/a-rule-with-a-rather-long-name.its.own': ({ page }) => page.locator('.give').first().waitFor(),
  'rules?compact=1&group=tag': ({ page }) => page.locator('tbody.group').first().waitFor(),
  'rules/aNameOfFortyLettersWithNoBreakInItAtAll1': ({ page }) => page.locator('svg.picture').waitFor(),
  'rules/aNameOfFortyLettersWithNoBreakInItAtAll1/edit': ({ page }) =>
    page.locator('.plan .steps li').first().waitFor(),
  'rules/far': ({ page }) => page.locator('svg.picture').waitFor(),
  'rules/broken': ({ page }) => page.locator('svg.picture').waitFor(),
  'rules/web/edit': ({ page }) => page.locator('input[value="8888"]').first().waitFor(),
  'rules/several/edit': ({ page }) => page.locator('.target input').nth(5).waitFor(),
  new: async ({ page }) => {
    await page.locator('input[placeholder="8888"]').fill('70000')
    await page.locator('input[placeholder="70000"]').fill('80')
    await page.locator('[aria-invalid="true"]').first().waitFor()
    for (const folded of await page.locator('details summary').all()) await folded.click()
    await page.getByRole('checkbox').last().check()
    await page.locator('.picker button').click()
    await page.locator('.picker-list li').first().waitFor()
  },
  exchange: async ({ page }) => {
    await page
      .locator('textarea')
      .fill(
        'listen web\n  bind :80\n  mode http\n  server a 10.0.0.2:80\nlisten ssh\n  bind :2222\n  server b 10.0.0.2:22\n',
      )
    await page.locator('button.primary').first().click()
    await page.locator('.losses li').first().waitFor()
    await page.locator('button.primary').last().click()
    await page.locator('.written').waitFor()
  },
  log: ({ page }) => page.locator('.log li').first().waitFor(),
  'traffic?span=day': ({ page }) => page.locator('.chart-note').waitFor(),
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

/** Narrower still, and between both: nothing but how it lies differs. */
const sizes = ['tablet', 'smallPhone'] as const

/** The same page on a bright desktop, on a dark phone and in between. @returns what is wrong, a line each */
async function everyLook(visitor: Visitor): Promise<string[]> {
  const wrong: string[] = []
  const lies = async (screen: keyof typeof screens): Promise<void> => {
    await visitor.page.setViewportSize(screens[screen])
    const faults = (): Promise<string[]> => layoutFaults(visitor.page)
    // What was drawn for another size may take a frame or two.
    await expect
      .poll(faults, { timeout: 5000 })
      .toEqual([])
      .catch(() => {})
    wrong.push(...(await faults()).map((line) => `${screen}: ${line}`))
  }
  for (const { theme, screen } of looks) {
    await visitor.page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
    await lies(screen)
    wrong.push(...(await visitor.accessibility()).map((line) => `${screen}, ${theme}: ${line}`))
  }
  for (const screen of sizes) await lies(screen)
  return wrong
}
