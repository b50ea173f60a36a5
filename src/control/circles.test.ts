import { describe, expect, it } from 'vitest'
import { parseRule } from '../model/rule-file.ts'
import { circleNotes, circlesIn } from './circles.ts'

const isOwn = (address: string): boolean => ['127.0.0.1', '::1', '192.168.1.10'].includes(address)

function circles(rules: Record<string, [listen: string, ...targets: string[]]>): string[] {
  const read = Object.entries(rules).map(([name, [listen, ...targets]]) =>
    parseRule(name, { listen, targets }),
  )
  return circlesIn(read, isOwn).map((circle) => circle.map(({ name }) => name).join(' '))
}

describe('rules that lead to each other', () => {
  it.each([
    ['two', { a: ['8000', '8001'], b: ['8001', '127.0.0.1:8000'] }, ['a b']],
    [
      'by another of our addresses',
      { a: ['8000', '192.168.1.10:8001'], b: ['0.0.0.0:8001', '8000'] },
      ['a b'],
    ],
    ['three', { a: ['8000', '8001'], b: ['8001', 'localhost:8002'], c: ['8002', '8000'] }, ['a b c']],
    ['through a Unix socket', { a: ['8000', 'unix:/run/a'], b: ['unix:/run/a', '8000'] }, ['a b']],
    ['by one of several targets', { a: ['8000', '10.0.0.1:80', '8001'], b: ['8001', '8000'] }, ['a b']],
    ['by a port of a range', { a: ['8000-8100', '9000-9100'], b: ['9050', '8050'] }, ['a b']],
    ['over UDP', { a: ['8000/udp', '8001'], b: ['8001/udp', '8000'] }, ['a b']],
  ] as const)('are found: %s', (_what, rules, found) => {
    expect(circles(rules as never)).toEqual(found)
  })

  it.each([
    ['a chain', { a: ['8000', '8001'], b: ['8001', '8002'], c: ['8002', '10.0.0.1:80'] }],
    ['another machine', { a: ['8000', '10.0.0.1:8001'], b: ['8001', '10.0.0.1:8000'] }],
    [
      'another address of ours',
      { a: ['127.0.0.1:8000', '127.0.0.1:8001'], b: ['192.168.1.10:8001', '8000'] },
    ],
    ['another protocol', { a: ['8000', '8001'], b: ['8001/udp', '8000'] }],
    ['a range that ends', { a: ['8000-8001', '9000-9001'], b: ['9000-9001', '8001-8002'] }],
  ] as const)('are not seen in %s', (_what, rules) => {
    expect(circles(rules as never)).toEqual([])
  })

  it('are named where one of them is new, and not where one is off', () => {
    const a = parseRule('a', { listen: '8000', target: '8001' })
    const b = parseRule('b', { listen: '8001', target: '8000' })
    expect(circleNotes([a, b], [b], isOwn).map(({ en }) => en)).toEqual([
      expect.stringContaining('a → b → a'),
    ])
    expect(circleNotes([a, b], [], isOwn)).toEqual([])
    expect(circleNotes([a, { ...b, enabled: false }], [a], isOwn)).toEqual([])
  })

  it('cost little among ten thousand rules', () => {
    const rules = Array.from({ length: 10_000 }, (_, at) =>
      parseRule(`r${at}`, { listen: String(10_000 + at), target: String(10_001 + at) }),
    )
    const began = performance.now()
    expect(circlesIn(rules, isOwn)).toEqual([])
    expect(performance.now() - began).toBeLessThan(5000)
  })
})
