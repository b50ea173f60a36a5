import { describe, expect, it } from 'vitest'
import { dotsOfTerminal, readQr } from '../../test/qr-reader.ts'
import { qrCode, qrText } from './qr.ts'

/** Read back by another program (jsQR) when it was written down. */
const golden = `1111111011000010001111111
1000001000000000001000001
1011101010011111001011101
1011101011010100001011101
1011101011110101001011101
1000001001001000001000001
1111111010101010101111111
0000000001010011000000000
1111001010000000010011101
0010100101000110010000010
0110011010000010110010000
0101000100011100111101100
0011101011010101101110111
0100000011110101011010001
0100111101101100011110110
1011010011001001000001001
0011101001010110111111111
0000000011101011100010001
1111111000111000101011111
1000001000001010100010010
1011101001110000111110001
1011101010101111101110111
1011101010111011101011110
1000001011011100000010100
1111111011011101001111111`

describe('a QR code', () => {
  it('of a link is the one that readers know', () => {
    const code = qrCode('http://203.0.113.5:8888/')
    expect(code.map((row) => row.map(Number).join('')).join('\n')).toBe(golden)
  })

  it('of any length is read back from a terminal, module by module', () => {
    for (let length = 1; length <= 230; length += 3) {
      const text = Array.from({ length }, (_, at) => String.fromCharCode(33 + ((at * 7 + length) % 90))).join(
        '',
      )
      expect(readQr(dotsOfTerminal(qrText(text)))).toBe(text)
    }
  })

  it('grows with the text, up to 230 bytes', () => {
    expect([1, 17, 18, 53, 230].map((length) => qrCode('x'.repeat(length)).length)).toEqual([
      21, 21, 25, 29, 53,
    ])
    expect(() => qrCode('x'.repeat(231))).toThrow('230 bytes')
  })

  it('is drawn with a quiet zone of four modules', () => {
    const lines = qrText('naru').split('\n')
    expect(new Set(lines.map(({ length }) => length))).toEqual(new Set([29]))
    expect(lines[0]).toBe('█'.repeat(29))
  })
})
