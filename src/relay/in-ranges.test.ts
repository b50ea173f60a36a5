import { expect, it } from 'vitest'
import { inRanges } from './in-ranges.ts'

it('ports in a row are one range, for each address and protocol', () => {
  const ports = Array.from({ length: 101 }, (_, at) => 8000 + at)
  const both = ports.flatMap((port) => [`*:${port}/tcp`, `*:${port}/udp`])
  expect(inRanges(ports.map((port) => `*:${port}/tcp`))).toBe('*:8000-8100/tcp')
  expect(inRanges(both)).toBe('*:8000-8100/tcp, *:8000-8100/udp')
  expect(inRanges(['[::1]:80/tcp', '[::1]:81/tcp', '127.0.0.1:82/tcp'])).toBe(
    '[::1]:80-81/tcp, 127.0.0.1:82/tcp',
  )
})

it('what is no row, or no port, stands as it is', () => {
  expect(inRanges(['*:80/tcp', '*:443/tcp'])).toBe('*:80/tcp, *:443/tcp')
  expect(inRanges(['unix:/run/web.sock'])).toBe('unix:/run/web.sock')
  expect(inRanges([])).toBe('')
})
