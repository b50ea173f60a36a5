/** A rule's life by hand in the browser: added, fetched through, edited, switched, closed by time, deleted, brought back. */
import type { Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort } from '../free-port.ts'
import { describeWith } from '../needs.ts'
import { chromiumPath } from './browser.ts'
import { patience } from './patience.ts'
import { served } from './service.ts'
import { Stage, stageMs } from './stage.ts'

const rowOf = (page: Page, name: string): Locator => page.locator(`tbody[data-rule="${name}"]`)
const stateOf = (page: Page, name: string, state: string): Promise<void> =>
  page.locator(`tbody[data-rule="${name}"][data-state="${state}"]`).waitFor()
const isServed = (port: number, text: unknown): Promise<void> =>
  expect.poll(() => served(port), { timeout: patience }).toEqual(text)
const nothing = expect.stringMatching(/^nothing/) as unknown

describeWith({ files: [chromiumPath] }, 'the rules in the browser', () => {
  let stage: Stage
  let kept: number

  beforeAll(async () => {
    kept = await freePort()
    stage = await Stage.build(
      (target) =>
        `# My ports, do not lose this line.\nrules:\n  kept: # for grandma\n    listen: 127.0.0.1:${kept} # hers\n    target: ${target}\n`,
    )
  }, stageMs)
  afterAll(() => stage?.[Symbol.asyncDispose]())

  it('are added by hand, and serve at once', async () => {
    await using visitor = await stage.visit()
    const { page } = visitor
    const port = await freePort()
    await page.getByRole('link', { name: 'Add rule' }).click()
    await page.getByLabel('Service name').fill('iis')
    await page.getByLabel('External port').fill(String(port))
    await page.getByLabel('Target (private IP)').fill('127.0.0.1')
    await page.getByLabel('Internal port').fill(String(stage.service.port))
    const plan = page.getByRole('heading', { name: 'What will be done' }).locator('..')
    await plan.getByText('Relay').waitFor()
    expect(await served(port)).toEqual(nothing)
    await page.getByRole('button', { name: 'Open it' }).click()

    await page.getByRole('heading', { level: 1, name: 'iis' }).waitFor()
    expect(await served(port)).toBe('hello from the guest')
    await page.getByRole('link', { name: 'All rules' }).click()
    await stateOf(page, 'iis', 'open')
    expect(await rowOf(page, 'iis').locator('td, th').allInnerTexts()).toEqual(
      expect.arrayContaining([String(port), String(stage.service.port), 'TCP', 'anyone']),
    )
    const file = await stage.daemon.file()
    expect(file).toContain('# My ports, do not lose this line.\n')
    expect(file).toContain('kept: # for grandma\n')
    expect(file).toContain('# hers\n')
    expect(file).toMatch(
      new RegExp(`iis:\\n +listen: ${port}\\n +target: 127.0.0.1:${stage.service.port}\\n`),
    )
  }, 120_000)

  it('are edited, switched off and on, deleted and brought back', async () => {
    await using visitor = await stage.visit()
    const { page } = visitor
    const next = await freePort()
    await page.getByRole('link', { name: 'Edit kept' }).click()
    await page.getByLabel('External port').fill(String(next))
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('heading', { level: 1, name: 'kept', exact: true }).waitFor()
    await isServed(next, 'hello from the guest')
    await isServed(kept, nothing)
    expect(await stage.daemon.file()).toContain(`listen: 127.0.0.1:${next} # hers\n`)

    await page.getByRole('link', { name: 'All rules' }).click()
    const onSwitch = page.getByRole('switch', { name: 'kept is on' })
    await onSwitch.click()
    await stateOf(page, 'kept', 'disabled')
    await isServed(next, nothing)
    await expect.poll(() => stage.daemon.file()).toMatch(/enabled: false/)
    await onSwitch.click()
    await stateOf(page, 'kept', 'open')
    await isServed(next, 'hello from the guest')

    await expect.poll(() => stage.daemon.file()).not.toMatch(/enabled: false/)
    const before = await stage.daemon.file()
    await page.getByRole('button', { name: 'Delete kept' }).click()
    await rowOf(page, 'kept').waitFor({ state: 'detached' })
    await isServed(next, nothing)
    await expect.poll(() => stage.daemon.file()).not.toContain('kept')
    await page.getByRole('button', { name: 'Undo' }).click()
    await stateOf(page, 'kept', 'open')
    await isServed(next, 'hello from the guest')
    await expect.poll(() => stage.daemon.file()).toBe(before)
  }, 180_000)

  it('close when their time is over, and say how long they are open', async () => {
    await using visitor = await stage.visit()
    const { page } = visitor
    const port = await freePort()
    await visitor.goTo(`new?name=brief&externalPort=${port}&internalPort=${stage.service.port}`)
    await page.getByRole('radio', { name: 'For 2 hours' }).check()
    await page.getByRole('button', { name: 'Open it' }).click()
    await page.getByRole('heading', { level: 1, name: 'brief' }).waitFor()
    await page.getByText(/closes in (1 h 59|2 h)/).waitFor()
    await page.getByRole('link', { name: 'All rules' }).click()
    await stateOf(page, 'brief', 'open')
    // Two hours pass: the file says another time.
    await stage.daemon.ask('PATCH', '/api/rules/brief', { until: new Date(Date.now() + 1500).toISOString() })
    await stateOf(page, 'brief', 'expired')
    await isServed(port, nothing)
  }, 120_000)

  it('say beside the field what is wrong, as the file would', async () => {
    await using visitor = await stage.visit({ expected: [/\/api\/plan: 4/] })
    const { page } = visitor
    await visitor.goTo('new')
    await page.getByLabel('External port').fill('99999')
    await page.getByLabel('Internal port').fill('80')
    const field = page.getByLabel('External port')
    await expect.poll(() => field.getAttribute('aria-invalid'), { timeout: patience }).toBe('true')
    await page.getByText('65535').first().waitFor()
    await field.fill('9999')
    await page.getByLabel('Service name').fill('kept')
    await expect
      .poll(() => page.getByLabel('Service name').getAttribute('aria-invalid'), { timeout: patience })
      .toBe('true')
  }, 120_000)
})
