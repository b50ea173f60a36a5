import { getEventListeners } from 'node:events'
import { expect, it } from 'vitest'
import { onAbort } from './on-abort.ts'

it('whoever waits is called once when the signal fires, in the order they came; who has gone is not', () => {
  const stop = new AbortController()
  const called: string[] = []
  onAbort(stop.signal, () => called.push('a'))
  const gone = onAbort(stop.signal, () => called.push('gone'))
  // One that is called may send another away.
  onAbort(stop.signal, () => {
    called.push('b')
    sent[Symbol.dispose]()
  })
  const sent = onAbort(stop.signal, () => called.push('sent away'))
  onAbort(stop.signal, () => called.push('c'))
  gone[Symbol.dispose]()
  stop.abort()
  expect(called).toEqual(['a', 'b', 'c'])
})

it('any number of them are one listener, and none is left when the last has gone', () => {
  const { signal } = new AbortController()
  const waits = Array.from({ length: 1000 }, () => onAbort(signal, () => {}))
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
  for (const wait of waits) wait[Symbol.dispose]()
  for (const wait of waits) wait[Symbol.dispose]()
  expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  onAbort(signal, () => {})
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
})

it('who begins to wait while it fires is not called', () => {
  const stop = new AbortController()
  let calls = 0
  const again = (): void => {
    calls++
    onAbort(stop.signal, again)
  }
  onAbort(stop.signal, again)
  stop.abort()
  expect(calls).toBe(1)
})

it('none is called where the signal has fired before', () => {
  let called = false
  onAbort(AbortSignal.abort(), () => (called = true))[Symbol.dispose]()
  expect(called).toBe(false)
})
