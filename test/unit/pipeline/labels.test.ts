// What the quantized side of a comparison is called.
import { expect, it } from 'vitest'
import type { LayerReport } from '../../../contract/quantization.ts'
import type { LayerPrecision } from '../../../contract/recipe.ts'
import { candidateLabel, labelInFileName } from '../../../engine/pipeline/assemble.ts'

const layers = (...precisions: LayerPrecision[]): { layers: LayerReport[] } => ({
  layers: precisions.map((precision, index) => ({
    name: `layer${index}`,
    opType: 'Conv',
    quantized: precision !== 'fp16' && precision !== 'float',
    precision,
  })),
})

it.each<[LayerPrecision[], string]>([
  [['int8', 'int8'], 'INT8'],
  [['int8', 'fp16', 'float'], 'INT8'],
  [['w4a8', 'w4a8', 'fp16'], 'W4A8'],
  [['w8a16'], 'W8A16'],
  [['w4a16'], 'W4A16'],
  [['int8', 'w8a16', 'int8'], 'INT8 mixed'],
  [['int8', 'w4a8', 'w4a8'], 'W4A8 mixed'],
])('%j is called %s', (precisions, label) => {
  expect(candidateLabel(layers(...precisions))).toBe(label)
  expect(candidateLabel(layers(...precisions), 'host')).toBe(`${label} (host CPU)`)
})

it('a label becomes part of a file name', () => {
  expect(labelInFileName('W4A8 mixed')).toBe('w4a8_mixed')
})
