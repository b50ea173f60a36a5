import { domainToASCII } from 'node:url'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { asciiName } from './target.ts'

it('a name in another script is what IDNA makes of it, and nothing where it makes none', () => {
  const part = fc.constantFrom(
    '나루',
    'ａ',
    'ß',
    'é',
    '。',
    '\u00ad',
    '\u200d',
    '.',
    '-',
    'xn--',
    '1',
    '%',
    '@',
    ':',
  )
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), (parts) => {
      const name = `나${parts.join('')}`
      expect(asciiName(name)).toBe(domainToASCII(name))
    }),
    { numRuns: 2000 },
  )
})
