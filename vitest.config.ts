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
    // What hangs ends; what takes a second alone takes ten where a dozen others want the two cores.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // A second is nothing on a busy machine.
    expect: { poll: { timeout: 10_000 } },
    pool: 'forks',
    maxWorkers: 2,
    coverage: { provider: 'v8', include: ['src/**'], reporter: ['text-summary', 'json-summary'] },
    projects: [
      // Each worker loads the sources once for all of its files, which was more than a third of its work: so a test leaves
      // nothing behind in its process, and what it spies on is given back before the next one. Half of the time is waiting
      // for real sockets, so there are twice as many of them as cores.
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts'],
          isolate: false,
          restoreMocks: true,
          maxWorkers: 4,
        },
      },
      // Networks, firewalls and machines of their own: they wait more than they work, so there are more of them than cores.
      {
        extends: true,
        test: {
          name: 'lab',
          include: ['test/**/*.test.ts'],
          exclude: alone,
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: alone,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
