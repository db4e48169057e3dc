// Shape rules of elementwise operators, with folding of shape arithmetic.
import { DataType } from '../model.ts'
import { broadcast, foldableCount } from './context.ts'
import type { Dims, OpContext, ShapeRule, Values } from './context.ts'

const INTEGERS: ReadonlySet<DataType> = new Set<DataType>([
  DataType.INT64,
  DataType.INT32,
  DataType.INT16,
  DataType.INT8,
  DataType.UINT64,
  DataType.UINT32,
  DataType.UINT16,
  DataType.UINT8,
  DataType.BOOL,
])

export function isInteger(dataType: DataType): boolean {
  return INTEGERS.has(dataType)
}

type Fold = (...operands: number[]) => number

/** Position in a tensor of shape `dims` of the element that broadcasts to position `index` of `result`. */
function broadcastIndex(index: number, result: readonly number[], dims: readonly number[]): number {
  let rest = index
  let position = 0
  let stride = 1
  for (let axis = result.length - 1; axis >= 0; axis--) {
    const coordinate = rest % result[axis]!
    rest = Math.floor(rest / result[axis]!)
    const dim = dims[axis - result.length + dims.length] ?? 1
    if (dim !== 1) position += coordinate * stride
    stride *= dim
  }
  return position
}

/** Applies `fold` element by element when the operands' values are known; null elements stay null. */
function foldElements(context: OpContext, dims: Dims, fold: Fold): Values | undefined {
  const count = foldableCount(dims)
  if (!dims || count === null) return undefined
  const operands: { values: Values; dims: number[] }[] = []
  for (let input = 0; input < context.node.inputs.length; input++) {
    const values = context.values(input)
    const shape = context.dims(input)
    if (!values || !shape) return undefined
    operands.push({ values, dims: shape as number[] })
  }
  return Array.from({ length: count }, (_, index) => {
    const elements = operands.map(
      (operand) => operand.values[broadcastIndex(index, dims as number[], operand.dims)] ?? null,
    )
    return elements.includes(null) ? null : fold(...(elements as number[]))
  })
}

/** Output has type and shape of the first input. */
const sameAsFirst: ShapeRule = (context) => {
  context.set(0, context.type(0), context.dims(0))
}

function unary(fold: Fold): ShapeRule {
  return (context) => {
    const dims = context.dims(0)
    const values = context.node.inputs.length === 1 ? foldElements(context, dims, fold) : undefined
    context.set(0, context.type(0), dims, values)
  }
}

/** Any number of operands, broadcast together. */
function broadcasting(fold?: Fold, result?: DataType): ShapeRule {
  return (context) => {
    const dims = broadcast(context, operandShapes(context))
    context.set(0, result ?? context.type(0), dims, fold && foldElements(context, dims, fold))
  }
}

function operandShapes(context: OpContext): Dims[] {
  return context.node.inputs.map((_, index) => context.dims(index))
}

/** Integer division truncates towards zero, as in C++. */
const divide: ShapeRule = (context) => {
  const integer = isInteger(context.type(0))
  const fold: Fold = (a, b) => (integer ? (b === 0 ? 0 : Math.trunc(a / b)) : a / b)
  broadcasting(fold)(context)
}

/** Mod has the sign of the divisor, with fmod = 1 that of the dividend. */
const modulo: ShapeRule = (context) => {
  const fmod = context.int('fmod', 0) === 1
  broadcasting((a, b) => (b === 0 ? 0 : fmod ? a % b : a - b * Math.floor(a / b)))(context)
}

/** Where(condition, x, y). */
const where: ShapeRule = (context) => {
  const dims = broadcast(context, operandShapes(context))
  const values =
    foldWhere(context, dims) ?? foldElements(context, dims, (condition, x, y) => (condition ? x! : y!))
  context.set(0, context.type(1), dims, values)
}

/** A known condition selects elements even where the other side is unknown. */
function foldWhere(context: OpContext, dims: Dims): Values | undefined {
  const [condition, x, y] = [0, 1, 2].map((index) => context.values(index))
  const shapes = [0, 1, 2].map((index) => context.dims(index))
  const count = foldableCount(dims)
  if (!condition || !x || !y || !dims || count === null) return undefined
  const at = (values: Values, shape: Dims, index: number): number | null =>
    values[broadcastIndex(index, dims as number[], (shape ?? []) as number[])] ?? null
  return Array.from({ length: count }, (_, index) => {
    const chosen = at(condition, shapes[0]!, index)
    if (chosen === null) return null
    return chosen ? at(x, shapes[1]!, index) : at(y, shapes[2]!, index)
  })
}

function castValue(value: number, to: DataType): number {
  if (to === DataType.BOOL) return value === 0 ? 0 : 1
  return isInteger(to) ? Math.trunc(value) : value
}

function castTo(context: OpContext, to: DataType): void {
  const values = context.values(0)?.map((value) => (value === null ? null : castValue(value, to)))
  context.set(0, to, context.dims(0), values)
}

const toBool: ShapeRule = (context) => context.set(0, DataType.BOOL, context.dims(0))

/** Round half to even, as Round of ONNX. */
function roundEven(value: number): number {
  const rounded = Math.round(value)
  return Math.abs(value % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded
}

const SAME_AS_FIRST = [
  'Relu',
  'LeakyRelu',
  'PRelu',
  'Elu',
  'Selu',
  'Celu',
  'Sigmoid',
  'HardSigmoid',
  'HardSwish',
  'Tanh',
  'Sin',
  'Cos',
  'Tan',
  'Asin',
  'Acos',
  'Atan',
  'Sinh',
  'Cosh',
  'Asinh',
  'Acosh',
  'Atanh',
  'Exp',
  'Log',
  'Erf',
  'Sign',
  'Softplus',
  'Softsign',
  'Softmax',
  'LogSoftmax',
  'Hardmax',
  'Clip',
  'Gelu',
  'Mish',
  'ThresholdedRelu',
  'Shrink',
  'LpNormalization',
  'LRN',
  'MeanVarianceNormalization',
  'InstanceNormalization',
  'GroupNormalization',
  'CumSum',
  'Trilu',
  'BitwiseNot',
  'ReverseSequence',
  'Scatter',
  'ScatterElements',
  'ScatterND',
  'BitShift',
  'Bernoulli',
] as const

export const elementwiseRules: Readonly<Record<string, ShapeRule>> = {
  ...Object.fromEntries(SAME_AS_FIRST.map((opType) => [opType, sameAsFirst])),
  Identity: unary((value) => value),
  Abs: unary(Math.abs),
  Neg: unary((value) => -value),
  Ceil: unary(Math.ceil),
  Floor: unary(Math.floor),
  Round: unary(roundEven),
  Sqrt: unary(Math.sqrt),
  Reciprocal: unary((value) => 1 / value),
  Not: unary((value) => (value ? 0 : 1)),
  Add: broadcasting((a, b) => a! + b!),
  Sub: broadcasting((a, b) => a! - b!),
  Mul: broadcasting((a, b) => a! * b!),
  Div: divide,
  Mod: modulo,
  Pow: broadcasting((a, b) => a! ** b!),
  Min: broadcasting(Math.min),
  Max: broadcasting(Math.max),
  Sum: broadcasting((...operands) => operands.reduce((sum, value) => sum + value, 0)),
  Mean: broadcasting(),
  And: broadcasting((a, b) => (a && b ? 1 : 0), DataType.BOOL),
  Or: broadcasting((a, b) => (a || b ? 1 : 0), DataType.BOOL),
  Xor: broadcasting((a, b) => (!a !== !b ? 1 : 0), DataType.BOOL),
  BitwiseAnd: broadcasting(),
  BitwiseOr: broadcasting(),
  BitwiseXor: broadcasting(),
  Equal: broadcasting((a, b) => (a === b ? 1 : 0), DataType.BOOL),
  Greater: broadcasting((a, b) => (a! > b! ? 1 : 0), DataType.BOOL),
  Less: broadcasting((a, b) => (a! < b! ? 1 : 0), DataType.BOOL),
  GreaterOrEqual: broadcasting((a, b) => (a! >= b! ? 1 : 0), DataType.BOOL),
  LessOrEqual: broadcasting((a, b) => (a! <= b! ? 1 : 0), DataType.BOOL),
  IsNaN: toBool,
  IsInf: toBool,
  Where: where,
  Cast: (context) => castTo(context, context.int('to', DataType.UNDEFINED) as DataType),
  CastLike: (context) => castTo(context, context.type(1)),
}
