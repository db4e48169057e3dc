// Shape rules of operators that make tensors, and of control flow.
import { findAttribute } from '../attributes.ts'
import { DataType } from '../model.ts'
import type { Attribute, Graph } from '../model.ts'
import { elementCount, tensorToNumbers } from '../tensors.ts'
import { foldableCount, MAX_FOLDED_ELEMENTS } from './context.ts'
import type { Dim, Dims, OpContext, ShapeRule, ValueShape } from './context.ts'

/** Constant has its value in one of several attributes. */
const constant: ShapeRule = (context) => {
  const attribute = context.node.attributes.find(
    (each) => each.name.startsWith('value') || each.name === 'sparse_value',
  )
  if (!attribute) throw context.fail('there is no value')
  setConstant(context, attribute)
}

function setConstant(context: OpContext, attribute: Attribute): void {
  switch (attribute.type) {
    case 'tensor': {
      const { dataType, dims, data } = attribute.value
      const small = data.kind !== 'strings' && elementCount(dims) <= MAX_FOLDED_ELEMENTS
      context.set(0, dataType, dims, small ? foldableNumbers(attribute) : undefined)
      break
    }
    case 'int':
      context.set(0, DataType.INT64, [], [Number(attribute.value)])
      break
    case 'float':
      context.set(0, DataType.FLOAT, [], [attribute.value])
      break
    case 'ints':
      context.set(0, DataType.INT64, [attribute.value.length], attribute.value.map(Number))
      break
    case 'floats':
      context.set(0, DataType.FLOAT, [attribute.value.length], attribute.value)
      break
    case 'string':
      context.set(0, DataType.STRING, [])
      break
    case 'strings':
      context.set(0, DataType.STRING, [attribute.value.length])
      break
    default:
      context.set(0, DataType.UNDEFINED, null)
  }
}

const UNFOLDABLE: ReadonlySet<DataType> = new Set<DataType>([
  DataType.UNDEFINED,
  DataType.STRING,
  DataType.COMPLEX64,
  DataType.COMPLEX128,
  DataType.FLOAT8E4M3FN,
  DataType.FLOAT8E4M3FNUZ,
  DataType.FLOAT8E5M2,
  DataType.FLOAT8E5M2FNUZ,
  DataType.FLOAT4E2M1,
  DataType.FLOAT8E8M0,
])

/** True for types whose elements are plain numbers. */
export function isFoldable(dataType: DataType): boolean {
  return !UNFOLDABLE.has(dataType)
}

function foldableNumbers(attribute: Extract<Attribute, { type: 'tensor' }>): number[] | undefined {
  return isFoldable(attribute.value.dataType) ? tensorToNumbers(attribute.value) : undefined
}

/** Shape given as the values of an input; unknown elements make unknown dimensions. */
function shapeInput(context: OpContext, index: number): Dims {
  const values = context.values(index)
  if (values) return [...values]
  const rank = context.dims(index)?.[0] ?? null
  return rank === null ? null : new Array<null>(rank).fill(null)
}

const constantOfShape: ShapeRule = (context) => {
  const dims = shapeInput(context, 0)
  const attribute = findAttribute(context.node, 'value')
  const value = attribute?.type === 'tensor' ? attribute.value : undefined
  const count = foldableCount(dims)
  const fill = value ? (isFoldable(value.dataType) ? tensorToNumbers(value)[0] : undefined) : 0
  const foldable = count !== null && fill !== undefined
  context.set(
    0,
    value?.dataType ?? DataType.FLOAT,
    dims,
    foldable ? new Array<number>(count).fill(fill) : undefined,
  )
}

const range: ShapeRule = (context) => {
  const element = (index: number): number | null => context.values(index)?.[0] ?? null
  const [start, limit, delta] = [element(0), element(1), element(2)]
  if (start === null || limit === null || delta === null) return context.set(0, context.type(0), [null])
  if (delta === 0) throw context.fail('the step is 0')
  const count = Math.max(0, Math.ceil((limit - start) / delta))
  const foldable = count <= MAX_FOLDED_ELEMENTS
  const values = foldable ? Array.from({ length: count }, (_, index) => start + index * delta) : undefined
  context.set(0, context.type(0), [count], values)
}

const eyeLike: ShapeRule = (context) => {
  const type = context.int('dtype', context.type(0)) as DataType
  context.set(0, type, context.dims(0))
}

const random: ShapeRule = (context) => {
  context.set(0, context.int('dtype', DataType.FLOAT) as DataType, context.ints('shape') ?? null)
}

const multinomial: ShapeRule = (context) => {
  const type = context.int('dtype', DataType.INT32) as DataType
  context.set(0, type, [context.dims(0)?.[0] ?? null, context.int('sample_size', 1)])
}

function graphOf(context: OpContext, name: string): Graph | undefined {
  const attribute = findAttribute(context.node, name)
  return attribute?.type === 'graph' ? attribute.value : undefined
}

/** What two branches agree on. */
function merge(a: ValueShape | undefined, b: ValueShape | undefined): ValueShape {
  if (!a || !b) return a ?? b ?? { dataType: DataType.UNDEFINED, dims: null }
  const dataType = a.dataType === DataType.UNDEFINED ? b.dataType : a.dataType
  const { dims } = b
  if (!a.dims || a.dims.length !== dims?.length) return { dataType, dims: null }
  return { dataType, dims: a.dims.map((dim, axis): Dim => (dim === dims[axis] ? dim : null)) }
}

const branch: ShapeRule = (context) => {
  const condition = context.values(0)?.[0] ?? null
  const run = (name: string): ValueShape[] => {
    const graph = graphOf(context, name)
    return graph ? context.inferGraph(graph, context.scope, []) : []
  }
  const taken = condition === 0 ? [] : run('then_branch')
  const other = condition !== null && condition !== 0 ? [] : run('else_branch')
  context.node.outputs.forEach((_, index) => {
    const result =
      condition === null
        ? merge(taken[index], other[index])
        : (taken[index] ?? other[index] ?? merge(undefined, undefined))
    context.set(index, result.dataType, result.dims)
  })
}

const rankOnly = (shape: ValueShape): ValueShape => ({
  ...shape,
  dims: shape.dims && shape.dims.map(() => null),
})

/** Loop(trip count, condition, carried...): carried values may change size, scanned ones get a leading dimension. */
const loop: ShapeRule = (context) => {
  const body = graphOf(context, 'body')
  const carried = context.node.inputs.slice(2).map((_, index) => rankOnly(context.shape(index + 2)))
  const scalars = [
    { dataType: DataType.INT64, dims: [] },
    { dataType: DataType.BOOL, dims: [] },
  ]
  const results = body ? context.inferGraph(body, context.scope, [...scalars, ...carried]).slice(1) : []
  context.node.outputs.forEach((_, index) => {
    const result = results[index] ?? { dataType: DataType.UNDEFINED, dims: null }
    const dims: Dims = index < carried.length ? rankOnly(result).dims : result.dims && [null, ...result.dims]
    context.set(index, result.dataType, dims)
  })
}

export const generateRules: Readonly<Record<string, ShapeRule>> = {
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Range: range,
  EyeLike: eyeLike,
  RandomNormal: random,
  RandomUniform: random,
  RandomNormalLike: eyeLike,
  RandomUniformLike: eyeLike,
  Multinomial: multinomial,
  If: branch,
  Loop: loop,
}
