// Data stored with channels last for an input with channels first: declared, and turned around on load.
import { existsSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import { AppError } from '../../contract/errors/index.ts'
import type { DatasetSpec, ModelInput } from '../../contract/quantization.ts'
import type { SampleArray } from './element-types.ts'

/** What `aqw prepare` writes beside its bins. */
const preparedSchema = z.object({ layout: z.enum(['CHW', 'HWC']), input: z.string().optional() })
const SETTINGS_FILE = 'preparation.json'
const MAXIMUM_BYTES = 512 * 1024 * 1024

/** The layout a prepared folder declares itself; undefined for other folders. */
function preparedLayout(folder: string): z.infer<typeof preparedSchema> | undefined {
  const file = path.join(folder, SETTINGS_FILE)
  if (!existsSync(file)) return undefined
  try {
    if (statSync(file).size > MAXIMUM_BYTES) return undefined
    return preparedSchema.safeParse(JSON.parse(readFileSync(file, 'utf8'))).data
  } catch {
    // A file of this name that is something else declares nothing.
    return undefined
  }
}

/**
 * Inputs whose data lie with channels last: as the request says, else as the folder says for its picture inputs.
 * @throws E_CALIBRATION_INPUT_UNKNOWN, E_CALIBRATION_LAYOUT
 */
export function channelsLastInputs(
  { folder, layouts }: DatasetSpec,
  inputs: readonly ModelInput[],
): Set<string> {
  const known = inputs.map((input) => input.name)
  for (const name of Object.keys(layouts)) {
    if (!known.includes(name)) throw new AppError('E_CALIBRATION_INPUT_UNKNOWN', { input: name, known })
  }
  const prepared = preparedLayout(folder)
  return new Set(
    inputs
      .filter(({ name, dims }) => {
        const declared = layouts[name]
        if (declared === 'HWC' && dims.length !== 4) {
          throw new AppError('E_CALIBRATION_LAYOUT', { input: name, rank: dims.length, layout: declared })
        }
        if (declared !== undefined) return declared === 'HWC'
        const meant = prepared?.input === undefined ? inputs.length === 1 : prepared.input === name
        return prepared?.layout === 'HWC' && meant && dims.length === 4
      })
      .map(({ name }) => name),
  )
}

/** [N, H, W, C] as [N, C, H, W]; `dims` are those of the input. */
export function channelsFirst(data: SampleArray, dims: readonly number[]): SampleArray {
  const [batch = 1, channels = 1, height = 1, width = 1] = dims
  const area = height * width
  // Every class of a typed array takes its own kind of number, so that one loop serves them all.
  const source = data as unknown as number[]
  const target = data.slice() as unknown as number[]
  for (let sample = 0; sample < batch; sample++) {
    const start = sample * channels * area
    for (let channel = 0; channel < channels; channel++) {
      for (let pixel = 0; pixel < area; pixel++)
        target[start + channel * area + pixel] = source[start + pixel * channels + channel] as number
    }
  }
  return target as unknown as SampleArray
}
