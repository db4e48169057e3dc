// Shape rules of reductions and selections: Reduce*, ArgMax, TopK, NonZero, OneHot, NonMaxSuppression.
import { DataType } from '../model.ts'
import { product } from './context.ts'
import type { Dim, OpContext, ShapeRule, Values } from './context.ts'

type Reducer = (values: readonly number[]) => number

function reduction(reducer?: Reducer): ShapeRule {
  return (context) => {
    const x = context.dims(0)
    const type = context.type(0)
    const keep = context.int('keepdims', 1) === 1
    const { given, values: axes } = context.intsOrInput('axes', 1)
    if (given && !axes) return context.set(0, type, keep && x ? x.map(() => null) : null)
    if ((!given || axes!.length === 0) && context.int('noop_with_empty_axes', 0) === 1) {
      return context.set(0, type, x, context.values(0))
    }
    if (!x) return context.set(0, type, given || keep ? null : [])
    const all = !given || axes!.length === 0
    const reduced = new Set(
      all ? x.map((_, axis) => axis) : axes!.map((axis) => context.axis(axis, x.length)),
    )
    const dims = x.flatMap((dim, axis): Dim[] => (!reduced.has(axis) ? [dim] : keep ? [1] : []))
    const known = reduced.size === x.length ? context.known(0) : undefined
    context.set(0, type, dims, known && reducer ? [reducer(known)] : undefined)
  }
}

const argument: ShapeRule = (context) => {
  const x = context.dims(0)
  if (!x) return context.set(0, DataType.INT64, null)
  const axis = context.axis(context.int('axis', 0), x.length)
  const keep = context.int('keepdims', 1) === 1
  context.set(
    0,
    DataType.INT64,
    x.flatMap((dim, index): Dim[] => (index !== axis ? [dim] : keep ? [1] : [])),
  )
}

const topK: ShapeRule = (context) => {
  const x = context.dims(0)
  const attribute = context.node.attributes.some((each) => each.name === 'k')
    ? context.int('k', 0)
    : undefined
  const count = attribute ?? context.values(1)?.[0] ?? null
  const axis = x && context.axis(context.int('axis', -1), x.length)
  const dims = x && x.map((dim, index) => (index === axis ? count : dim))
  context.set(0, context.type(0), dims)
  context.set(1, DataType.INT64, dims)
}

const nonZero: ShapeRule = (context) => {
  const x = context.dims(0)
  const values = context.known(0)
  if (!x || !values) return context.set(0, DataType.INT64, [x ? x.length : null, null])
  const found = values.flatMap((value, index) => (value !== 0 ? index : []))
  context.set(0, DataType.INT64, [x.length, found.length], x.length === 1 ? found : undefined)
}

const oneHot: ShapeRule = (context) => {
  const indices = context.dims(0)
  const depth = context.values(1)?.[0] ?? null
  if (!indices) return context.set(0, context.type(2), null)
  const axis = context.axis(context.int('axis', -1), indices.length + 1)
  context.set(0, context.type(2), [...indices.slice(0, axis), depth, ...indices.slice(axis)])
}

const shape: ShapeRule = (context) => {
  const x = context.dims(0)
  if (!x) return context.set(0, DataType.INT64, [null])
  const clamp = (axis: number): number => Math.min(Math.max(axis < 0 ? axis + x.length : axis, 0), x.length)
  const values: Values = x.slice(clamp(context.int('start', 0)), clamp(context.int('end', x.length)))
  context.set(0, DataType.INT64, [values.length], values)
}

const size: ShapeRule = (context) => {
  const x = context.dims(0)
  context.set(0, DataType.INT64, [], [x ? product(x) : null])
}

const nonMaxSuppression: ShapeRule = (context: OpContext) => context.set(0, DataType.INT64, [null, 3])

const sum: Reducer = (values) => values.reduce((total, value) => total + value, 0)

export const reduceRules: Readonly<Record<string, ShapeRule>> = {
  ReduceSum: reduction(sum),
  ReduceProd: reduction((values) => values.reduce((total, value) => total * value, 1)),
  ReduceMax: reduction((values) => Math.max(...values)),
  ReduceMin: reduction((values) => Math.min(...values)),
  ReduceMean: reduction(),
  ReduceL1: reduction(),
  ReduceL2: reduction(),
  ReduceLogSum: reduction(),
  ReduceLogSumExp: reduction(),
  ReduceSumSquare: reduction(),
  ArgMax: argument,
  ArgMin: argument,
  TopK: topK,
  NonZero: nonZero,
  OneHot: oneHot,
  Shape: shape,
  Size: size,
  NonMaxSuppression: nonMaxSuppression,
}
