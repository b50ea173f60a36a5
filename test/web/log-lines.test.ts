/** How the page gathers its log. */
import { expect, it } from 'vitest'
import { verbatim } from '../../src/base/text.ts'
import type { Happening } from '../../src/model/naru-api.ts'
import { gathered } from '../../web/src/state/log-lines.ts'

let id = 0
const said = (text: string, rule: string | null = 'web', at = ++id): Happening => ({
  type: 'log',
  id: at,
  at,
  level: 'warn',
  rule,
  text: verbatim(text),
})
const refused = (client: string): Happening => ({
  type: 'refused',
  id: ++id,
  at: id,
  rule: 'web',
  client,
  reason: 'denied',
})
const told = (all: readonly Happening[]): string[] =>
  gathered(all).map(({ text, times }) => `${text.en} × ${times}`)

it('what is said again and again is one line, with how often, and when first and last', () => {
  const lines = gathered([
    said('up', 'web', 1),
    ...Array.from({ length: 37 }, (_, at) => said('down', 'web', 10 + at)),
  ])
  expect(lines).toMatchObject([
    { text: { en: 'down' }, times: 37, at: 10, lastAt: 46 },
    { text: { en: 'up' }, times: 1, at: 1, lastAt: 1 },
  ])
})

it('what came between keeps lines apart, and so does another rule', () => {
  expect(told([said('a'), said('b'), said('a')])).toEqual(['a × 1', 'b × 1', 'a × 1'])
  expect(told([said('a', 'one'), said('a', 'two')])).toEqual(['a × 1', 'a × 1'])
})

it('a hop that opened is named, with what it did', () => {
  const status = {
    hop: 'firewall',
    member: 'nftables',
    state: 'ok',
    text: { en: 'inet filter input admits 8888/tcp', ko: 'inet filter input에서 8888/tcp 허용' },
    notes: [],
    data: null,
    checkedAt: null,
  } as const
  const lines = gathered([{ type: 'hop', id: 1, at: 1, rule: 'web', status }])
  expect(lines).toMatchObject([
    { level: 'info', rule: 'web', text: { en: 'Firewall: inet filter input admits 8888/tcp' } },
  ])
})

it('one client that tries again, from another port each time, is one line', () => {
  const lines = told([
    refused('10.0.0.9:1'),
    refused('10.0.0.9:2'),
    refused('[2001:db8::1]:1'),
    refused('[2001:db8::1]:22'),
  ])
  expect(lines).toEqual([
    expect.stringMatching(/^\[2001:db8::1\] was refused: .* × 2$/),
    expect.stringMatching(/^10\.0\.0\.9 was refused: .* × 2$/),
  ])
})
