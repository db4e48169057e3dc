// What the product itself writes for ATC passes its own linter; what it writes for ONNX Runtime does not.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { defaultRecipe } from '../../../contract/recipe.ts'
import { lintModelFile } from '../../../engine/pipeline/lint-model.ts'
import { DataType, openModel } from '../../../engine/onnx/index.ts'
import { quantizeModel } from '../../../engine/quantization/index.ts'

const SAMPLES = path.resolve(import.meta.dirname, '../../../resources/samples')
const folder = mkdtempSync(path.join(tmpdir(), 'lint-samples-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** One sample of zeros, or of ones for tokens: the linter looks at the form, not at the quality. */
function calibration(modelPath: string, name: string): string {
  const data = path.join(folder, `${name}_data`)
  for (const input of openModel(modelPath).graph.inputs) {
    mkdirSync(path.join(data, input.name), { recursive: true })
    const count = (input.shape ?? []).reduce((product, dim) => product * (dim.value ?? 1), 1)
    const tokens = input.elementType === DataType.INT64
    const values = tokens ? new BigInt64Array(count).fill(1n) : new Float32Array(count).fill(0.5)
    writeFileSync(path.join(data, input.name, '0.bin'), values)
  }
  const inputs = openModel(modelPath).graph.inputs
  return inputs.length === 1 ? path.join(data, inputs[0]?.name ?? '') : data
}

describe.each([
  'sprite-diffusion/unet.onnx',
  'sprite-diffusion/text_encoder.onnx',
  'sprite-diffusion/image_encoder.onnx',
  'tiny-lm/lm.onnx',
])('%s', (sample) => {
  it('has a clean deploy model', async () => {
    const modelPath = path.join(SAMPLES, sample)
    const name = path.basename(sample, '.onnx')
    const { deployPath, fakeQuantPath } = await quantizeModel({
      modelPath,
      recipe: defaultRecipe,
      dataset: { folder: calibration(modelPath, name) },
      outputPrefix: path.join(folder, name),
    })
    const report = lintModelFile({ modelPath: deployPath })
    expect(report.findings.filter((finding) => finding.severity !== 'info')).toEqual([])
    expect(report.command[0]).toBe('atc')
    expect(report.command).toContain('--framework=5')
    expect(report.command).toContain('--soc_version=Ascend310P3')
    expect(report.command.join(' ')).toMatch(/--input_shape=\w+:-1,/)
    expect(report.command.join(' ')).not.toContain('precision_mode')

    const twin = lintModelFile({ modelPath: fakeQuantPath })
    expect(twin.counts.error).toBeGreaterThan(0)
    expect(new Set(twin.findings.filter((f) => f.severity === 'error').map((f) => f.code))).toEqual(
      new Set(['qdq_nodes']),
    )
  })
})
