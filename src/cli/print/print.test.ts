import stringWidth from 'string-width'
import { describe, expect, it } from 'vitest'
import { keysIn } from '../io.ts'
import { mark, written } from './marks.ts'
import { bytes, rate, span } from './units.ts'
import { clipped, padded, widthOf, wrapped } from './width.ts'

describe('width on a terminal', () => {
  it('never breaks a command, whose first half would run when it is pasted', () => {
    const line =
      '→ give Naru the right: `sudo env "PATH=$PATH" naru open 8888 10.0.0.2:80 --firewall`, or not'
    expect(wrapped(line, 30).split('\n')).toEqual([
      '→ give Naru the right:',
      '  `sudo env "PATH=$PATH" naru open 8888 10.0.0.2:80 --firewall`,',
      '  or not',
    ])
  })

  const texts = [
    'naru',
    '나루 ferry',
    '공유기 ✓ → 중계 ✗',
    '한',
    '…',
    '漢字かな',
    'é',
    'é',
    '↑ ↓',
    '🚢',
    '',
    '·×●▼▲',
  ]
  it.each(texts)('of "%s" is what an exact library says', (text) => {
    expect(widthOf(text)).toBe(stringWidth(text))
  })

  it('decides how a text is cut and padded', () => {
    expect(clipped('나루터', 5)).toBe('나루…')
    expect(clipped('나루터', 4)).toBe('나…')
    expect(clipped('abc', 3)).toBe('abc')
    expect(clipped(`${mark(31)}abcdef${mark(39)}`, 4)).toBe(`${mark(31)}abc…${mark(0)}`)
    expect(written(mark(31))).toBe('\u001B[31m')
    expect(padded('나루', 6)).toBe('나루  ')
    expect(padded('나루', 6, 'right')).toBe('  나루')
  })
})

describe('numbers', () => {
  it('are short', () => {
    expect([0, 999, 1000, 1234, 9949, 9950, 99_999, 999_499, 999_500, 1.5e9, 2e15].map(bytes)).toEqual([
      '0 B',
      '999 B',
      '1.0 kB',
      '1.2 kB',
      '9.9 kB',
      '10 kB',
      '100 kB',
      '999 kB',
      '1.0 MB',
      '1.5 GB',
      '2.0 PB',
    ])
    expect(rate(1_200_000)).toBe('1.2 MB/s')
    expect([0, 59_999, 60_000, 3_600_000, 7_140_000, 90_000_000, -5].map(span)).toEqual([
      '0s',
      '59s',
      '1m00s',
      '1h00m',
      '1h59m',
      '1d01h',
      '0s',
    ])
  })
})

it('keys that a terminal sends at once are told apart', () => {
  expect(keysIn('\u001B[A\u001B[Bq\u001B[5~ㅂ\u001BOA')).toEqual([
    '\u001B[A',
    '\u001B[B',
    'q',
    '\u001B[5~',
    'ㅂ',
    '\u001BOA',
  ])
})
