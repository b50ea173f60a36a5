import { describe, expect, it } from 'vitest'
import { parseCidr } from '../base/address.ts'
import { makerOf, makers, routerSteps, stepLines, type RowWish } from './router-steps.ts'

const wish: RowWish = {
  name: 'iis',
  protocols: ['tcp'],
  externalPorts: { first: 8888, last: 8888 },
  internalPorts: { first: 8888, last: 8888 },
  internalAddress: '192.168.0.10',
  allow: [],
}
const rowOf = (maker: (typeof makers)[number], change: Partial<RowWish> = {}): Record<string, string>[] =>
  routerSteps(maker, { ...wish, ...change }, '192.168.0.1').rows.map((row) =>
    Object.fromEntries(row.map(({ label, value }) => [label.en, value])),
  )

describe('the rows to type', () => {
  it('are in ASUS’s words, a range with a colon, both protocols in one row', () => {
    expect(
      rowOf('asus', {
        protocols: ['tcp', 'udp'],
        externalPorts: { first: 300, last: 400 },
        internalPorts: { first: 300, last: 400 },
        allow: [parseCidr('203.0.113.0/24')],
      }),
    ).toEqual([
      {
        'Service Name': 'iis',
        Protocol: 'BOTH',
        'External Port': '300:400',
        'Internal Port': '',
        'Internal IP Address': '192.168.0.10',
        'Source IP': '203.0.113.0/24',
      },
    ])
  })

  it('are one a port where a page cannot send a range on to other ports, and one where it can', () => {
    const shifted = {
      externalPorts: { first: 37015, last: 37016 },
      internalPorts: { first: 27015, last: 27016 },
    }
    expect(rowOf('asus', shifted).map((row) => [row['External Port'], row['Internal Port']])).toEqual([
      ['37015', '27015'],
      ['37016', '27016'],
    ])
    expect(rowOf('pfsense', shifted)).toHaveLength(1)
    const long = { externalPorts: { first: 1000, last: 1099 }, internalPorts: { first: 2000, last: 2099 } }
    const steps = routerSteps('iptime', { ...wish, ...long }, '192.168.0.1')
    expect(steps.rows).toHaveLength(8)
    expect(stepLines(steps).map(({ en }) => en)).toContain('row 8 of 8')
    expect(steps.notes[0]?.en).toContain('and so on up to 2099')
  })

  it('are two where a page has no word for both protocols', () => {
    expect(rowOf('iptime', { protocols: ['tcp', 'udp'] }).map((row) => row.Protocol)).toEqual(['TCP', 'UDP'])
  })

  it('name the page to open, by what the router said of itself or its address', () => {
    expect(routerSteps('asus', wish, '192.168.50.1').url).toBe(
      'http://192.168.50.1/Advanced_VirtualServer_Content.asp',
    )
    expect(routerSteps('openwrt', wish, '192.168.1.1', 'https://192.168.1.1:8443/foo/').url).toBe(
      'https://192.168.1.1:8443/cgi-bin/luci/admin/network/firewall/forwards',
    )
    expect(routerSteps('generic', wish, '192.168.1.1', 'javascript:alert(1)').url).toBe('http://192.168.1.1/')
  })

  for (const maker of makers)
    it(`${maker}: every field, path and note is there in both languages, and the rule is in it`, () => {
      const steps = routerSteps(
        maker,
        { ...wish, allow: [parseCidr('10.0.0.0/8'), parseCidr('11.0.0.0/8')] },
        '192.168.0.1',
      )
      const words = [steps.path, ...steps.notes, ...steps.rows.flat().map(({ label }) => label)]
      for (const { en, ko } of words) expect([en.length > 0, ko.length > 0]).toEqual([true, true])
      const text = stepLines(steps)
        .map(({ en }) => en)
        .join('\n')
      for (const part of ['8888', '192.168.0.10', 'allow-list']) expect(text).toContain(part)
    })

  it('the maker is known by what a router’s description says', () => {
    const known = [
      ['ASUSTeK Computer Inc.', 'RT-AX86U', 'asus'],
      ['OpenWrt', 'router', 'openwrt'],
      ['Ubiquiti Networks', 'UDM', 'unifi'],
      ['TP-Link', 'Archer C7', 'tp-link'],
      ['EFM Networks', 'ipTIME A8004T', 'iptime'],
      ['AVM Berlin', 'FRITZ!Box 7590', 'fritzbox'],
      ['MiniUPnP', 'pfSense', 'pfsense'],
      [null, null, 'generic'],
    ] as const
    for (const [maker, model, is] of known) expect(makerOf({ maker, model })).toBe(is)
  })
})
