// A very small model, compiled for the simulator, that shows a device can really execute something.
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { WorkContext } from '../../contract/work.ts'
import { compileModel } from '../compile/index.ts'
import { DataType, makeModel, makeNode, saveModel, type Model } from '../onnx/index.ts'

const PROBE_SOC = 'Ascend310P3'

export interface ProbeModel {
  /** An .om for Ascend310P3. */
  path: string
  [Symbol.asyncDispose](): Promise<void>
}

function reluModel(): Model {
  const value = (name: string) => ({
    name,
    elementType: DataType.FLOAT,
    shape: [{ value: 1 }, { value: 16 }],
  })
  const relu = makeNode({ opType: 'Relu', name: 'relu', inputs: ['x'], outputs: ['y'] })
  return makeModel({ name: 'probe', nodes: [relu], inputs: [value('x')], outputs: [value('y')] })
}

/** Writes the probe to a temporary folder; disposing removes it. */
export async function probeModel(ctx: WorkContext = {}): Promise<ProbeModel> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'aqw-probe-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  try {
    const modelPath = path.join(folder, 'probe.onnx')
    const outputPath = path.join(folder, 'probe.om')
    saveModel(reluModel(), modelPath)
    await compileModel(
      { modelPath, soc: PROBE_SOC, precision: 'fp16', outputPath },
      ctx.signal ? { signal: ctx.signal } : {},
    )
    return {
      path: outputPath,
      [Symbol.asyncDispose]: async () => remove(),
    }
  } catch (error) {
    remove()
    throw error
  }
}
