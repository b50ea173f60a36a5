/** All that a mouse can do, the keyboard can; the language and the theme are the visitor's. */
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeWith } from '../needs.ts'
import { freePort } from '../free-port.ts'
import { chromiumPath } from './browser.ts'
import { Stage, stageMs } from './stage.ts'

describeWith({ files: [chromiumPath] }, 'without a mouse', () => {
  let stage: Stage

  beforeAll(async () => {
    const open = await freePort()
    stage = await Stage.build(
      (target) => `rules:\n  web: { listen: '127.0.0.1:${open}', target: ${target} }\n`,
      'hello',
    )
  }, stageMs)
  afterAll(() => stage?.[Symbol.asyncDispose]())

  it('a rule is added, edited, switched off, deleted and brought back', async () => {
    await using visitor = await stage.visit()
    const { page } = visitor
    await page.locator('[data-rule="web"]').waitFor()
    const press = (...keys: string[]): Promise<void> =>
      keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve())
    /** Tab until it has the focus, as a person does. */
    const reach = async (name: string): Promise<void> => {
      for (let tries = 0; tries < 60; tries++) {
        await press('Tab')
        if ((await nameOfFocus(page)).startsWith(name)) return
      }
      throw new Error(`the keyboard does not reach ${name}`)
    }
    await press('Tab')
    expect(await nameOfFocus(page)).toBe('Skip to content')
    await press('Enter')
    await reach('Add rule')
    await press('Enter')
    await page.getByRole('heading', { name: 'Add a rule' }).waitFor()
    await reach('Service name')
    await page.keyboard.type('keys')
    await reach('External port')
    const port = await freePort()
    await page.keyboard.type(String(port))
    await reach('TCP')
    await press('ArrowRight', 'ArrowLeft')
    await reach('Internal port')
    await page.keyboard.type(String(stage.service.port))
    await press('Enter')
    await page.getByRole('heading', { name: 'keys' }).waitFor()
    await page.locator('.badge', { hasText: 'Open' }).waitFor()
    await reach('Edit')
    await press('Enter')
    await page.getByRole('heading', { name: 'keys' }).waitFor()
    await reach('Internal port')
    await press('Control+A')
    const other = await freePort()
    await page.keyboard.type(String(other))
    await press('Enter')
    await page.locator('svg.picture', { hasText: String(other) }).waitFor()
    await reach('keys is on')
    await press('Space')
    await page.locator('.badge', { hasText: 'Off' }).waitFor()
    await reach('Delete')
    await press('Enter')
    await page.getByRole('heading', { name: 'Port forwarding' }).waitFor()
    await reach('Undo')
    await press('Enter')
    await page.locator('[data-rule="keys"]').waitFor()
  })

  it('the page speaks the other language and takes the other theme at once, and remembers', async () => {
    await using visitor = await stage.visit()
    const { page } = visitor
    await page.getByRole('button', { name: 'Settings' }).click()
    await page.getByRole('radio', { name: '한국어' }).check()
    await page.getByRole('heading', { name: '포트 포워딩' }).waitFor()
    await page.getByRole('radio', { name: '어둡게' }).check()
    expect(await page.locator('html').getAttribute('data-theme')).toBe('dark')
    await page.reload()
    await page.getByRole('heading', { name: '포트 포워딩' }).waitFor()
    expect(await page.locator('html').getAttribute('data-theme')).toBe('dark')
  })
})

/** What a screen reader would call it, nearly. */
function nameOfFocus(page: Page): Promise<string> {
  return page.evaluate<string>(`(() => {
    const focus = document.activeElement
    const label = focus.getAttribute('aria-label') ?? focus.labels?.[0]?.textContent ?? focus.textContent
    return label.trim()
  })()`)
}
