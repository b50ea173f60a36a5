import { expect, it } from 'vitest'
import { NaruError } from '../../base/errors.ts'
import type { Text } from '../../base/text.ts'
import { printProblems } from './errors.ts'
import type { Printer } from './printer.ts'

it('what stopped many rules in the same words is told once, with how often', () => {
  const told: string[] = []
  const plain = (text: string): string => text
  const printer = {
    say: ({ en }: Text) => en,
    talk: (line: string | Text) => void told.push(typeof line === 'string' ? line : line.en),
    paintTalk: { red: plain, dim: plain },
  } as unknown as Printer
  const off = new NaruError('GUEST_NOT_HERE', { kind: 'docker', why: 'its socket is not there' }).toJSON()
  const other = new NaruError('RULE_UNKNOWN', { name: 'a', known: 'b' }).toJSON()
  printProblems([off, other, ...Array.from({ length: 59 }, () => off)], printer)
  expect(told.slice(0, 3)).toEqual([
    'error: cannot ask docker for its guests: its socket is not there',
    '→ start docker, or write the guest’s address as the target',
    '  the same 59 times more',
  ])
  expect(told.filter((line) => line.startsWith('error:'))).toHaveLength(2)
})
