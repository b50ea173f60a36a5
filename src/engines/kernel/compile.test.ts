import { expect, it } from 'vitest'
import { parseRule } from '../../model/rule-file.ts'
import { compile, type WayBack } from './compile.ts'

/** A rule above, what becomes of it in the table below: one line an element. */
function compiled(input: Record<string, unknown>, address: string, wayBack: WayBack = 'hide'): string {
  const rule = parseRule('web', input)
  const target = rule.targets[0]?.to
  if (!target || target.kind === 'unix') throw new Error('no port')
  const { elements } = compile({ rule, address, ports: target.ports, wayBack })
  const lines = elements.map(
    ({ set, key, value }) => `${set} ${show(key)}${value === null ? '' : ` : ${show(value)}`}`,
  )
  return lines.join('\n')
}

function show(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value)
  const part = value as Record<string, unknown>
  if (Array.isArray(part.concat)) return part.concat.map(show).join(' . ')
  if (Array.isArray(part.range)) return part.range.join('-')
  if (part.prefix) return Object.values(part.prefix).join('/')
  return `goto ${(part.goto as { target: string }).target}`
}

it('makes one port an element', () => {
  expect(compiled({ listen: '0.0.0.0:8888', target: '10.0.0.2:80' }, '10.0.0.2')).toBe(
    'port4 tcp . 8888 : 10.0.0.2 . 80',
  )
})

it('says of the way back what is not so anyway: that it keeps the client, how long it waits', () => {
  expect(compiled({ listen: '0.0.0.0:53/tcp+udp', target: '10.0.0.2:53' }, '10.0.0.2')).toBe(
    [
      'port4 tcp . 53 : 10.0.0.2 . 53',
      'port4 udp . 53 : 10.0.0.2 . 53',
      'back_port4 udp . 53 : goto udp4-300s-hide',
    ].join('\n'),
  )
})

it('waits no longer for a silent session than conntrack can count', () => {
  const ever = { listen: '0.0.0.0:53/udp', target: '10.0.0.2:53', timeouts: { udp: '9999999999d' } }
  expect(compiled(ever, '10.0.0.2')).toContain('2147483s')
})

it('keeps a listen on one address to that address', () => {
  expect(compiled({ listen: '[fd01::1]:53/tcp+udp', target: '[fd02::2]:53' }, 'fd02::2', 'keep')).toBe(
    [
      'at6 fd01::1 . tcp . 53 : fd02::2 . 53',
      'back_at6 fd01::1 . tcp . 53 : goto keep',
      'at6 fd01::1 . udp . 53 : fd02::2 . 53',
      'back_at6 fd01::1 . udp . 53 : goto udp6-300s-keep',
    ].join('\n'),
  )
})

it('makes a range that keeps its ports one interval', () => {
  const input = { listen: '0.0.0.0:8000-8001', target: '10.0.0.2:8000-8001' }
  expect(compiled(input, '10.0.0.2', 'keep')).toBe(
    [
      'span4 0.0.0.0/0 . tcp . 8000-8001 : 10.0.0.2',
      'back_span4 0.0.0.0/0 . tcp . 8000-8001 : goto keep',
    ].join('\n'),
  )
})

it('makes a range that all goes to one port one interval', () => {
  const input = { listen: '10.0.0.1:8000-8999', target: '10.0.0.2:80' }
  expect(compiled(input, '10.0.0.2')).toBe('into4 10.0.0.1 . tcp . 8000-8999 : 10.0.0.2 . 80')
})

it('makes a range that moves an element a port', () => {
  const input = { listen: '0.0.0.0:8000-8002', target: '10.0.0.2:9000-9002' }
  expect(compiled(input, '10.0.0.2').split('\n').slice(0, 3)).toEqual([
    'port4 tcp . 8000 : 10.0.0.2 . 9000',
    'port4 tcp . 8001 : 10.0.0.2 . 9001',
    'port4 tcp . 8002 : 10.0.0.2 . 9002',
  ])
})

it('turns away the ranges that nobody is let in from', () => {
  const input = {
    listen: '0.0.0.0:8888',
    target: '10.0.0.2:80',
    allow: ['192.168.0.0/16'],
    deny: ['192.168.7.0/24'],
  }
  expect(
    compiled(input, '10.0.0.2')
      .split('\n')
      .filter((line) => line.startsWith('deny')),
  ).toEqual([
    'deny4 0.0.0.0/0 . tcp . 8888 . 0.0.0.0-192.167.255.255',
    'deny4 0.0.0.0/0 . tcp . 8888 . 192.168.7.0-192.168.7.255',
    'deny4 0.0.0.0/0 . tcp . 8888 . 192.169.0.0-255.255.255.255',
  ])
})
