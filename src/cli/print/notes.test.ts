import { expect, it } from 'vitest'
import { say, type Text } from '../../base/text.ts'
import { noteOn, type PlanNote } from '../../model/plan.ts'
import { noteLines } from './notes.ts'
import type { Printer } from './printer.ts'

const lines = (notes: readonly PlanNote[], language: 'en' | 'ko' = 'en'): string[] =>
  noteLines(notes, '!', { say: (text: Text) => text[language] } as unknown as Printer)
const silent = (rule: string): PlanNote => noteOn(rule, say('docker is silent', 'docker가 응답하지 않습니다'))
const many = Array.from({ length: 60 }, (_, at) => silent(`svc-${at}`))

it('a remark that holds for many rules is one line with their names', () => {
  expect(lines([...many, noteOn('a', say('its time is over', '만료됨'))])).toEqual([
    '! svc-0, svc-1, svc-2, svc-3, svc-4 and 55 more: docker is silent',
    '! a: its time is over',
  ])
  expect(lines(many, 'ko')).toEqual([
    '! svc-0, svc-1, svc-2, svc-3, svc-4 외 55개: docker가 응답하지 않습니다',
  ])
})

it('a few are told each, and what is on no rule is left as it is', () => {
  const notes = [silent('a'), silent('b'), silent('c'), say('asking again', '다시 요청하는 중')]
  expect(lines(notes)).toEqual([
    '! a: docker is silent',
    '! b: docker is silent',
    '! c: docker is silent',
    '! asking again',
  ])
})
