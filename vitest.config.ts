// Test projects: unit (pure), integration (real libraries, files, processes), e2e (real Chromium).
import { defineConfig } from 'vitest/config'

const project = (name: string, include: string[], testTimeout: number, more: object = {}) => ({
  test: { name, include, testTimeout, hookTimeout: testTimeout, pool: 'forks' as const, ...more },
})
// One at a time, because each has a browser; the window is built before the first.
const browserTests = { fileParallelism: false, globalSetup: ['test/e2e/support/global-setup.ts'] }

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      project('unit', ['test/unit/**/*.test.ts'], 20_000),
      project('integration', ['test/integration/**/*.test.ts'], 120_000),
      project('e2e', ['test/e2e/**/*.test.ts'], 240_000, browserTests),
    ],
  },
})
