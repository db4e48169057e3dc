// Shape rules of operators that take parts of a tensor: slice, split, gather, compress.
import { dimsText } from './context.ts'
import type { Dim, ShapeRule, Values } from './context.ts'

/** Index range of a slice along one axis, as NumPy: start, number of elements. */
function sliceRange(
  size: number,
  start: number,
  end: number,
  step: number,
): { first: number; count: number } {
  const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high)
  const from = start < 0 ? start + size : start
  const to = end < 0 ? end + size : end
  const first = step > 0 ? clamp(from, 0, size) : clamp(from, 0, size - 1)
  const last = step > 0 ? clamp(to, 0, size) : clamp(to, -1, size - 1)
  return { first, count: Math.max(0, Math.ceil((last - first) / step)) }
}

const slice: ShapeRule = (context) => {
  const x = context.dims(0)
  const starts = context.intsOrInput('starts', 1).values
  const ends = context.intsOrInput('ends', 2).values
  const axes = context.intsOrInput('axes', 3)
  const steps = context.intsOrInput('steps', 4)
  if (!x) return context.set(0, context.type(0), null)
  const chosen = axes.given ? axes.values : starts?.map((_, index) => index)
  if (!chosen)
    return context.set(
      0,
      context.type(0),
      x.map(() => null),
    )
  const dims: Dim[] = [...x]
  let values: Values | undefined
  chosen.forEach((given, index) => {
    const axis = context.axis(given, x.length)
    const size = x[axis]!
    const step = steps.given ? (steps.values?.[index] ?? null) : 1
    const [start, end] = [starts?.[index] ?? null, ends?.[index] ?? null]
    if (step === 0) throw context.fail('a slice step is 0')
    if (size === null || step === null || start === null || end === null) {
      dims[axis] = size === null && start === 0 && end !== null && end >= 2 ** 31 - 1 ? size : null
      return
    }
    const range = sliceRange(size, start, end, step)
    dims[axis] = range.count
    const all = context.values(0)
    if (all && x.length === 1)
      values = Array.from({ length: range.count }, (_, at) => all[range.first + at * step]!)
  })
  context.set(0, context.type(0), dims, values)
}

const split: ShapeRule = (context) => {
  const x = context.dims(0)
  const type = context.type(0)
  const outputs = context.node.outputs.length
  if (!x) return context.node.outputs.forEach((_, index) => context.set(index, type, null))
  const axis = context.axis(context.int('axis', 0), x.length)
  const { given, values } = context.intsOrInput('split', 1)
  const size = x[axis]!
  const sizes = values ?? (given || size === null ? null : equalParts(size, outputs))
  if (sizes && size !== null && sizes.reduce((sum, part) => sum + part, 0) !== size) {
    throw context.fail(`the parts ${dimsText(sizes)} do not add up to ${size}`)
  }
  const all = x.length === 1 ? context.values(0) : undefined
  let start = 0
  context.node.outputs.forEach((_, index) => {
    const part = sizes?.[index] ?? null
    const values = all && part !== null ? all.slice(start, start + part) : undefined
    start += part ?? 0
    context.set(
      index,
      type,
      x.map((dim, position) => (position === axis ? part : dim)),
      values,
    )
  })
}

/** All parts have the same size, except that the last one may be smaller. */
function equalParts(size: number, parts: number): number[] {
  const part = Math.ceil(size / parts)
  return Array.from({ length: parts }, (_, index) => Math.min(part, Math.max(0, size - index * part)))
}

const gather: ShapeRule = (context) => {
  const [x, indices] = [context.dims(0), context.dims(1)]
  if (!x || !indices) return context.set(0, context.type(0), null)
  const axis = context.axis(context.int('axis', 0), x.length)
  const dims = [...x.slice(0, axis), ...indices, ...x.slice(axis + 1)]
  const [data, positions] = [context.values(0), context.known(1)]
  const values =
    data && positions && x.length === 1
      ? positions.map((index) => data[index < 0 ? index + data.length : index] ?? null)
      : undefined
  context.set(0, context.type(0), dims, values)
}

const gatherElements: ShapeRule = (context) => context.set(0, context.type(0), context.dims(1))

const gatherNd: ShapeRule = (context) => {
  const [x, indices] = [context.dims(0), context.dims(1)]
  const depth = indices?.at(-1) ?? null
  if (!x || !indices || depth === null) return context.set(0, context.type(0), null)
  const batch = context.int('batch_dims', 0)
  context.set(0, context.type(0), [...indices.slice(0, -1), ...x.slice(batch + depth)])
}

const compress: ShapeRule = (context) => {
  const x = context.dims(0)
  const axis = context.node.attributes.some((attribute) => attribute.name === 'axis')
    ? context.int('axis', 0)
    : null
  if (axis === null) return context.set(0, context.type(0), [null])
  context.set(
    0,
    context.type(0),
    x && x.map((dim, index) => (index === context.axis(axis, x.length) ? null : dim)),
  )
}

export const selectRules: Readonly<Record<string, ShapeRule>> = {
  Slice: slice,
  Split: split,
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherNd,
  Compress: compress,
}
