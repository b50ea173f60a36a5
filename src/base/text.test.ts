import { inspect } from 'node:util'
import { afterEach, expect, test, vi } from 'vitest'
import type { Text } from './text.ts'

const korean: Record<string, string> = {
  'the port is taken': '포트를 이미 쓰고 있습니다',
  'port {0} of {1} is taken': '{1}의 {0}번 포트를 이미 쓰고 있습니다',
  '{0} gives way to {1}': '{0}{이/가} {1}{을/를} 위해 비켜납니다. {0}{은/는} 나중에 돌아옵니다',
  '{0} rule{1} to go': '규칙 {0}개 남음',
  'because {0}': '이유: {0}',
  'name server': '네임 서버',
  open: '열림',
  'to do|open': '열기',
  'to do|open {0}': '{0} 열기',
}

const koreanOf = vi.fn((key: string) => korean[key])

// Other files of this process have the module with its own rows already, and after this one get it with them again.
vi.resetModules()
vi.doMock(import('./korean.ts'), () => ({ koreanOf, rooms: [] as never }))
const { say, sayOf } = await import('./text.ts')
vi.doUnmock(import('./korean.ts'))
vi.resetModules()

afterEach(() => koreanOf.mockClear())

test('a sentence has the Korean that its row gives it, wherever its places stand there', () => {
  expect(say('the port is taken')).toEqual({ en: 'the port is taken', ko: '포트를 이미 쓰고 있습니다' })
  expect(say`port ${80} of ${'web'} is taken`).toEqual({
    en: 'port 80 of web is taken',
    ko: 'web의 80번 포트를 이미 쓰고 있습니다',
  })
})

test('a row may name a place twice and leave one out, as an English plural', () => {
  expect(say`${'80'} gives way to ${'규칙'}`.ko).toBe('80이 규칙을 위해 비켜납니다. 80은 나중에 돌아옵니다')
  const left = (count: number) => say`${count} rule${count === 1 ? '' : 's'} to go`
  expect([left(1), left(2)]).toEqual([
    { en: '1 rule to go', ko: '규칙 1개 남음' },
    { en: '2 rules to go', ko: '규칙 2개 남음' },
  ])
})

test('what fills a place speaks its own languages, and a list of it has commas between', () => {
  const server = say('name server')
  expect(say`because ${server}`).toEqual({ en: 'because name server', ko: '이유: 네임 서버' })
  expect(say`because ${[server, { en: 'dust', ko: '먼지' }]}`).toEqual({
    en: 'because name server, dust',
    ko: '이유: 네임 서버, 먼지',
  })
})

test('a sentence without a row is English, with its fillings in their own languages', () => {
  expect(say`nobody wrote ${say('name server')} {0} yet`.ko).toBe('nobody wrote 네임 서버 {0} yet')
  expect(say('nobody wrote this either')).toEqual({
    en: 'nobody wrote this either',
    ko: 'nobody wrote this either',
  })
})

test('what fills a place is shown as it is, whatever it looks like', () => {
  expect(say`because ${'{0}{을/를} $& |'}`).toEqual({
    en: 'because {0}{을/를} $& |',
    ko: '이유: {0}{을/를} $& |',
  })
})

test('English that means two things has a row for each', () => {
  expect([say('open').ko, sayOf('to do')('open').ko, sayOf('to do')`open ${80}`.ko]).toEqual([
    '열림',
    '열기',
    '80 열기',
  ])
  expect(sayOf('to do')('nobody | wrote this').ko).toBe('nobody | wrote this')
})

test('JSON, a thread and a copy have both languages', () => {
  const both = { en: 'port 80 of web is taken', ko: 'web의 80번 포트를 이미 쓰고 있습니다' }
  const text = say`port ${80} of ${'web'} is taken`
  expect(JSON.parse(JSON.stringify(text))).toStrictEqual(both)
  expect(structuredClone(text)).toStrictEqual(both)
  expect({ ...text }).toStrictEqual(both)
  expect(inspect(text)).toBe(inspect(both))
})

test('who speaks English asks for no Korean, and each place of the code asks once', () => {
  const said = (port: number): Text => say`port ${port} of ${'web'} is taken`
  const all = [1, 2, 3].map(said)
  expect(all.map(({ en }) => en)).toHaveLength(3)
  expect(koreanOf).not.toHaveBeenCalled()
  expect(new Set(all.map(({ ko }) => ko)).size).toBe(3)
  expect(koreanOf).toHaveBeenCalledTimes(1)
})
