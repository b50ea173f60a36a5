/** A rule of several targets by hand in the browser: shares, a backup, one more, one less; the file keeps its comments. */
import type { Browser, Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Scope } from '../../src/base/scope.ts'
import { built } from '../built.ts'
import { freePort } from '../free-port.ts'
import { describeWith } from '../needs.ts'
import { chromiumPath, startBrowser, Visitor } from './browser.ts'
import { Daemon } from './daemon.ts'
import { patience } from './patience.ts'
import { served, Service } from './service.ts'

const target = (page: Page, number: number): Locator => page.getByRole('group', { name: `Target ${number}` })

describeWith({ files: [chromiumPath] }, 'several targets in the browser', () => {
  const scope = new Scope()
  let browser: Browser
  let daemon: Daemon
  let one: Service
  let other: Service
  let port: number

  beforeAll(async () => {
    await built()
    one = scope.use(await Service.start('one'))
    other = scope.use(await Service.start('other'))
    port = await freePort()
    daemon = scope.use(
      await Daemon.start({
        file: `rules:
  web:
    listen: 127.0.0.1:${port}
    targets:
      # the old machine
      - { to: "127.0.0.1:${one.port}", weight: 2 } # twice as fast
      - 127.0.0.1:${other.port} # in the cellar
`,
      }),
    )
    browser = await startBrowser()
    scope.defer(() => browser.close())
  }, 180_000)
  afterAll(() => scope[Symbol.asyncDispose]())

  const edit = async (): Promise<Visitor> => {
    const visitor = await Visitor.open(browser, daemon.loginUrl, { expected: [/\/api\/plan: 4/] })
    await visitor.goTo('rules/web/edit')
    await target(visitor.page, 1).waitFor()
    return visitor
  }
  const save = async ({ page }: Visitor): Promise<void> => {
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('heading', { level: 1, name: 'web', exact: true }).waitFor()
  }

  it(
    'say what is wrong beside the field of the target that it is about',
    { timeout: 4 * patience },
    async () => {
      await using visitor = await edit()
      const { page } = visitor
      expect(await target(page, 1).getByLabel('Weight').inputValue()).toBe('2')
      await page.getByRole('button', { name: 'Add another target' }).click()
      const weight = target(page, 2).getByLabel('Weight')
      await weight.fill('999')
      await target(page, 2).getByText('256').waitFor()
      expect(await weight.getAttribute('aria-invalid')).toBe('true')
      // A row that is still blank is nothing that is wrong, and does not shift what is told of those after it.
      await target(page, 2).getByLabel('Weight').fill('')
      await target(page, 3).getByLabel('Address and port').fill('nowhere to go')
      await expect
        .poll(() => target(page, 3).getByLabel('Address and port').getAttribute('aria-invalid'), {
          timeout: patience,
        })
        .toBe('true')
      expect(await visitor.accessibility()).toEqual([])
    },
  )

  it(
    'are weighed, added and kept as a backup, and the file keeps its comments',
    { timeout: 4 * patience },
    async () => {
      await using visitor = await edit()
      const { page } = visitor
      await target(page, 1).getByLabel('Weight').fill('3')
      await target(page, 2).getByLabel('Only while no other is up').check()
      await page.getByRole('button', { name: 'Add another target' }).click()
      await target(page, 3).getByLabel('Address and port').fill('127.0.0.1:9')
      await page.getByLabel('Which is next').selectOption('source-hash')
      await save(visitor)
      expect(await daemon.file()).toBe(`rules:
  web:
    listen: 127.0.0.1:${port}
    targets:
      # the old machine
      - { to: "127.0.0.1:${one.port}", weight: 3 } # twice as fast
      - { to: 127.0.0.1:${other.port}, backup: true } # in the cellar
      - 127.0.0.1:9
    balance: source-hash
`)
    },
  )

  it('are taken away until one is left, and that one serves', { timeout: 4 * patience }, async () => {
    await using visitor = await edit()
    const { page } = visitor
    await page.getByRole('button', { name: 'Remove target 3' }).click()
    await page.getByRole('button', { name: 'Remove target 1' }).click()
    await target(page, 1).getByLabel('Only while no other is up').uncheck()
    expect(await page.getByRole('button', { name: /^Remove target/ }).count()).toBe(0)
    await save(visitor)
    expect(await daemon.file()).toContain(`- 127.0.0.1:${other.port} # in the cellar\n`)
    await expect.poll(() => served(port), { timeout: patience }).toBe('other')
  })

  it('come of a rule that had one', { timeout: 4 * patience }, async () => {
    await using visitor = await Visitor.open(browser, daemon.loginUrl, { expected: [/\/api\/plan: 4/] })
    const { page } = visitor
    const next = await freePort()
    await visitor.goTo(`new?name=next&externalPort=${next}&internalPort=${one.port}`)
    await page.getByRole('button', { name: 'Add another target' }).click()
    expect(await target(page, 1).getByLabel('Address and port').inputValue()).toBe(String(one.port))
    await target(page, 2).getByLabel('Address and port').fill(`127.0.0.1:${other.port}`)
    await page.getByRole('button', { name: 'Open it' }).click()
    await page.getByRole('heading', { level: 1, name: 'next', exact: true }).waitFor()
    const answers = await Promise.all(Array.from({ length: 6 }, () => served(next)))
    expect(new Set(answers)).toEqual(new Set(['one', 'other']))
  })
})
