/** Pictures are drawn on demand, by `node scripts/screenshots.mjs`; they are no test of the suite. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: { include: ['test/web/screenshots.ts'], hookTimeout: 60_000, testTimeout: 60_000 },
})
