/** Other programs' files come in with what is lost said first, and go out; what happened is there to read. */
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort } from '../free-port.ts'
import { describeWith } from '../needs.ts'
import { chromiumPath } from './browser.ts'
import { served } from './service.ts'
import { Stage, stageMs } from './stage.ts'

describeWith({ files: [chromiumPath] }, 'import, export and the log', () => {
  let stage: Stage

  beforeAll(async () => {
    const port = await freePort()
    stage = await Stage.build(
      (target) => `rules:\n  kept: { listen: '127.0.0.1:${port}', target: ${target}, deny: [127.0.0.0/8] }\n`,
    )
  }, stageMs)
  afterAll(() => stage?.[Symbol.asyncDispose]())

  it('show what comes of a file, with each loss and its line, before anything is added', async () => {
    await using visitor = await stage.visit({ expected: [/\/api\/import: 4/] })
    const { page } = visitor
    const port = await freePort()
    const before = await stage.daemon.file()
    await page.getByRole('link', { name: 'Import, export' }).click()
    await page.locator('input[type="file"]').setInputFiles({
      name: 'rinetd.conf',
      mimeType: 'text/plain',
      buffer: Buffer.from(`logfile /var/log/rinetd.log\n127.0.0.1 ${port} 127.0.0.1 ${stage.service.port}\n`),
    })
    await page.getByRole('button', { name: 'Show what comes of it' }).click()
    await page.getByText('1 forward found (rinetd)').first().waitFor()
    await page.locator('.losses li', { hasText: 'logfile' }).getByText('line 1').waitFor()
    expect(await stage.daemon.file()).toBe(before)
    expect(await served(port)).toMatch(/^nothing/)

    await page.getByRole('button', { name: 'Add 1 rule' }).click()
    await page.getByText('1 added').waitFor()
    expect(await served(port)).toBe('hello from the guest')
    await page.getByRole('button', { name: 'Show what comes of it' }).click()
    await page.getByRole('link', { name: 'there already' }).waitFor()
    expect(await page.getByRole('button', { name: /^Add/ }).count()).toBe(0)

    await page.getByLabel('What another program forwards').fill('nobody knows this')
    await page.getByRole('button', { name: 'Show what comes of it' }).click()
    await page.getByRole('alert').waitFor()
  }, 120_000)

  it('write rules as the file of another program, to be downloaded', async () => {
    await using visitor = await stage.visit()
    const { page } = visitor
    await visitor.goTo('exchange')
    await page.getByLabel('Program', { exact: true }).selectOption('haproxy')
    await page.getByRole('button', { name: 'Write' }).click()
    await page.locator('.written').getByText(`127.0.0.1:${stage.service.port}`).first().waitFor()
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download haproxy.cfg' }).click(),
    ])
    expect(file.suggestedFilename()).toBe('haproxy.cfg')
    expect(await readFile(await file.path(), 'utf8')).toBe(await page.locator('.written').innerText())
  }, 120_000)

  it('tell whom a rule refused, also before the page was opened', async () => {
    const [, port] = /127\.0\.0\.1:(\d+)/.exec(await stage.daemon.file()) ?? []
    await served(Number(port))
    await using visitor = await stage.visit()
    const { page } = visitor
    await page.getByRole('link', { name: 'Log' }).click()
    await page.getByLabel('Show').selectOption('refused')
    await page
      .locator('.log li', { hasText: /127\.0\.0\.1.* was refused/ })
      .first()
      .waitFor()
    await page.getByRole('searchbox', { name: 'Find' }).fill('no such thing')
    await page.getByText('Nothing of that kind.').waitFor()
    await page.reload()
    await page.getByText('Nothing of that kind.').waitFor()
    await page.goBack()
  }, 120_000)
})
