// The layer rule: which imports are refused, and that the linter really runs it.
import { ESLint } from 'eslint'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { refusal } from '../../../eslint/layers.js'

const ROOT = path.resolve(import.meta.dirname, '../../..')

describe('layers', () => {
  it.each([
    ['contract/model.ts', 'contract/errors/index.ts'],
    ['engine/onnx/open.ts', 'contract/model.ts'],
    ['engine/quantization/plan.ts', 'engine/onnx/index.ts'],
    ['engine/device/acl-backend.ts', 'native/acl/index.ts'],
    ['native/acl/library.ts', 'contract/errors/index.ts'],
    ['engine/calibration/native.ts', 'native/observer/index.ts'],
    ['cli/commands/compare.ts', 'engine/pipeline/compare.ts'],
    ['electron/main.ts', 'engine/host/engine.ts'],
    ['renderer/main.ts', 'contract/rpc/index.ts'],
    ['engine/onnx/open.ts', 'engine/onnx/decode.ts'],
    ['scripts/demo.ts', 'cli/version.ts'],
  ])('allow %s to import %s', (from, to) => {
    expect(refusal(from, to)).toBeNull()
  })

  it.each([
    ['contract/model.ts', 'engine/onnx/index.ts', /contract must not import engine/],
    ['renderer/main.ts', 'engine/onnx/index.ts', /renderer must not import engine/],
    ['renderer/main.ts', 'native/acl/index.ts', /renderer must not import native\/acl/],
    ['engine/onnx/open.ts', 'cli/version.ts', /engine must not import cli/],
    ['engine/onnx/open.ts', 'electron/main.ts', /engine must not import electron/],
    ['cli/aqw.ts', 'electron/main.ts', /cli must not import electron/],
    ['cli/aqw.ts', 'native/acl/index.ts', /cli must not import native\/acl/],
    ['native/acl/library.ts', 'engine/onnx/index.ts', /native\/acl must not import engine/],
    ['engine/onnx/open.ts', 'engine/quantization/index.ts', /stands below/],
    ['engine/quantization/plan.ts', 'engine/workspace/index.ts', /stands below/],
    ['engine/pipeline/compare.ts', 'engine/jobs/index.ts', /stands below/],
    ['engine/compile/compile.ts', 'engine/calibration/index.ts', /must not know/],
    ['engine/benchmark/benchmark.ts', 'native/acl/index.ts', /only engine\/device/],
    ['engine/device/cpu-backend.ts', 'native/observer/index.ts', /only engine\/calibration/],
    ['cli/aqw.ts', 'native/observer/index.ts', /cli must not import native\/observer/],
    ['engine/unheard/index.ts', 'engine/onnx/index.ts', /not a known room/],
    ['engine/host/engine.ts', 'engine/unheard/index.ts', /not a known room/],
  ])('refuse %s importing %s', (from, to, reason) => {
    expect(refusal(from, to)).toMatch(reason)
  })

  it('are a lint error, in every form of import', async () => {
    const eslint = new ESLint({ cwd: ROOT })
    const filePath = path.join(ROOT, 'contract/model.ts')
    const code = [
      "import { openModel } from '../engine/onnx/index.ts'",
      "export * from '../cli/version.ts'",
      "export const late = import('../electron/main.ts')",
      'export { openModel }',
    ].join('\n')
    const [result] = await eslint.lintText(code, { filePath })
    const breaches = result?.messages.filter((message) => message.message.startsWith('Layer breach'))
    expect(breaches?.map((breach) => breach.line)).toEqual([1, 2, 3])
    expect(breaches?.every((breach) => breach.severity === 2)).toBe(true)
  }, 60_000)
})
