// What changed incompatibly in operators of ai.onnx between opsets 7 and 22, and how a node is rewritten.
// Source: "Changelog" and the version converter of the ONNX project. Changes that only add types or optional
// attributes need no rule.
import {
  findAttribute,
  floatAttribute,
  floatsAttribute,
  intAttribute,
  intsAttribute,
  makeAttribute,
  removeAttribute,
  setAttribute,
  stringAttribute,
} from './attributes.ts'
import { makeNode } from './graph.ts'
import { DataType } from './model.ts'
import type { Node, Tensor } from './model.ts'
import { elementCount, tensorToNumbers } from './tensors.ts'

/** What a rule may ask and do besides changing its node. */
export interface UpgradeTools {
  /** Adds a constant next to the node and returns its name. */
  constant(node: Node, role: string, dataType: DataType, dims: number[], values: number[] | bigint[]): string
  /** A value name that is not used yet. */
  valueName(node: Node, role: string): string
  dataType(name: string): DataType
  rank(name: string): number | undefined
  /** The weight or constant behind a name. */
  tensor(name: string): Tensor | undefined
  isUsed(name: string): boolean
  refuse(node: Node, reason: string): Error
}

/** Rewrites a node in place; returns the nodes that take its place when it needs company. */
export type UpgradeRule = (node: Node, tools: UpgradeTools) => Node[] | void

function int64s(tools: UpgradeTools, node: Node, role: string, values: number[]): string {
  return tools.constant(node, role, DataType.INT64, [values.length], values.map(BigInt))
}

/** Moves an ints attribute to an input. */
function intsToInput(name: string, index: number): UpgradeRule {
  return (node, tools) => {
    if (!findAttribute(node, name)) return
    const values = intsAttribute(node, name)
    removeAttribute(node, name)
    while (node.inputs.length < index) node.inputs.push('')
    node.inputs[index] = int64s(tools, node, name, values)
  }
}

function refuseWhen(condition: (node: Node, tools: UpgradeTools) => boolean, reason: string): UpgradeRule {
  return (node, tools) => {
    if (condition(node, tools)) throw tools.refuse(node, reason)
  }
}

/** A constant of the element type of the node's first input. */
function likeInput(tools: UpgradeTools, node: Node, role: string, value: number): string {
  const dataType = tools.dataType(node.inputs[0]!)
  if (dataType === DataType.UNDEFINED)
    throw tools.refuse(node, `the type of its input "${node.inputs[0]}" is not known`)
  return tools.constant(node, role, dataType, [], [value])
}

/** 9: `spatial` is gone, its default 1 is the only behaviour left. */
const batchNormalization9: UpgradeRule = (node, tools) => {
  if (intAttribute(node, 'spatial', 1) !== 1) throw tools.refuse(node, 'spatial = 0 no longer exists')
  removeAttribute(node, 'spatial')
}

const hasExtraOutputs = (node: Node, tools: UpgradeTools): boolean =>
  node.outputs.slice(1).some((output) => output !== '' && tools.isUsed(output))

/** 14: the statistics outputs of training were reordered. */
const batchNormalization14: UpgradeRule = (node, tools) => {
  if (hasExtraOutputs(node, tools)) throw tools.refuse(node, 'its training outputs are used')
  node.outputs.length = 1
}

/** 10: the mask became boolean. In inference it is all ones and rarely read. */
const dropout10: UpgradeRule = (node, tools) => {
  if (hasExtraOutputs(node, tools)) throw tools.refuse(node, 'its mask output is used')
  node.outputs.length = 1
}

/** 12: the ratio became an input; without the training input Dropout passes its input through. */
const dropout12: UpgradeRule = (node, tools) => {
  const ratio = floatAttribute(node, 'ratio', 0.5)
  removeAttribute(node, 'ratio')
  node.inputs[1] = tools.constant(node, 'ratio', DataType.FLOAT, [], [ratio])
}

/** 9: the scales became an input. */
const upsample9: UpgradeRule = (node, tools) => {
  const scales = floatsAttribute(node, 'scales')
  removeAttribute(node, 'scales')
  node.inputs[1] = tools.constant(node, 'scales', DataType.FLOAT, [scales.length], scales)
}

/** 10: Upsample was replaced by Resize. */
const upsample10: UpgradeRule = (node) => {
  node.opType = 'Resize'
}

/** Rounding of the source coordinate that Resize of opset 10 implies: down when enlarging, up when shrinking. */
function nearestMode(node: Node, tools: UpgradeTools): string {
  const tensor = tools.tensor(node.inputs[1] ?? '')
  if (!tensor || elementCount(tensor.dims) > 64) throw tools.refuse(node, 'its scales are not constant')
  const scales = tensorToNumbers(tensor)
  if (scales.every((scale) => scale >= 1)) return 'floor'
  if (scales.every((scale) => scale <= 1)) return 'ceil'
  throw tools.refuse(node, 'it enlarges one axis and shrinks another')
}

/** 11: the region of interest came between data and scales, and the coordinate rule became explicit. */
const resize11: UpgradeRule = (node, tools) => {
  const mode = stringAttribute(node, 'mode', 'nearest')
  setAttribute(node, makeAttribute('coordinate_transformation_mode', 'asymmetric'))
  if (mode === 'nearest') setAttribute(node, makeAttribute('nearest_mode', nearestMode(node, tools)))
  const roi = tools.constant(node, 'roi', DataType.FLOAT, [0], [])
  node.inputs = [node.inputs[0]!, roi, node.inputs[1]!]
}

/** 10: starts, ends and axes became inputs. */
const slice10: UpgradeRule = (node, tools) => {
  const [starts, ends] = [intsAttribute(node, 'starts'), intsAttribute(node, 'ends')]
  const axes = intsAttribute(
    node,
    'axes',
    starts.map((_, index) => index),
  )
  for (const name of ['starts', 'ends', 'axes']) removeAttribute(node, name)
  node.inputs = [
    node.inputs[0]!,
    int64s(tools, node, 'starts', starts),
    int64s(tools, node, 'ends', ends),
    int64s(tools, node, 'axes', axes),
  ]
}

/** 10: k became an input. */
const topK10: UpgradeRule = (node, tools) => {
  const count = intAttribute(node, 'k')
  removeAttribute(node, 'k')
  node.inputs[1] = int64s(tools, node, 'k', [count])
}

/** 11: the bounds became inputs. */
const clip11: UpgradeRule = (node, tools) => {
  const bounds = (['min', 'max'] as const).map((name) =>
    findAttribute(node, name) ? likeInput(tools, node, name, floatAttribute(node, name)) : '',
  )
  removeAttribute(node, 'min')
  removeAttribute(node, 'max')
  node.inputs =
    bounds[1] === '' ? [node.inputs[0]!, ...bounds.slice(0, 1)].filter(Boolean) : [node.inputs[0]!, ...bounds]
}

/** 11: pads and value became inputs. */
const pad11: UpgradeRule = (node, tools) => {
  const pads = int64s(tools, node, 'pads', intsAttribute(node, 'pads'))
  const value = floatAttribute(node, 'value', 0)
  node.inputs = [node.inputs[0]!, pads, ...(value === 0 ? [] : [likeInput(tools, node, 'value', value)])]
  removeAttribute(node, 'pads')
  removeAttribute(node, 'value')
}

const rename = (opType: string): UpgradeRule => {
  return (node) => {
    node.opType = opType
  }
}

/**
 * 13: the softmax runs along one axis; before, the input was flattened to a matrix at `axis` (default 1) and each row
 * was one distribution. The same only for the last axis.
 */
const softmax13: UpgradeRule = (node, tools) => {
  const axis = intAttribute(node, 'axis', 1)
  const input = node.inputs[0]!
  const rank = tools.rank(input)
  setAttribute(node, makeAttribute('axis', -1))
  if (axis === -1 || (rank !== undefined && axis === rank - 1)) return undefined
  const [shape, matrix, rows] = ['shape', 'matrix', 'rows'].map((role) => tools.valueName(node, role)) as [
    string,
    string,
    string,
  ]
  const output = node.outputs[0]!
  node.inputs = [matrix]
  node.outputs = [rows]
  const name = (role: string): string => (node.name === '' ? '' : `${node.name}_${role}`)
  return [
    makeNode({ opType: 'Shape', name: name('shape'), inputs: [input], outputs: [shape] }),
    makeNode({
      opType: 'Flatten',
      name: name('flatten'),
      inputs: [input],
      outputs: [matrix],
      attributes: { axis },
    }),
    node,
    makeNode({ opType: 'Reshape', name: name('reshape'), inputs: [rows, shape], outputs: [output] }),
  ]
}

/** 16: the default coordinate rule changed. */
const roiAlign16: UpgradeRule = (node) => {
  setAttribute(node, makeAttribute('coordinate_transformation_mode', 'output_half_pixel'))
}

/** 18: without the split input the number of parts must be given. */
const split18: UpgradeRule = (node) => {
  if ((node.inputs[1] ?? '') === '') setAttribute(node, makeAttribute('num_outputs', node.outputs.length))
}

/** 20: the interpolation modes were renamed. */
const gridSample20: UpgradeRule = (node) => {
  const mode = stringAttribute(node, 'mode', 'bilinear')
  const renamed: Record<string, string> = { bilinear: 'linear', bicubic: 'cubic' }
  setAttribute(node, makeAttribute('mode', renamed[mode] ?? mode))
}

const always = (): boolean => true

const REDUCTIONS_18 = [
  'ReduceL1',
  'ReduceL2',
  'ReduceLogSum',
  'ReduceLogSumExp',
  'ReduceMax',
  'ReduceMean',
  'ReduceMin',
  'ReduceProd',
  'ReduceSumSquare',
] as const

/** Rules by the opset that brought the change and operator type. */
export const UPGRADE_RULES: Readonly<Record<number, Readonly<Record<string, UpgradeRule>>>> = {
  9: {
    BatchNormalization: batchNormalization9,
    Upsample: upsample9,
    Scan: refuseWhen(always, 'Scan lost its batch dimension'),
  },
  10: { Dropout: dropout10, Slice: slice10, TopK: topK10, Upsample: upsample10 },
  11: { Clip: clip11, Pad: pad11, Resize: resize11, Scatter: rename('ScatterElements') },
  12: { Dropout: dropout12 },
  13: {
    Softmax: softmax13,
    LogSoftmax: softmax13,
    Hardmax: softmax13,
    Squeeze: intsToInput('axes', 1),
    Unsqueeze: intsToInput('axes', 1),
    ReduceSum: intsToInput('axes', 1),
    Split: intsToInput('split', 1),
  },
  14: { BatchNormalization: batchNormalization14 },
  16: { RoiAlign: roiAlign16 },
  18: {
    Split: split18,
    ...Object.fromEntries(REDUCTIONS_18.map((opType) => [opType, intsToInput('axes', 1)])),
  },
  20: { GridSample: gridSample20, DFT: refuseWhen(always, 'the axis of DFT became an input') },
  21: { GroupNormalization: refuseWhen(always, 'scale and bias became per channel') },
}
