/**
 * Harmed inputs for every parser: it throws nothing but our own errors, takes time by the length of what it reads, and
 * keeps nothing. A failure names seed and parser: `npm run fuzz -- --seed SEED NAME` does the same again.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { NaruError } from '../../src/base/errors.ts'
import { cpuMs } from '../cpu-time.ts'
import { mutated, randomFrom } from './mutate.ts'
import { parsers, type Parser } from './parsers.ts'

const seed = Number(process.env['NARU_FUZZ_SEED'] ?? Date.now() % 1_000_000_000)
const seconds = Number(process.env['NARU_FUZZ_SECONDS'] ?? 0.5)
const only = process.env['NARU_FUZZ_ONLY'] ?? ''

const longestInput = 65_536
/** Of CPU time: 2 s for 64 KiB, for which a quadratic regular expression takes 3 to 20 s. */
const budgetMs = (bytes: number): number => 60 + bytes * 0.03
const mostKeptBytes = 48 * 2 ** 20

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Null where all is well. */
function fault({ read }: Parser, bytes: Buffer): string | null {
  const once = (): void => {
    try {
      read(bytes)
    } catch (error) {
      if (!(error instanceof NaruError)) throw error
    }
  }
  try {
    // The compiler and the collector work on the same clock: the best of four counts.
    for (let tries = 0; tries < 4; tries++) if (cpuMs(once) <= budgetMs(bytes.length)) return null
    return 'takes too long'
  } catch (error) {
    return String((error as Error).stack ?? error)
  }
}

it.each(
  parsers.filter(({ name }) => only === '' || name === only).map((parser) => [parser.name, parser] as const),
)(
  'reads what was harmed: %s',
  (name, parser) => {
    const random = randomFrom(seed)
    const longest = parser.longest ?? longestInput
    for (const bytes of parser.seeds) expect([name, fault(parser, bytes)]).toEqual([name, null])
    collect()
    const before = process.memoryUsage().heapUsed
    const end = performance.now() + seconds * 1000
    for (let run = 0; performance.now() < end; run++) {
      const bytes = mutated(parser.seeds, random, longest)
      const found = fault(parser, bytes)
      if (found !== null) {
        const input = bytes.subarray(0, 2000).toString('base64')
        expect.fail(`${name}, seed ${seed}, run ${run}: ${found}\n${bytes.length} bytes, in base64: ${input}`)
      }
    }
    collect()
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(mostKeptBytes)
  },
  seconds * 1000 + 60_000,
)
