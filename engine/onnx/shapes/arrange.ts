// Shape rules of operators that rearrange a tensor: reshape, transpose, concat, expand, tile, pad, einsum, ...
import { stringAttribute } from '../attributes.ts'
import { DataType } from '../model.ts'
import { dimsText, foldableCount, product } from './context.ts'
import type { Dim, Dims, OpContext, ShapeRule, Values } from './context.ts'

/** Values that a rearrangement without change of order keeps. */
function keepValues(context: OpContext, dims: Dims): void {
  context.set(0, context.type(0), dims, dims?.includes(null) ? undefined : context.values(0))
}

/** Size of the -1 of a reshape: what is left of the input after the other dimensions. */
function inferredDim(
  context: OpContext,
  input: readonly Dim[],
  target: readonly Dim[],
  copied: readonly number[],
): Dim {
  const copies = new Set(copied)
  const rest = product(input.filter((_, axis) => !copies.has(axis)))
  const given = product(target.filter((dim, axis) => !copies.has(axis) && dim !== -1))
  if (rest === null || given === null) return null
  if (given === 0) return 0
  if (rest % given !== 0)
    throw context.fail(`${dimsText([...input])} does not fit into ${dimsText([...target])}`)
  return rest / given
}

const reshape: ShapeRule = (context) => {
  const x = context.dims(0)
  const target = context.ints('shape') ?? context.values(1)
  if (!target) {
    const rank = context.dims(1)?.[0]
    return context.set(0, context.type(0), rank ? new Array<null>(rank).fill(null) : rank === 0 ? [] : null)
  }
  const copied: number[] = []
  const zeroMeansCopy = context.int('allowzero', 0) === 0
  const dims = target.map((dim, axis): Dim => {
    if (dim !== 0 || !zeroMeansCopy) return dim
    if (x && axis >= x.length)
      throw context.fail(`dimension ${axis} of the input is to be copied but does not exist`)
    copied.push(axis)
    return x?.[axis] ?? null
  })
  // An unknown element of the target could itself be -1 or 0, so only a known remainder is trusted.
  const hole = dims.indexOf(-1)
  if (hole >= 0) dims[hole] = x ? inferredDim(context, x, dims, copied) : null
  else if (x) fillSingleUnknown(x, dims)
  checkCount(context, x, dims)
  keepValues(context, dims)
}

/** One unknown element of the target follows from the number of elements. */
function fillSingleUnknown(x: readonly Dim[], dims: Dim[]): void {
  const unknown = dims.filter((dim) => dim === null).length
  const total = product(x)
  if (unknown !== 1 || total === null) return
  const given = dims.reduce<number>((count, dim) => count * (dim ?? 1), 1)
  if (given > 0 && total % given === 0) dims[dims.indexOf(null)] = total / given
}

function checkCount(context: OpContext, x: Dims, dims: readonly Dim[]): void {
  const before = x && product(x)
  const after = product(dims)
  if (before !== null && after !== null && before !== after) {
    throw context.fail(`${dimsText(x)} has ${before} elements, ${dimsText([...dims])} has ${after}`)
  }
}

const flatten: ShapeRule = (context) => {
  const x = context.dims(0)
  if (!x) return context.set(0, context.type(0), [null, null])
  const given = context.int('axis', 1)
  const axis = given === x.length ? given : context.axis(given, x.length)
  context.set(0, context.type(0), [product(x.slice(0, axis)), product(x.slice(axis))])
}

const transpose: ShapeRule = (context) => {
  const x = context.dims(0)
  const order = context.ints('perm') ?? x?.map((_, axis) => x.length - 1 - axis)
  if (!x || !order) return context.set(0, context.type(0), order ? order.map(() => null) : null)
  if (order.length !== x.length) throw context.fail(`perm has ${order.length} entries for ${dimsText(x)}`)
  const dims = order.map((axis) => x[context.axis(axis, x.length)]!)
  const values = x.length <= 1 ? context.values(0) : undefined
  context.set(0, context.type(0), dims, values)
}

const squeeze: ShapeRule = (context) => {
  const x = context.dims(0)
  const { given, values } = context.intsOrInput('axes', 1)
  if (!x || (given && !values)) return context.set(0, context.type(0), null)
  if (!given && x.includes(null)) return context.set(0, context.type(0), null)
  const axes = new Set(
    values?.map((axis) => context.axis(axis, x.length)) ?? x.flatMap((dim, axis) => (dim === 1 ? axis : [])),
  )
  for (const axis of axes) context.same(x[axis]!, 1, `axis ${axis} to squeeze`)
  keepValues(
    context,
    x.filter((_, axis) => !axes.has(axis)),
  )
}

const unsqueeze: ShapeRule = (context) => {
  const x = context.dims(0)
  const { values: axes } = context.intsOrInput('axes', 1)
  if (!x || !axes) return context.set(0, context.type(0), null)
  const rank = x.length + axes.length
  const added = new Set(axes.map((axis) => context.axis(axis, rank)))
  const rest = [...x]
  keepValues(
    context,
    Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : rest.shift()!)),
  )
}

const concat: ShapeRule = (context) => {
  const shapes = context.node.inputs.map((_, index) => context.dims(index))
  const type = context.node.inputs
    .map((_, index) => context.type(index))
    .find((each) => each !== DataType.UNDEFINED)
  const known = shapes.find((dims) => dims !== null)
  if (!known) return context.set(0, type ?? DataType.UNDEFINED, null)
  const axis = context.axis(context.int('axis', 0), known.length)
  const dims = known.map((_, index): Dim => {
    const parts = shapes.map((shape) => {
      if (shape && shape.length !== known.length)
        throw context.fail(`ranks differ: ${shapes.map(dimsText).join(', ')}`)
      return shape?.[index] ?? null
    })
    if (index === axis)
      return parts.includes(null) ? null : parts.reduce<number>((sum, part) => sum + part!, 0)
    return parts.reduce((a, b) =>
      context.same(a, b, `dimension ${index} of ${shapes.map(dimsText).join(', ')}`),
    )
  })
  context.set(0, type ?? DataType.UNDEFINED, dims, dims.length === 1 ? concatValues(context) : undefined)
}

function concatValues(context: OpContext): Values | undefined {
  const parts = context.node.inputs.map((_, index) => {
    const size = context.dims(index)?.[0] ?? null
    return (
      context.values(index) ?? (size !== null && size <= 64 ? new Array<null>(size).fill(null) : undefined)
    )
  })
  return parts.every((part) => part !== undefined) ? parts.flat() : undefined
}

const expand: ShapeRule = (context) => {
  const [x, target] = [context.dims(0), context.values(1)]
  if (!x || !target) return context.set(0, context.type(0), null)
  const rank = Math.max(x.length, target.length)
  const dims = Array.from({ length: rank }, (_, index): Dim => {
    const a = x[index - rank + x.length]
    const b = target[index - rank + target.length]
    if (a === undefined || a === 1) return b ?? (b === undefined ? a! : null)
    if (b === undefined || b === 1) return a
    if (a !== null && b !== null && a !== b)
      throw context.fail(`${dimsText(x)} cannot be expanded to ${dimsText([...target])}`)
    return a ?? b
  })
  const single = context.values(0)?.length === 1 ? context.values(0)![0]! : undefined
  const count = foldableCount(dims)
  const foldable = single !== undefined && count !== null
  context.set(0, context.type(0), dims, foldable ? new Array<number | null>(count).fill(single) : undefined)
}

const tile: ShapeRule = (context) => {
  const x = context.dims(0)
  const repeats = context.values(1)
  if (!x) return context.set(0, context.type(0), null)
  const dims = x.map((dim, axis) => {
    const times = repeats?.[axis] ?? null
    return dim === null || times === null ? null : dim * times
  })
  const values = context.values(0)
  const times = (dims.length === 1 && values && repeats?.[0]) || null
  const foldable = times !== null && foldableCount(dims) !== null
  const repeated = foldable ? Array.from({ length: times }, () => values!).flat() : undefined
  context.set(0, context.type(0), dims, repeated)
}

const pad: ShapeRule = (context) => {
  const x = context.dims(0)
  const { values: pads } = context.intsOrInput('pads', 1)
  if (!x) return context.set(0, context.type(0), null)
  const axes = context.has(3) ? context.known(3) : x.map((_, axis) => axis)
  if (!pads || !axes)
    return context.set(
      0,
      context.type(0),
      x.map(() => null),
    )
  if (pads.length !== axes.length * 2)
    throw context.fail(`pads has ${pads.length} values, expected ${axes.length * 2}`)
  const dims: Dim[] = [...x]
  axes.forEach((given, index) => {
    const axis = context.axis(given, x.length)
    const size = x[axis]!
    dims[axis] = size === null ? null : size + pads[index]! + pads[index + axes.length]!
  })
  context.set(0, context.type(0), dims)
}

function blockSize(context: OpContext): number {
  return context.int('blocksize', 1)
}

const depthToSpace: ShapeRule = (context) => {
  const x = context.dims(0)
  const block = blockSize(context)
  const times = (dim: Dim, factor: number): Dim => (dim === null ? null : Math.floor(dim * factor))
  context.set(
    0,
    context.type(0),
    x && [x[0]!, times(x[1]!, 1 / (block * block)), times(x[2]!, block), times(x[3]!, block)],
  )
}

const spaceToDepth: ShapeRule = (context) => {
  const x = context.dims(0)
  const block = blockSize(context)
  const times = (dim: Dim, factor: number): Dim => (dim === null ? null : Math.floor(dim * factor))
  context.set(
    0,
    context.type(0),
    x && [x[0]!, times(x[1]!, block * block), times(x[2]!, 1 / block), times(x[3]!, 1 / block)],
  )
}

const gridSample: ShapeRule = (context) => {
  const [x, grid] = [context.dims(0), context.dims(1)]
  context.set(0, context.type(0), x && grid && [x[0]!, x[1]!, ...grid.slice(1, -1)])
}

const roiAlign: ShapeRule = (context) => {
  const [x, rois] = [context.dims(0), context.dims(1)]
  const size = [context.int('output_height', 1), context.int('output_width', 1)]
  context.set(0, context.type(0), [rois?.[0] ?? null, x?.[1] ?? null, ...size])
}

/** Labels of one einsum term; "." stands for one dimension of the ellipsis each. */
function termLabels(context: OpContext, term: string, rank: number | undefined): string[] {
  const [before, after] = term.split('...') as [string, string | undefined]
  if (after === undefined) return [...term]
  if (rank === undefined) return [...before, ...after]
  const hidden = rank - before.length - after.length
  if (hidden < 0) throw context.fail(`the term "${term}" does not fit rank ${rank}`)
  return [...before, ...Array.from({ length: hidden }, (_, index) => `.${index - hidden}`), ...after]
}

const einsum: ShapeRule = (context) => {
  const equation = stringAttribute(context.node, 'equation').replaceAll(' ', '')
  const [left, right] = equation.split('->') as [string, string | undefined]
  const terms = left.split(',')
  const sizes = new Map<string, Dim>()
  const counts = new Map<string, number>()
  let ellipsis: string[] = []
  for (const [index, term] of terms.entries()) {
    const dims = context.dims(index)
    if (!dims) return context.set(0, context.type(0), null)
    const labels = termLabels(context, term, dims.length)
    if (labels.length !== dims.length) throw context.fail(`the term "${term}" does not fit ${dimsText(dims)}`)
    const hidden = labels.filter((label) => label.startsWith('.'))
    if (hidden.length > ellipsis.length) ellipsis = hidden
    labels.forEach((label, axis) => {
      const [dim, known] = [dims[axis]!, sizes.get(label)]
      counts.set(label, (counts.get(label) ?? 0) + 1)
      sizes.set(
        label,
        known === undefined || known === 1 ? dim : dim === 1 ? known : context.same(known, dim, `"${label}"`),
      )
    })
  }
  const implicit = [...counts]
    .filter(([label, count]) => count === 1 && !label.startsWith('.'))
    .map(([label]) => label)
  const output = right ?? `...${implicit.sort().join('')}`
  const [before, after] = output.split('...') as [string, string | undefined]
  const labels = [...before, ...(after === undefined ? [] : ellipsis), ...(after ?? '')]
  context.set(
    0,
    context.type(0),
    labels.map((label) => sizes.get(label) ?? null),
  )
}

export const arrangeRules: Readonly<Record<string, ShapeRule>> = {
  Reshape: reshape,
  Flatten: flatten,
  Transpose: transpose,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Concat: concat,
  Expand: expand,
  Tile: tile,
  Pad: pad,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  GridSample: gridSample,
  RoiAlign: roiAlign,
  Einsum: einsum,
}
