// Figures of engine/compile: time and memory of compiling a large model, inspecting it, recovering it.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { compileModel, inspectOm, recoverOnnx } from '../../engine/compile/index.ts'
import { estimateGraph } from '../../engine/cost/index.ts'
import { openModel } from '../../engine/onnx/index.ts'
import { generateUnet } from '../../engine/pipeline/samples/index.ts'

interface Metric {
  name: string
  value: number
  unit: string
  target?: string
  ok?: boolean
}

const RSS_LIMIT_MIB = 400

/** About 215 M parameters: a Stable Diffusion U-Net of half the width. */
const SHAPE = {
  channels: [160, 320, 640, 640],
  layersPerBlock: 2,
  inputs: 'full' as const,
  size: 64,
  seed: 1,
}

/** Compiles in a process of its own, so that its peak memory can be told. */
function compileApart(model: string, output: string): { seconds: number; peakMiB: number } {
  const entry = path.resolve(import.meta.dirname, '../../engine/compile/index.ts')
  const memory = path.resolve(import.meta.dirname, '../../engine/common/memory.ts')
  const script = `
    const { compileModel } = await import(${JSON.stringify(entry)})
    const { peakResidentBytes } = await import(${JSON.stringify(memory)})
    const start = performance.now()
    await compileModel({ modelPath: ${JSON.stringify(model)}, soc: 'Ascend310P3', precision: 'fp16', outputPath: ${JSON.stringify(output)} })
    console.log(JSON.stringify({ seconds: (performance.now() - start) / 1000, peakMiB: peakResidentBytes() / 2 ** 20 }))`
  const text = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  return JSON.parse(text) as { seconds: number; peakMiB: number }
}

function milliseconds(repeats: number, work: () => void): number {
  const times = Array.from({ length: repeats }, () => {
    const start = performance.now()
    work()
    return performance.now() - start
  })
  return times.sort((a, b) => a - b)[Math.floor(repeats / 2)]!
}

export async function run(): Promise<Metric[]> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'compile-bench-'))
  try {
    const model = path.join(folder, 'unet.onnx')
    const om = path.join(folder, 'unet.om')
    await generateUnet({ ...SHAPE, output: model })
    const { seconds, peakMiB } = compileApart(model, om)
    const sample = path.resolve(import.meta.dirname, '../../resources/samples/sprite-diffusion/unet.onnx')
    const inputShapes = {
      sample_input_tensor: [1, 4, 64, 64],
      timestep: [1],
      encoder_hidden_states: [1, 8, 64],
    }
    const options = { soc: 'Ascend310P3', precision: 'fp16' as const, inputShapes }
    const start = performance.now()
    await compileModel({ modelPath: sample, outputPath: path.join(folder, 'sample.om'), ...options })
    const sampleMs = performance.now() - start
    const opened = openModel(sample)
    return [
      { name: 'compile.large_speed', value: statSync(om).size / 2 ** 20 / seconds, unit: 'MiB/s' },
      {
        name: 'compile.large_rss',
        value: peakMiB,
        unit: 'MiB',
        target: `<= ${RSS_LIMIT_MIB}`,
        ok: peakMiB <= RSS_LIMIT_MIB,
      },
      { name: 'compile.sample_unet', value: sampleMs, unit: 'ms' },
      { name: 'compile.inspect', value: milliseconds(5, () => inspectOm(om)), unit: 'ms' },
      { name: 'compile.recover', value: milliseconds(3, () => recoverOnnx(om)), unit: 'ms' },
      { name: 'compile.estimate', value: milliseconds(5, () => estimateGraph(opened, options)), unit: 'ms' },
    ]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
