/**
 * Mutated answers against every parser that meets a router's bytes: nothing is thrown, nothing hangs, nothing grows.
 * A few hundred thousand by default; NARU_FUZZ=20 makes it twenty times as many, and tells what they cost.
 */
import { describe, expect, it } from 'vitest'
import { description } from '../../fakes/router.ts'
import { parseAddressAnswer, parseMapAnswer as parsePmpMap } from '../../../src/routers/nat-pmp/codec.ts'
import {
  isNatPmpOnly,
  parseAnnounceAnswer,
  parseMapAnswer as parsePcpMap,
} from '../../../src/routers/pcp/codec.ts'
import { parseDescription } from '../../../src/routers/upnp/description.ts'
import { parseListing } from '../../../src/routers/upnp/listing.ts'
import { parseSoapAnswer } from '../../../src/routers/upnp/soap.ts'
import { parseNotice, parseSearchAnswer } from '../../../src/routers/upnp/ssdp.ts'

const times = Number(process.env.NARU_FUZZ ?? 1)
const location = new URL('http://192.168.0.1:5000/rootDesc.xml')
const wish = {
  nonce: Buffer.from('0102030405060708090a0b0c', 'hex'),
  protocol: 'tcp',
  internalPort: 80,
  externalPort: 8888,
  externalAddress: null,
  preferFailure: false,
  filters: [],
  thirdParty: null,
} as const

/** xorshift32: the same mutations on every run. */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

const interesting = [
  '<',
  '>',
  '&',
  '&#x0;',
  '<!DOCTYPE a [',
  ']]>',
  '<![CDATA[',
  '<a>',
  '</root>',
  '\0',
  '"',
  '\r\n\r\n',
  '__proto__',
  '-1',
  '999999999999',
  '<?xml',
  '<!--',
  ':',
]

/** One to eight changes: a bit, a byte, a cut, a doubling, a token that means something to somebody. */
function mutate(sample: Buffer, pick: (below: number) => number): Buffer {
  let bytes = Buffer.from(sample)
  for (let changes = 1 + pick(8); changes > 0 && bytes.length > 0; changes--) {
    const at = pick(bytes.length)
    switch (pick(6)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << pick(8))
        break
      case 1:
        bytes[at] = pick(256)
        break
      case 2:
        bytes = bytes.subarray(0, at)
        break
      case 3:
        bytes = Buffer.concat([bytes, bytes.subarray(at)]).subarray(0, 16_384)
        break
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + pick(40))])
        break
      default:
        bytes = Buffer.concat([
          bytes.subarray(0, at),
          Buffer.from(interesting[pick(interesting.length)] ?? ''),
          bytes.subarray(at),
        ])
    }
  }
  return bytes
}

interface Target {
  readonly samples: readonly Buffer[]
  readonly count: number
  readonly parse: (bytes: Buffer) => unknown
}

const soap = (inside: string): Buffer =>
  Buffer.from(`<?xml version="1.0"?><s:Envelope xmlns:s="x"><s:Body>${inside}</s:Body></s:Envelope>`)

const targets: Record<string, Target> = {
  'NAT-PMP and PCP': {
    samples: [
      Buffer.from('008000000000006 4cb007205'.replace(' ', ''), 'hex'),
      Buffer.from('008200000000006400502 2b800000e10'.replace(' ', ''), 'hex'),
      Buffer.from(
        `0281000000000e1000000064${'00'.repeat(12)}0102030405060708090a0b0c06000000005022b8${'00'.repeat(10)}ffffcb007205`,
        'hex',
      ),
      Buffer.from(`0280000000000e1000000064${'00'.repeat(12)}`, 'hex'),
    ],
    count: 200_000,
    parse: (bytes) => [
      parseAddressAnswer(bytes),
      parsePmpMap(bytes, 'tcp', 80),
      parsePcpMap(bytes, wish),
      parseAnnounceAnswer(bytes),
      isNatPmpOnly(bytes),
    ],
  },
  SSDP: {
    samples: [
      Buffer.from(
        `HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nUSN: uuid:a::b\r\nLOCATION: ${location.href}\r\nBOOTID.UPNP.ORG: 7\r\n\r\n`,
      ),
      Buffer.from(
        'NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNT: upnp:rootdevice\r\nNTS: ssdp:alive\r\n\r\n',
      ),
    ],
    count: 60_000,
    parse: (bytes) => [parseSearchAnswer(bytes), parseNotice(bytes)],
  },
  SOAP: {
    samples: [
      soap(
        '<u:GetExternalIPAddressResponse xmlns:u="u"><NewExternalIPAddress>203.0.114.7</NewExternalIPAddress></u:GetExternalIPAddressResponse>',
      ),
      soap(
        '<s:Fault><faultcode>s:Client</faultcode><detail><UPnPError><errorCode>718</errorCode></UPnPError></detail></s:Fault>',
      ),
    ],
    count: 40_000,
    parse: (bytes) => parseSoapAnswer(bytes.toString(), 'GetExternalIPAddress'),
  },
  lists: {
    samples: [
      Buffer.from(
        `<p:PortMappingList xmlns:p="u">${'<p:PortMappingEntry><p:NewExternalPort>8888</p:NewExternalPort><p:NewProtocol>TCP</p:NewProtocol><p:NewInternalPort>80</p:NewInternalPort><p:NewInternalClient>192.168.0.7</p:NewInternalClient><p:NewEnabled>1</p:NewEnabled><p:NewDescription>naru:a&amp;b</p:NewDescription><p:NewLeaseTime>60</p:NewLeaseTime></p:PortMappingEntry>'.repeat(2)}</p:PortMappingList>`,
      ),
    ],
    count: 20_000,
    parse: (bytes) => parseListing(bytes.toString()),
  },
  descriptions: {
    samples: [Buffer.from(description(2))],
    count: 10_000,
    parse: (bytes) => parseDescription(bytes.toString(), location),
  },
}

describe('mutated answers', () => {
  for (const [name, { samples, count, parse }] of Object.entries(targets))
    it(
      `${name}: ${count * times} of them throw nothing, hang nowhere and leave nothing behind`,
      { timeout: 60_000 * times },
      () => {
        const pick = random(0x5eed)
        let slowest = 0
        const before = process.memoryUsage()
        const began = performance.now()
        for (let round = 0; round < count * times; round++) {
          const bytes = mutate(samples[pick(samples.length)] ?? Buffer.alloc(0), pick)
          const started = performance.now()
          parse(bytes)
          slowest = Math.max(slowest, performance.now() - started)
        }
        // A pause of the machine is no hang; one input that takes seconds is.
        expect(slowest).toBeLessThan(2000)
        const after = process.memoryUsage()
        expect(after.heapUsed - before.heapUsed).toBeLessThan(256 * 1024 * 1024)
        if (times === 1) return
        const megabytes = (bytes: number): number => Math.round(bytes / 1024 / 1024)
        const seconds = Math.round((performance.now() - began) / 1000)
        process.stderr.write(
          `${name}: ${count * times} in ${seconds} s, slowest ${Math.round(slowest)} ms, ` +
            `heap ${megabytes(before.heapUsed)} → ${megabytes(after.heapUsed)} MB, ` +
            `resident ${megabytes(before.rss)} → ${megabytes(after.rss)} MB\n`,
        )
      },
    )
})
