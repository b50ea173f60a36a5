import { describe, expect, it } from 'vitest'
import { pageOf } from './page.ts'
import { parseXml, textOf } from './xml.ts'

const location = new URL('http://192.168.0.1:5000/rootDesc.xml')

describe('the router’s own page', () => {
  const cases: [string | null, string | null][] = [
    ['http://192.168.0.1/', 'http://192.168.0.1/'],
    ['https://192.168.0.1:8443/admin', 'https://192.168.0.1:8443/admin'],
    ['/index.html', 'http://192.168.0.1:5000/index.html'],
    ['http://192.168.0.66/', null],
    ['http://login.example.org/192.168.0.1', null],
    ['http://192.168.0.1@evil.example.org/', null],
    ['http://admin:admin@192.168.0.1/', null],
    ['javascript:alert(1)', null],
    ['http://[', null],
    [null, null],
  ]
  it.each(cases)('%s is %s', (said, page) => {
    expect(pageOf(said, location, '192.168.0.1')).toBe(page)
  })

  it('is at the address that answered, where the router is wrong about its own', () => {
    expect(pageOf('http://10.9.9.9/', new URL('http://10.9.9.9:80/d.xml'), '192.168.0.1')).toBe(
      'http://192.168.0.1/',
    )
  })
})

it('what a router says of itself cannot steer a terminal nor turn the writing around', () => {
  const root = parseXml('<a><b>x&#27;[2J&#10;y\u202Ez&#x9b;31m</b></a>')
  expect(textOf(typeof root === 'object' ? (root['a'] as never) : undefined, 'b')).toBe('x [2J y z 31m')
})
