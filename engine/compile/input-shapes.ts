// The shapes a model is compiled for: fixed ones, or a list of gears for inputs with -1 dimensions.
import { AppError } from '../../contract/errors/index.ts'
import type { OmGears } from '../../contract/om.ts'
import { nearestNames } from '../common/nearest.ts'
import type { Model, ValueInfo } from '../onnx/index.ts'

export interface ShapePlan {
  /** Declared dimensions by input; -1 follows the gear. */
  declared: Record<string, number[]>
  /** Concrete shapes per gear; exactly one entry for a static model. */
  gearShapes: Record<string, number[]>[]
  gears: OmGears | null
}

const DYNAMIC = -1
/** Limits of ATC for --dynamic_batch_size, --dynamic_image_size and --dynamic_dims. */
const MIN_GEARS = 2
const MAX_GEARS = 100
const MAX_BATCH = 2048

function modelDims(info: ValueInfo): (number | string | null)[] | null {
  return info.shape?.map((dimension) => dimension.value ?? dimension.symbol ?? null) ?? null
}

const shapeText = (dims: readonly (number | string | null)[] | null): string =>
  dims ? `[${dims.map((dim) => dim ?? '?').join(', ')}]` : 'unknown'

/** The model's sizes with the given ones put in. @throws E_COMPILE_SHAPE_MISMATCH */
function merge(
  info: ValueInfo,
  given: readonly number[] | undefined,
  path: string,
): (number | string | null)[] | null {
  const dims = modelDims(info)
  if (!given) return dims
  const fits =
    dims === null ||
    (dims.length === given.length &&
      dims.every((dim, axis) => typeof dim !== 'number' || dim === given[axis] || given[axis] === DYNAMIC))
  if (fits && given.every((size) => Number.isSafeInteger(size) && (size > 0 || size === DYNAMIC)))
    return [...given]
  throw new AppError('E_COMPILE_SHAPE_MISMATCH', {
    path,
    input: info.name,
    actual: shapeText(dims),
    given: shapeText(given),
  })
}

function gearError(path: string, reason: string, expected: string): AppError {
  return new AppError('E_COMPILE_GEARS', { path, reason, expected })
}

function checkGearCount(gears: OmGears, path: string): void {
  const rows = gears.values.map((row) => (typeof row === 'number' ? [row] : row))
  if (rows.length < MIN_GEARS || rows.length > MAX_GEARS) {
    throw gearError(path, `${rows.length} gears are given`, `Give ${MIN_GEARS} to ${MAX_GEARS} gears.`)
  }
  if (new Set(rows.map((row) => row.join(','))).size < rows.length) {
    throw gearError(path, 'a gear is given twice', 'Give each gear once.')
  }
  const limit = gears.kind === 'batch' ? MAX_BATCH : Number.MAX_SAFE_INTEGER
  const bad = rows.flat().find((size) => !Number.isSafeInteger(size) || size < 1 || size > limit)
  if (bad !== undefined) throw gearError(path, `a gear holds ${bad}`, `Sizes go from 1 to ${limit}.`)
}

/** Axes of an input that are -1, in order. */
function dynamicAxes(dims: readonly number[]): number[] {
  return dims.flatMap((dim, axis) => (dim === DYNAMIC ? [axis] : []))
}

function checkAxes(declared: Record<string, number[]>, gears: OmGears, path: string): void {
  for (const [input, dims] of Object.entries(declared)) {
    const axes = dynamicAxes(dims)
    if (axes.length === 0) continue
    const fits =
      gears.kind === 'dims' ||
      (gears.kind === 'batch' ? axes.join() === '0' : dims.length === 4 && axes.join() === '2,3')
    if (fits) continue
    const wanted = gears.kind === 'batch' ? 'only the first dimension' : 'height and width of an NCHW input'
    throw gearError(path, `input "${input}" is ${shapeText(dims)}`, `With these gears ${wanted} may be -1.`)
  }
}

function shapesOfGear(
  declared: Record<string, number[]>,
  gear: number | readonly number[],
  kind: OmGears['kind'],
) {
  const row = typeof gear === 'number' ? [gear] : gear
  let next = 0
  const take = (axisOfInput: number): number => {
    if (kind === 'batch') return row[0]!
    return kind === 'image' ? row[axisOfInput]! : row[next++]!
  }
  return Object.fromEntries(
    Object.entries(declared).map(([input, dims]) => {
      let position = 0
      return [input, dims.map((dim) => (dim === DYNAMIC ? take(position++) : dim))]
    }),
  )
}

function planGears(declared: Record<string, number[]>, gears: OmGears, path: string): ShapePlan {
  checkGearCount(gears, path)
  checkAxes(declared, gears, path)
  const count = Object.values(declared).reduce((sum, dims) => sum + dynamicAxes(dims).length, 0)
  if (count === 0)
    throw gearError(path, 'gears are given but no input has a -1', 'Write -1 in --input-shape.')
  const wrong = gears.kind === 'dims' ? gears.values.find((row) => row.length !== count) : undefined
  if (wrong) throw gearError(path, `a gear has ${wrong.length} values`, `Give ${count}, one for each -1.`)
  const gearShapes = gears.values.map((gear) => shapesOfGear(declared, gear, gears.kind))
  return { declared, gearShapes, gears }
}

/** Sizes that a symbol has in inputs whose shape is given: they hold for the other inputs too. */
function boundSymbols(model: Model, given: Readonly<Record<string, readonly number[]>>): Map<string, number> {
  const bound = new Map<string, number>()
  for (const info of model.graph.inputs) {
    const sizes = given[info.name]
    info.shape?.forEach((dimension, axis) => {
      const size = sizes?.[axis]
      if (dimension.symbol !== undefined && size !== undefined) bound.set(dimension.symbol, size)
    })
  }
  return bound
}

/**
 * Fixes every input dimension.
 * @throws E_COMPILE_UNKNOWN_INPUT, E_COMPILE_SHAPE_MISMATCH, E_COMPILE_INPUT_SHAPE with the option to give, E_COMPILE_GEARS
 */
export function planShapes(
  model: Model,
  given: Readonly<Record<string, readonly number[]>>,
  gears: OmGears | null,
  path: string,
): ShapePlan {
  const names = model.graph.inputs.map((info) => info.name)
  for (const input of Object.keys(given)) {
    if (!names.includes(input)) {
      const suggestions = nearestNames(names, input)
      throw new AppError('E_COMPILE_UNKNOWN_INPUT', { path, input, suggestions })
    }
  }
  const symbols = boundSymbols(model, given)
  const declared: Record<string, number[]> = {}
  for (const info of model.graph.inputs) {
    const dims = merge(info, given[info.name], path)
    const sizes = dims?.map((dim) => (typeof dim === 'string' ? (symbols.get(dim) ?? null) : dim))
    if (
      sizes &&
      sizes.every(
        (size): size is number => size !== null && (size > 0 || (gears !== null && size === DYNAMIC)),
      )
    ) {
      declared[info.name] = sizes
      continue
    }
    const option = `${info.name}:${sizes ? sizes.map((size) => (size && size > 0 ? size : 1)).join(',') : '1,...'}`
    throw new AppError('E_COMPILE_INPUT_SHAPE', { path, input: info.name, shape: shapeText(dims), option })
  }
  return gears ? planGears(declared, gears, path) : { declared, gearShapes: [declared], gears: null }
}
