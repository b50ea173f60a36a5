/** What a router sends over HTTP and SSDP, read within bounds. */
import { assert, constantFrom, array, property, string } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { description } from '../../../test/fakes/router.ts'
import { escapeXml } from '../../base/xml.ts'
import { parseDescription } from './description.ts'
import { parseSoapAnswer, soapRequest } from './soap.ts'
import { parseNotice, parseSearchAnswer, searchRequest } from './ssdp.ts'
import { parseXml, textOf } from './xml.ts'

const location = new URL('http://192.168.0.1:5000/rootDesc.xml')

describe('XML', () => {
  it('takes no document type, no entity, no depth and no crowd', () => {
    expect(parseXml('<!DOCTYPE a><a/>')).toBeUndefined()
    expect(parseXml('<a><!ENTITY x "y"></a>')).toBeUndefined()
    expect(parseXml('<a>'.repeat(30) + '</a>'.repeat(30))).toBeUndefined()
    expect(parseXml(`<a>${'<b/>'.repeat(9000)}</a>`)).toBeUndefined()
    expect(parseXml(`<a>${'x'.repeat(300_000)}</a>`)).toBeUndefined()
  })

  it('resolves its own five references and characters, nothing else', () => {
    expect(textOf(parseXml('<a>&lt;&#65;&#x42;&amp;lt;&foo;</a>'), 'a')).toBe('<AB&lt;&foo;')
  })

  it('reads back any text that was escaped', () => {
    assert(
      property(string({ unit: 'grapheme', maxLength: 200 }), (text) => {
        // Control characters are no text in XML; what turns the writing around is read as a space.
        const clean = text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '').trim()
        const read = textOf(parseXml(`<a>${escapeXml(clean)}</a>`), 'a')
        expect(read ?? '').toBe(clean)
      }),
    )
  })

  it('whatever stands there, nothing is thrown', () => {
    const parts = constantFrom(
      '<',
      '>',
      '/',
      '<a>',
      '</a>',
      '<a',
      '="',
      '&',
      ';',
      '<![CDATA[',
      ']]>',
      '<!--',
      '-->',
      '<?',
      '?>',
      'x',
      ' ',
      '\0',
    )
    assert(property(array(parts, { maxLength: 60 }), (pieces) => void parseXml(pieces.join(''))))
  })

  it('a name of JavaScript’s own is only a name', () => {
    expect(textOf(parseXml('<constructor>1</constructor>'), 'toString')).toBeNull()
  })
})

describe('SOAP', () => {
  it('is written as the specification has it, the action quoted, the text escaped', () => {
    const { body, headers } = soapRequest('urn:x:service:WANIPConnection:1', 'DeletePortMapping', [
      ['NewRemoteHost', ''],
      ['NewExternalPort', 8888],
      ['NewDescription', '<a> & "b"'],
    ])
    expect(headers.SOAPAction).toBe('"urn:x:service:WANIPConnection:1#DeletePortMapping"')
    expect(body).toContain(
      '<u:DeletePortMapping xmlns:u="urn:x:service:WANIPConnection:1"><NewRemoteHost></NewRemoteHost>' +
        '<NewExternalPort>8888</NewExternalPort><NewDescription>&lt;a&gt; &amp; &quot;b&quot;</NewDescription></u:DeletePortMapping>',
    )
  })

  it('an answer to another action is none', () => {
    const text =
      '<Envelope><Body><GetStatusInfoResponse><NewUptime>7</NewUptime></GetStatusInfoResponse></Body></Envelope>'
    expect(parseSoapAnswer(text, 'GetStatusInfo')).toMatchObject({ ok: true })
    expect(parseSoapAnswer(text, 'AddPortMapping')).toBeUndefined()
  })
})

describe('descriptions', () => {
  it('tell maker, model, page and the best service', () => {
    expect(parseDescription(description(2), location)).toMatchObject({
      maker: 'ASUSTeK',
      model: 'RT-FAKE',
      presentationUrl: 'http://192.168.50.1/',
      connections: [{ version: 2, controlPort: 5000, controlPath: '/ctl' }],
    })
  })

  it('a control address on another host is only its path', () => {
    const text = description(1).replace('/ctl', 'http://evil.example:81/x?y=1')
    expect(parseDescription(text, location)?.connections).toMatchObject([
      { controlPort: 81, controlPath: '/x?y=1' },
    ])
  })

  it('WANIP:2 comes before WANIP:1 before WANPPP before the names of before', () => {
    const services = [
      'urn:dslforum-org:service:WANPPPConnection:1',
      'urn:schemas-upnp-org:service:WANPPPConnection:1',
      'urn:schemas-upnp-org:service:WANIPConnection:1',
      'urn:schemas-upnp-org:service:WANIPConnection:2',
    ]
    const list = services.map(
      (type) => `<service><serviceType>${type}</serviceType><controlURL>/c</controlURL></service>`,
    )
    const text = `<root><device><UDN>u</UDN><serviceList>${list.join('')}</serviceList></device></root>`
    expect(parseDescription(text, location)?.connections.map(({ type }) => type)).toEqual(
      services.toReversed(),
    )
  })
})

describe('SSDP', () => {
  it('asks the group with a delay, one host without', () => {
    expect(Buffer.from(searchRequest('ssdp:all', '239.255.255.250:1900', 2)).toString()).toBe(
      'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 2\r\nST: ssdp:all\r\nUSER-AGENT: Naru/1 UPnP/1.1\r\n\r\n',
    )
    expect(Buffer.from(searchRequest('ssdp:all', '192.168.0.1:1900', null)).toString()).not.toContain('MX')
  })

  it('reads answers and announcements, and only those', () => {
    const answer = Buffer.from(
      'HTTP/1.1 200 OK\r\nst: x\r\nLocation: http://192.168.0.1:5000/d.xml\r\nBOOTID.UPNP.ORG: 7\r\n\r\n',
    )
    expect(parseSearchAnswer(answer)).toMatchObject({ target: 'x', bootId: 7, location: { port: '5000' } })
    expect(parseSearchAnswer(Buffer.from('HTTP/1.1 200 OK\r\nLOCATION: https://a/\r\n\r\n'))).toBeUndefined()
    expect(
      parseSearchAnswer(Buffer.from('HTTP/1.1 200 OK\r\nLOCATION: file:///etc/passwd\r\n\r\n')),
    ).toBeUndefined()
    expect(parseNotice(answer)).toBeUndefined()
    expect(parseNotice(Buffer.from('NOTIFY * HTTP/1.1\r\nNTS: ssdp:byebye\r\nNT: x\r\n\r\n'))).toEqual({
      kind: 'ssdp:byebye',
      target: 'x',
    })
  })
})
