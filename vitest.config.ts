import { defineConfig } from 'vitest/config'

/**
 * What holds a figure of time or of a share against a bound, and what looks at the whole machine: alone, or whatever
 * else runs would be measured too.
 */
const alone = [
  'test/journeys/rule-memory.test.ts',
  'test/journeys/{balance,doctor}.test.ts',
  'test/lab/{offload,offload-word,router-figures,router-rate}.test.ts',
  'test/web/crowd.test.ts',
]

export default defineConfig({
  test: {
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // A second is nothing on a busy machine.
    expect: { poll: { timeout: 10_000 } },
    pool: 'forks',
    maxWorkers: 2,
    coverage: { provider: 'v8', include: ['src/**'], reporter: ['text-summary', 'json-summary'] },
    projects: [
      { extends: true, test: { name: 'unit', include: ['src/**/*.test.ts'] } },
      // Networks, firewalls and machines of their own: they wait more than they work, so there are more of them than cores.
      {
        extends: true,
        test: {
          name: 'lab',
          include: ['test/**/*.test.ts'],
          exclude: alone,
          maxWorkers: 3,
          testTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: alone,
          fileParallelism: false,
          testTimeout: 60_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
