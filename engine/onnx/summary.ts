// Model -> ModelSummary: what it takes, gives, consists of, and where its bytes are.
import { statSync } from 'node:fs'
import type { LayerSummary, ModelSummary, OperatorCount, TensorSummary } from '../../contract/model.ts'
import { visitGraphs } from './graph.ts'
import { inferShapes } from './infer-shapes.ts'
import { DataType } from './model.ts'
import type { Model, Node, Tensor, ValueInfo } from './model.ts'
import { layerNames } from './names.ts'
import type { LayerName } from './names.ts'
import { opsetVersion } from './open.ts'
import { packedInt4Axis } from './packed-int4.ts'
import { dataTypeName, elementCount, tensorDataLength } from './tensors.ts'

function summarizeTensor(info: ValueInfo): TensorSummary {
  const dims = info.shape?.map((dimension) => dimension.value ?? dimension.symbol ?? null)
  return {
    name: info.name,
    dataType: dataTypeName(info.elementType ?? DataType.UNDEFINED),
    dims: dims ?? null,
  }
}

function countOperators(nodes: readonly Node[]): OperatorCount[] {
  const counts = new Map<string, OperatorCount>()
  for (const { opType, domain } of nodes) {
    const key = `${domain}:${opType}`
    const entry = counts.get(key) ?? { opType, domain, count: 0 }
    counts.set(key, { ...entry, count: entry.count + 1 })
  }
  return [...counts.values()].sort((a, b) => b.count - a.count || a.opType.localeCompare(b.opType))
}

/** Weights, and large constants that some exporters write as Constant nodes. */
function weightsByValue(model: Model): Map<string, Tensor> {
  const weights = new Map(model.graph.initializers)
  for (const node of model.graph.nodes) {
    const value =
      node.opType === 'Constant' ? node.attributes.find((each) => each.type === 'tensor') : undefined
    const output = node.outputs[0]
    if (value?.type === 'tensor' && output) weights.set(output, value.value)
  }
  return weights
}

/** INT4 weights of an Ascend deploy model, which lie in pairs in INT8 tensors. Only shapes tell them apart. */
function packedWeights(model: Model): ReadonlySet<Tensor> {
  const { nodes, initializers } = model.graph
  const packed = new Set<Tensor>()
  if (!nodes.some((node) => node.opType === 'AscendQuant')) return packed
  const shapes = inferShapes(model)
  for (const node of nodes) {
    const weight = initializers.get(node.inputs[1] ?? '')
    const input = shapes.get(node.inputs[0] ?? '')
    if (weight?.dataType !== DataType.INT8 || input?.dataType !== DataType.INT8) continue
    if (packedInt4Axis(node, weight.dims, input.dims) !== undefined) packed.add(weight)
  }
  return packed
}

function summarizeLayers(
  model: Model,
  names: readonly LayerName[],
  packed: ReadonlySet<Tensor>,
): LayerSummary[] {
  const weights = weightsByValue(model)
  const consumers = weightConsumers(names, weights)
  return [...consumers]
    .map(([layer, tensors]) => ({
      name: layer.name,
      opType: layer.node.opType,
      ...(layer.modulePath !== undefined && { modulePath: layer.modulePath }),
      parameters: parametersOf(tensors, packed),
      bytes: tensors.reduce((sum, tensor) => sum + tensorDataLength(tensor.data), 0),
      dataTypes: [
        ...new Set(tensors.map((tensor) => (packed.has(tensor) ? 'int4' : dataTypeName(tensor.dataType)))),
      ],
    }))
    .sort((a, b) => b.bytes - a.bytes)
}

function parametersOf(tensors: readonly Tensor[], packed: ReadonlySet<Tensor>): number {
  return tensors.reduce((sum, tensor) => sum + elementCount(tensor.dims) * (packed.has(tensor) ? 2 : 1), 0)
}

/** Each weight belongs to the first layer that reads it. */
function weightConsumers(
  names: readonly LayerName[],
  weights: ReadonlyMap<string, Tensor>,
): Map<LayerName, Tensor[]> {
  const taken = new Set<string>()
  const consumers = new Map<LayerName, Tensor[]>()
  for (const layer of names) {
    for (const input of layer.node.inputs) {
      const tensor = weights.get(input)
      if (!tensor || taken.has(input)) continue
      taken.add(input)
      consumers.set(layer, [...(consumers.get(layer) ?? []), tensor])
    }
  }
  return consumers
}

/** Files the model lies in: its own and its external data. */
function filesOf(model: Model, tensors: readonly Tensor[]): ModelSummary['files'] {
  if (model.path === undefined) return []
  const paths = new Set([model.path])
  for (const tensor of tensors) if (tensor.data.kind === 'file') paths.add(tensor.data.path)
  return [...paths].map((path) => ({ path, bytes: statSync(path, { throwIfNoEntry: false })?.size ?? 0 }))
}

/** Summarizes a model without reading its weights. */
export function summarizeModel(model: Model): ModelSummary {
  const tensors: Tensor[] = []
  visitGraphs(model.graph, (graph) => tensors.push(...graph.initializers.values()))
  const files = filesOf(model, tensors)
  const packed = packedWeights(model)
  return {
    ...(model.path !== undefined && { path: model.path }),
    irVersion: model.irVersion,
    producer: { name: model.producerName, version: model.producerVersion },
    opset: opsetVersion(model) ?? null,
    opsets: model.opsetImports.map(({ domain, version }) => ({ domain, version })),
    inputs: model.graph.inputs.map(summarizeTensor),
    outputs: model.graph.outputs.map(summarizeTensor),
    nodes: model.graph.nodes.length,
    operators: countOperators(model.graph.nodes),
    weights: tensors.length,
    parameters: parametersOf(tensors, packed),
    weightBytes: tensors.reduce((sum, tensor) => sum + tensorDataLength(tensor.data), 0),
    bytes: model.path === undefined ? null : files.reduce((sum, file) => sum + file.bytes, 0),
    files,
    metadata: model.metadata.map(({ key, value }) => ({ key, value })),
    layers: summarizeLayers(model, layerNames(model), packed),
  }
}
