/** What somebody wrote into a form is theirs until they save it or say otherwise; and everything of a rule can be written. */
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort } from '../free-port.ts'
import { describeWith } from '../needs.ts'
import { chromiumPath } from './browser.ts'
import { served } from './service.ts'
import { Stage, stageMs } from './stage.ts'

describeWith({ files: [chromiumPath] }, 'a draft', () => {
  let stage: Stage
  let port: number

  beforeAll(async () => {
    port = await freePort()
    stage = await Stage.build(
      (target) => `rules:\n  kept:\n    listen: 127.0.0.1:${port}\n    target: ${target}\n`,
    )
  }, stageMs)
  afterAll(() => stage?.[Symbol.asyncDispose]())

  const nameIn = (page: Page): Promise<string> => page.getByLabel('Service name').inputValue()

  it('is there again after another page, after a reload and in another tab; begun afresh it is gone', async () => {
    await using visitor = await stage.visit({ expected: [/\/api\/plan: 4/] })
    const { page } = visitor
    await visitor.goTo('new')
    await page.getByLabel('Service name').fill('game')
    await page.getByLabel('External port').fill('25565')
    await page.getByRole('link', { name: 'Traffic' }).click()
    await page.getByRole('heading', { level: 1, name: 'Traffic' }).waitFor()
    await page.goBack()
    await page.getByText('This was not saved yet').waitFor()
    expect(await nameIn(page)).toBe('game')
    await page.reload()
    await page.getByText('This was not saved yet').waitFor()
    expect(await page.getByLabel('External port').inputValue()).toBe('25565')

    // What another page offers is a form of its own.
    await visitor.goTo('new?target=docker:web')
    await expect.poll(() => nameIn(page)).toBe('')
    await page.getByLabel('Service name').fill('other')

    const tab = await page.context().newPage()
    await tab.goto(`${stage.daemon.url}/#/new`)
    await tab.getByText('This was not saved yet').waitFor()
    expect(await nameIn(tab)).toBe('game')
    await tab.getByRole('button', { name: 'Begin afresh' }).click()
    await expect.poll(() => nameIn(tab)).toBe('')
    await tab.reload()
    await tab.getByLabel('Service name').waitFor()
    expect(await tab.getByText('This was not saved yet').count()).toBe(0)
  }, 120_000)

  it('of an edit is kept beside what the file says, and gone when it is saved', async () => {
    await using visitor = await stage.visit()
    const { page } = visitor
    await visitor.goTo('rules/kept/edit')
    await page.getByLabel('Source (allow-list)').fill('127.0.0.0/8')
    await page.reload()
    await page.getByText('This was not saved yet').waitFor()
    expect(await page.getByLabel('Source (allow-list)').inputValue()).toBe('127.0.0.0/8')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('heading', { level: 1, name: 'kept', exact: true }).waitFor()
    expect(await stage.daemon.file()).toContain('127.0.0.0/8')
    await visitor.goTo('rules/kept/edit')
    await page.getByLabel('Service name').waitFor()
    expect(await page.getByText('This was not saved yet').count()).toBe(0)
  }, 120_000)

  it('says who is kept out, how long to wait, how to ask for health, and what people call it', async () => {
    await using visitor = await stage.visit()
    const { page } = visitor
    await visitor.goTo('rules/kept/edit')
    await page.getByLabel('Title').fill('할머니의 웹')
    await page.getByLabel('Tags').fill('web, 가족')
    await page.getByLabel('Description').fill('For Sundays.')
    await page.getByLabel('Never these (deny-list)').fill('127.0.0.9')
    await page.getByText('Waiting and health').click()
    await page.getByLabel('Connecting').fill('2s')
    await page.getByLabel('Ask targets whether they are up').check()
    await page.getByLabel('Ask every').fill('3s')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('heading', { level: 1, name: '할머니의 웹', exact: true }).waitFor()
    const { rule } = (await (await stage.daemon.ask('GET', '/api/rules/kept')).json()) as { rule: object }
    expect(rule).toMatchObject({
      title: '할머니의 웹',
      tags: ['web', '가족'],
      description: 'For Sundays.',
      deny: ['127.0.0.9'],
      timeouts: { connect: '2s' },
      health: { every: '3s' },
    })
    await visitor.goTo('rules/kept/edit')
    await page.getByText('Waiting and health').click()
    await page.getByLabel('Ask targets whether they are up').uncheck()
    await page.getByLabel('Never these (deny-list)').fill('')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('heading', { level: 1, name: '할머니의 웹', exact: true }).waitFor()
    expect(await stage.daemon.file()).not.toMatch(/health|deny/)
  }, 120_000)

  it('that only gives another name cuts no connection', async () => {
    await using visitor = await stage.visit({ expected: [/\/api\/plan: 4/] })
    const { page } = visitor
    await visitor.goTo('rules/kept/edit')
    await page.getByLabel('Service name').fill('renamed')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('Named renamed in the file').waitFor()
    expect(await served(port)).toBe('hello from the guest')
    await page.getByRole('link', { name: 'All rules' }).click()
    await page.locator('tbody[data-rule="renamed"][data-state="open"]').waitFor()
    expect(await page.locator('tbody[data-rule="kept"]').count()).toBe(0)
  }, 120_000)
})
