// Gears of a model compiled with dynamic batch, image size or dims: which there are, and which one fits given shapes.
import type { TensorSpec } from '../../contract/device.ts'
import { AppError } from '../../contract/errors/index.ts'
import { DYNAMIC_GEAR_INPUT } from './constants.ts'
import type { Out } from './library.ts'
import type { ModelDesc } from './pointers.ts'
import type { AclRuntime } from './runtime.ts'
import { BATCH_BYTES, decodeBatch, decodeHw, decodeIoDims, HW_BYTES, IO_DIMS_BYTES } from './structs.ts'

export interface Gears {
  kind: 'batch' | 'image' | 'dims'
  /** Position of the helper input. */
  inputIndex: number
  /** One entry per gear: [batch], [height, width], or all axes of all inputs in order. */
  values: number[][]
}

export interface Gear {
  value: number[]
  /** Concrete shape per input. */
  shapes: number[][]
}

/** The index that dynamic queries take for "the model" (ACL headers: (size_t)-1). */
const WHOLE_MODEL = 0xffff_ffff_ffff_ffffn

/** Reads the gears of a model that has the helper input. @throws E_DEVICE_CALL when the model states none */
export function describeGears(runtime: AclRuntime, desc: ModelDesc, inputs: TensorSpec[]): Gears {
  const { fn } = runtime
  const total = Number(fn.aclmdlGetNumInputs(desc))
  const names = Array.from({ length: total }, (_, index) => fn.aclmdlGetInputNameByIndex(desc, index))
  const inputIndex = names.indexOf(DYNAMIC_GEAR_INPUT)
  const batch = Buffer.alloc(BATCH_BYTES)
  runtime.check('aclmdlGetDynamicBatch', fn.aclmdlGetDynamicBatch(desc, batch))
  const batches = decodeBatch(batch)
  if (batches.length > 0) return { kind: 'batch', inputIndex, values: batches.map((size) => [size]) }
  const hw = Buffer.alloc(HW_BYTES)
  runtime.check('aclmdlGetDynamicHW', fn.aclmdlGetDynamicHW(desc, WHOLE_MODEL, hw))
  const sizes = decodeHw(hw)
  if (sizes.length > 0)
    return { kind: 'image', inputIndex, values: sizes.map(([height, width]) => [height, width]) }
  const count: Out<number> = [null]
  const status = fn.aclmdlGetInputDynamicGearCount(desc, WHOLE_MODEL, count)
  runtime.check('aclmdlGetInputDynamicGearCount', status)
  const gearCount = Number(count[0] ?? 0)
  const axes = inputs.reduce((sum, input) => sum + input.dims.length, 0)
  // ATC accepts at most 256 gears; the bound keeps a broken file from asking for all memory.
  if (gearCount < 1 || gearCount > 4096) {
    const reason = `the model has the input ${DYNAMIC_GEAR_INPUT} but states ${gearCount} gears`
    throw new AppError('E_DEVICE_CALL', {
      call: 'aclmdlGetInputDynamicGearCount',
      status: 0,
      name: 'ACL_SUCCESS',
      reason,
    })
  }
  const dims = Buffer.alloc(IO_DIMS_BYTES * gearCount)
  runtime.check('aclmdlGetInputDynamicDims', fn.aclmdlGetInputDynamicDims(desc, WHOLE_MODEL, dims, gearCount))
  const values = Array.from({ length: gearCount }, (_, gear) => decodeIoDims(dims, gear * IO_DIMS_BYTES).dims)
  return { kind: 'dims', inputIndex, values: values.filter((value) => value.length === axes) }
}

/** Concrete input shapes of one gear. */
function shapesOfGear(inputs: TensorSpec[], gears: Gears, value: number[]): number[][] {
  if (gears.kind === 'dims') {
    let at = 0
    return inputs.map((input) => value.slice(at, (at += input.dims.length)))
  }
  return inputs.map((input) => {
    let next = 0
    // Dynamic batch: one -1 per input. Dynamic image size: height then width of the image input.
    return input.dims.map((size) => (size === -1 ? (value[gears.kind === 'batch' ? 0 : next++] ?? -1) : size))
  })
}

/**
 * The gear whose shapes equal the given ones; inputs without a given shape match any. Without any given shape the
 * largest gear is taken, as the runtime does when no gear is set.
 * @throws E_DEVICE_INPUT_SHAPE
 */
export function findGear(
  path: string,
  inputs: TensorSpec[],
  gears: Gears,
  shapes: Readonly<Record<string, number[]>>,
): Gear {
  const elements = (all: number[][]) =>
    all.reduce((sum, dims) => sum + dims.reduce((total, size) => total * size, 1), 0)
  const candidates = gears.values
    .map((value) => ({ value, shapes: shapesOfGear(inputs, gears, value) }))
    .sort((left, right) => elements(right.shapes) - elements(left.shapes))
  const fits = (gear: Gear) =>
    inputs.every((input, index) => {
      const given = shapes[input.name]
      return given === undefined || given.join() === gear.shapes[index]?.join()
    })
  const gear = candidates.find(fits)
  if (gear) return gear
  const wrong = inputs.find((input) => shapes[input.name] !== undefined) ?? inputs[0]
  throw new AppError('E_DEVICE_INPUT_SHAPE', {
    path,
    input: wrong?.name ?? '',
    actual: wrong ? shapes[wrong.name] : [],
    expected: wrong?.dims ?? [],
    choices: candidates
      .map((candidate) => candidate.shapes.map((dims) => `[${dims.join(', ')}]`).join(' '))
      .join('; '),
  })
}
