import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readNews, systemMs, writeNews } from './rule-news.ts'

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'naru-news-'))
  path = join(folder, 'news')
})
afterEach(() => rmSync(folder, { recursive: true }))

it('tells each what came since it asked last, and nobody what was before', async () => {
  expect(await readNews(path, 7)).toEqual({ news: [], since: 7 })
  await writeNews(path, [{ rule: 'a', over: 'drain' }])
  const first = await readNews(path, 0)
  expect(first.news).toEqual([{ rule: 'a', over: 'drain' }])
  const afterwards = systemMs()
  await writeNews(path, [
    { rule: 'b', to: 'c' },
    { rule: 'c', until: null },
  ])
  for (const since of [first.since, afterwards])
    expect((await readNews(path, since)).news).toEqual([
      { rule: 'b', to: 'c' },
      { rule: 'c', until: null },
    ])
})

it('of what cannot be read tells nothing, and what comes next is told', async () => {
  writeFileSync(path, '[{"at":')
  expect((await readNews(path, 0)).news).toEqual([])
  await writeNews(path, [{ rule: 'a', over: 'cut' }])
  expect((await readNews(path, 0)).news).toEqual([{ rule: 'a', over: 'cut' }])
})
