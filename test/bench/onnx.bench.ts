// Figures of engine/onnx: memory of rewriting a 2 GB model, speed of opening and of shape inference.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { inferShapes, openModel } from '../../engine/onnx/index.ts'
import { makeLargeModel, rewriteInProcess } from '../fixtures/onnx-large.ts'

interface Metric {
  name: string
  value: number
  unit: string
  target?: string
  ok?: boolean
}

const RSS_LIMIT_MIB = 300

function rewrite(name: string, weightBytes: number, where: 'inline' | 'external'): Metric[] {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-bench-'))
  try {
    const source = makeLargeModel(folder, weightBytes, where)
    const start = performance.now()
    const { peakRssMiB, bytes } = rewriteInProcess(source, path.join(folder, 'rewritten.onnx'))
    const seconds = (performance.now() - start) / 1000
    return [
      {
        name: `onnx.${name}_rss`,
        value: peakRssMiB,
        unit: 'MiB',
        target: `<= ${RSS_LIMIT_MIB}`,
        ok: peakRssMiB <= RSS_LIMIT_MIB,
      },
      { name: `onnx.${name}_speed`, value: bytes / 2 ** 20 / seconds, unit: 'MiB/s' },
    ]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function median(repeats: number, work: () => void): number {
  const times = Array.from({ length: repeats }, () => {
    const start = performance.now()
    work()
    return performance.now() - start
  })
  return times.sort((a, b) => a - b)[Math.floor(repeats / 2)]!
}

/** @returns the metrics of this area */
export async function run(): Promise<Metric[]> {
  const sample = path.resolve(import.meta.dirname, '../../resources/samples/sprite-diffusion/unet.onnx')
  const model = openModel(sample)
  return [
    ...rewrite('rewrite_2gb', 2.1e9, 'external'),
    ...rewrite('rewrite_2gb_inline', 1.9e9, 'inline'),
    { name: 'onnx.open_unet', value: median(9, () => openModel(sample)), unit: 'ms' },
    { name: 'onnx.infer_unet', value: median(9, () => inferShapes(model)), unit: 'ms' },
  ]
}
