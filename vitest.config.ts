// Test projects: unit (pure), integration (real libraries, files, processes), e2e (real Chromium).
import { defineConfig } from 'vitest/config'

const project = (name: string, include: string[], testTimeout: number, fileParallelism = true) => ({
  test: { name, include, testTimeout, hookTimeout: testTimeout, pool: 'forks' as const, fileParallelism },
})

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      project('unit', ['test/unit/**/*.test.ts'], 20_000),
      project('integration', ['test/integration/**/*.test.ts'], 120_000),
      project('e2e', ['test/e2e/**/*.test.ts'], 240_000, false),
    ],
  },
})
