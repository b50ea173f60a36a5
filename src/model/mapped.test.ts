import { expect, it } from 'vitest'
import { inRows, mappedBy } from './mapped.ts'

it('a router tells what it opened as data', () => {
  const one = { externalAddress: '203.0.113.5', externalPort: 8888, internalPort: 80 }
  expect(mappedBy([one])).toEqual([{ address: '203.0.113.5', port: 8888 }])
  expect(mappedBy([{ ...one, externalAddress: null }])).toEqual([{ address: null, port: 8888 }])
  const outer = { externalAddress: '198.51.100.7', externalPort: 9999 }
  expect(mappedBy([{ inner: one, outer }])).toEqual([{ address: '198.51.100.7', port: 9999 }])
  for (const none of [null, 'text', {}, [null], [{ externalPort: 'x' }]]) expect(mappedBy(none)).toEqual([])
})

it('ports in a row are one range', () => {
  expect(inRows([81, 80, 82, 80, 90])).toEqual([
    { first: 80, last: 82 },
    { first: 90, last: 90 },
  ])
})
