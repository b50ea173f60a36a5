import { afterEach, expect, it, vi } from 'vitest'
import { say } from '../base/text.ts'
import { createLog } from './log-output.ts'

const { isTTY } = process.stderr
afterEach(() => {
  process.stderr.isTTY = isTTY
  vi.restoreAllMocks()
})

it('speaks the person’s language at a terminal', async () => {
  process.stderr.isTTY = true
  let text = ''
  vi.spyOn(process.stderr, 'write').mockImplementation((piece) => {
    text += String(piece)
    return true
  })
  const log = await createLog('ko')
  log.info({}, say('it works', '동작합니다'))
  expect(text).toMatch(/ 동작합니다\n$/)
})

it('on a terminal, what others named is shown sign by sign, and cannot pass for an entry of its own', async () => {
  process.stderr.isTTY = true
  let text = ''
  vi.spyOn(process.stderr, 'write').mockImplementation((piece) => {
    text += String(piece)
    return true
  })
  const log = await createLog()
  log.warn({ rule: 'web' }, 'taken by \u001B]0;x\u0007nginx\n00:00:00 web: open')
  expect(text).toMatch(
    /^\d\d:\d\d:\d\d warn: web: taken by \\u001b\]0;x\\u0007nginx\n {9}00:00:00 web: open\n$/,
  )
})
