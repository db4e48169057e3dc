// Rules about the model as a file: opset, size, external data, inputs, names, operators, constants.
import { existsSync, statSync } from 'node:fs'
import path from 'node:path'
import {
  AUTO_EXTERNAL_BYTES,
  dataTypeName,
  elementCount,
  DataType,
  MAX_PROTOBUF_BYTES,
  nodeLabel,
  opsetVersion,
  subgraphs,
  type Tensor,
  tensorToFloat32,
} from '../../onnx/index.ts'
import type { LintContext } from './context.ts'
import { ASCEND_OPSETS, ATC_MISSING, ATC_OPERATORS, QDQ_OPERATOR } from './operators.ts'

/** Opsets ATC is tested with (ATC documentation, --framework=5). */
const TESTED_OPSETS = [11, 18] as const
/** IR versions of those opsets and of what ONNX Runtime writes beside them. */
const IR_VERSIONS = [3, 10] as const
/** SoCs without dynamic shapes (ATC documentation, --input_shape). */
const STATIC_SOCS = /^Ascend(310B|035)/
const LARGEST_FLOAT16 = 65504
/** Constants of more elements are weights: their range is known to be small, and reading them takes time. */
const MAX_SCANNED = 1 << 20

export function opsetRules(context: LintContext): void {
  const version = opsetVersion(context.model) ?? 1
  const [minimum, maximum] = TESTED_OPSETS
  if (version < minimum || version > maximum)
    context.report('opset_range', null, { version, minimum, maximum })
  const { irVersion } = context.model
  const [oldest, newest] = IR_VERSIONS
  if (irVersion < oldest || irVersion > newest) {
    context.report('ir_version', null, { version: irVersion, minimum: oldest, maximum: newest })
  }
  const seen = new Set<string>()
  for (const node of context.graph.nodes) {
    const range = node.domain === '' ? ASCEND_OPSETS[node.opType] : undefined
    if (!range || seen.has(node.opType)) continue
    seen.add(node.opType)
    if (version >= range[0] && version <= range[1]) continue
    context.report('opset_quant', node, { version, minimum: range[0], maximum: range[1] })
  }
}

export function operatorRules(context: LintContext): void {
  for (const node of context.graph.nodes) {
    const { opType, domain } = node
    const reason = ATC_MISSING[opType]
    if (domain !== '' && domain !== 'ai.onnx' && domain !== 'npu') {
      context.report('operator_domain', node, { domain })
    } else if (domain === 'npu') continue
    else if (QDQ_OPERATOR.test(opType)) context.report('qdq_nodes', node)
    else if (reason !== undefined) context.report('operator_unsupported', node, { reason })
    else if (!ATC_OPERATORS.has(opType)) context.report('operator_unknown', node)
    else if (subgraphs(node).length > 0) context.report('subgraph', node)
  }
}

export function sizeRules(context: LintContext): void {
  const { path: file } = context.model
  if (file === undefined) return
  const bytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  if (bytes > MAX_PROTOBUF_BYTES) context.report('model_size', null, { bytes, limit: MAX_PROTOBUF_BYTES })
}

/** Tensors of the main graph by the external file that holds them. */
function externalFiles(context: LintContext): Map<string, Tensor[]> {
  const files = new Map<string, Tensor[]>()
  for (const tensor of context.graph.initializers.values()) {
    if (tensor.data.kind !== 'file' || tensor.data.path === context.model.path) continue
    files.set(tensor.data.path, [...(files.get(tensor.data.path) ?? []), tensor])
  }
  return files
}

export function externalRules(context: LintContext): void {
  const folder = path.dirname(path.resolve(context.model.path ?? ''))
  for (const [file, tensors] of externalFiles(context)) {
    const tensor = tensors[0]?.name ?? ''
    const name = path.basename(file)
    if (!existsSync(file)) {
      context.report('external_missing', null, { tensor, file: name })
      continue
    }
    const place = path.dirname(path.resolve(file))
    if (place !== folder) {
      context.report('external_folder', null, { tensor, folder: path.relative(folder, place) })
    }
    const { size } = statSync(file)
    if (tensors.length > 1 && size >= AUTO_EXTERNAL_BYTES) {
      context.report('external_shared', null, { tensors: tensors.length, file: name, bytes: size })
    }
  }
}

export function nameRules(context: LintContext): void {
  const { nodes } = context.graph
  const unnamed = nodes.filter((node) => node.name === '')
  const [first] = unnamed
  if (first) {
    const output = nodeLabel(first)
    context.report('node_name_empty', null, { count: unnamed.length, opType: first.opType, output })
  }
  for (const [name, group] of Map.groupBy(nodes, (node) => node.name)) {
    if (name === '') continue
    if (group.length > 1) context.report('node_name_duplicate', null, { node: name, count: group.length })
    if (!/^[\w./:-]+$/.test(name)) context.report('node_name_characters', group[0] ?? null)
  }
}

const HOST_TYPES: readonly DataType[] = [
  DataType.STRING,
  DataType.COMPLEX64,
  DataType.COMPLEX128,
  DataType.UNDEFINED,
]
const SLOW_TYPES: readonly DataType[] = [DataType.INT64, DataType.UINT64, DataType.DOUBLE]

export function inputRules(context: LintContext): void {
  for (const { name: input, elementType, shape } of context.graph.inputs) {
    if (/[;,"'\s]/.test(input)) context.report('input_name_characters', null, { input })
    const type = elementType === undefined ? 'not a tensor' : dataTypeName(elementType)
    if (elementType === undefined || HOST_TYPES.includes(elementType)) {
      context.report('input_type', null, { input, type })
    } else if (SLOW_TYPES.includes(elementType)) context.report('input_type_slow', null, { input, type })
    const given = context.inputShapes[input]
    const open = given
      ? given.some((size) => size < 0)
      : !shape || shape.some((dim) => dim.value === undefined)
    if (!open) continue
    const written = given ?? shape?.map((dim) => dim.value ?? dim.symbol ?? '?')
    const dims = `[${written?.join(',') ?? 'unknown rank'}]`
    if (STATIC_SOCS.test(context.soc)) {
      context.report('input_dynamic_unsupported', null, { input, dims, soc: context.soc })
    } else context.report('input_dynamic', null, { input, dims })
  }
}

/** The first value of a constant that FP16 cannot hold; infinities are meant as such. */
function beyondFloat16(tensor: Tensor): number | undefined {
  if (tensor.dataType !== DataType.FLOAT || elementCount(tensor.dims) > MAX_SCANNED) return undefined
  return tensorToFloat32(tensor).find((value) => Math.abs(value) > LARGEST_FLOAT16 && Number.isFinite(value))
}

export function constantRules(context: LintContext): void {
  const readers = (name: string) => context.index.consumers.get(name)?.[0] ?? null
  const report = (name: string, tensor: Tensor): void => {
    const reader = readers(name)
    const value = reader && beyondFloat16(tensor)
    if (typeof value === 'number') context.report('float16_constant', reader, { tensor: name, value })
  }
  for (const [name, tensor] of context.graph.initializers) report(name, tensor)
  for (const node of context.graph.nodes) {
    const [output = ''] = node.outputs
    const tensor = node.opType === 'Constant' ? context.constant(output) : undefined
    if (tensor) report(output, tensor)
  }
}
