// The packaging configuration fits electron-builder's own schema; packaging itself needs Electron's binary.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { expect, test } from 'vitest'

const root = path.join(import.meta.dirname, '..', '..', '..')
const require = createRequire(import.meta.url)

interface Validation {
  validateConfiguration(config: unknown, log: unknown): Promise<void>
}

async function validate(change: Record<string, unknown>): Promise<void> {
  const builder = createRequire(require.resolve('electron-builder/package.json'))
  const { validateConfiguration } = builder('app-builder-lib/out/util/config/config') as Validation
  const { DebugLogger } = builder('builder-util') as { DebugLogger: new (enabled: boolean) => unknown }
  const { load } = createRequire(builder.resolve('app-builder-lib/package.json'))('js-yaml') as {
    load(text: string): Record<string, unknown>
  }
  const config = load(readFileSync(path.join(root, 'electron-builder.yml'), 'utf8'))
  await validateConfiguration({ ...config, ...change }, new DebugLogger(false))
}

test('electron-builder accepts electron-builder.yml', async () => {
  await expect(validate({})).resolves.toBeUndefined()
})

test('the schema would notice a wrong key', async () => {
  await expect(validate({ bogusKey: 1 })).rejects.toThrow('bogusKey')
})
