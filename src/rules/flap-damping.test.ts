import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FlapDamping, dampingMs } from './flap-damping.ts'

/** What is told when a look comes each second and sees what `pattern` says: `x` is trouble, `.` is none. */
function told(pattern: string, everyMs = 1000): string[] {
  const calm = new FlapDamping<string>()
  return pattern.split('').flatMap((seen, at) => {
    const change = calm.see(seen === 'x' ? 'down' : null, at * everyMs)
    return change ? [`${at} ${change}`] : []
  })
}

describe('what is told of a hop', () => {
  it('is a fault at once, and its end when it has lasted', () => {
    expect(told('..xxxx........')).toEqual(['2 broke', '11 recovered'])
  })

  it('is one change of a fault that comes and goes', () => {
    expect(told('x.'.repeat(60))).toEqual(['0 broke'])
    expect(told('xxx...'.repeat(40))).toEqual(['0 broke'])
  })

  it('is its end again after a time that doubles with each relapse', () => {
    const trouble = 'x'.repeat(6)
    expect(told(`x${'.'.repeat(8)}${trouble}${'.'.repeat(12)}${trouble}${'.'.repeat(24)}`)).toEqual([
      '0 broke',
      '6 recovered',
      '11 broke',
      '25 recovered',
      '30 broke',
      '53 recovered',
    ])
  })

  it('names the newest trouble while it lasts', () => {
    const calm = new FlapDamping<string>()
    calm.see('refused', 0)
    expect(calm.see('silent', 1000)).toBeNull()
    expect(calm.told).toBe('silent')
    expect(calm.see(null, 2000)).toBeNull()
    expect([calm.told, calm.doubted]).toEqual(['silent', true])
  })

  it('never changes twice within the calm, whatever is seen', () => {
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { maxLength: 400 }),
        fc.integer({ min: 50, max: 4000 }),
        (looks, everyMs) => {
          const calm = new FlapDamping<string>()
          const changes = looks.flatMap((bad, at) =>
            calm.see(bad ? 'down' : null, at * everyMs) ? [at * everyMs] : [],
          )
          for (const [at, time] of changes.entries())
            if (at > 0) expect(time - (changes[at - 1] as number)).toBeGreaterThanOrEqual(dampingMs)
        },
      ),
    )
  })

  it('is the truth in the end: a fault that stays is told within the calm, an end that stays within a minute', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 200 }), fc.boolean(), (looks, last) => {
        const calm = new FlapDamping<string>()
        looks.forEach((bad, at) => calm.see(bad ? 'down' : null, at * 1000))
        const from = looks.length * 1000
        const until = last ? dampingMs : 60_000
        for (let at = from; at <= from + until; at += 1000) calm.see(last ? 'down' : null, at)
        expect(calm.told !== null).toBe(last)
      }),
    )
  })
})
