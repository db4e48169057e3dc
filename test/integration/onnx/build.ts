// Small models for tests.
import { DataType, makeNode, makeTensor } from '../../../engine/onnx/index.ts'
import type { AttributeValue, Graph, Model, Node, Tensor, ValueInfo } from '../../../engine/onnx/index.ts'

export interface OperatorCase {
  opType: string
  domain?: string
  /** Shape (and type, float by default) of each input; a tensor for a constant; null for an omitted one. */
  inputs: (readonly number[] | { dataType: DataType; dims: readonly number[] } | Tensor | null)[]
  attributes?: Record<string, AttributeValue>
  outputs?: number
  opset?: number
}

export function constant(dataType: DataType, dims: readonly number[], values: readonly number[]): Tensor {
  return makeTensor('', dataType, dims, dataType === DataType.INT64 ? values.map(BigInt) : values)
}

export function int64s(...values: number[]): Tensor {
  return constant(DataType.INT64, [values.length], values)
}

export function floats(...values: number[]): Tensor {
  return constant(DataType.FLOAT, [values.length], values)
}

export function valueInfo(name: string, dataType: DataType, dims: readonly (number | string)[]): ValueInfo {
  const shape = dims.map((dim) => (typeof dim === 'number' ? { value: dim } : { symbol: dim }))
  return { name, elementType: dataType, shape }
}

export function makeGraph(parts: Partial<Graph> & { nodes: Node[] }): Graph {
  return {
    name: 'test',
    initializers: new Map(),
    inputs: [],
    initializerInputs: [],
    outputs: [],
    valueInfo: [],
    ...parts,
  }
}

export function makeModel(graph: Graph, opset = 17, domains: readonly string[] = []): Model {
  return {
    irVersion: 8,
    producerName: 'test',
    producerVersion: '1',
    domain: '',
    modelVersion: 0n,
    docString: '',
    opsetImports: [{ domain: '', version: opset }, ...domains.map((domain) => ({ domain, version: 1 }))],
    metadata: [],
    graph,
  }
}

/** A model of one operator; constants become initializers. */
export function operatorModel(spec: OperatorCase): Model {
  const initializers = new Map<string, Tensor>()
  const inputs: ValueInfo[] = []
  const names = spec.inputs.map((input, index) => {
    if (input === null) return ''
    const name = `x${index}`
    if ('data' in input) initializers.set(name, { ...input, name })
    else if ('dataType' in input) inputs.push(valueInfo(name, input.dataType, input.dims))
    else inputs.push(valueInfo(name, DataType.FLOAT, input))
    return name
  })
  const outputs = Array.from({ length: spec.outputs ?? 1 }, (_, index) => `y${index}`)
  const node = makeNode({
    opType: spec.opType,
    name: 'op',
    inputs: names,
    outputs,
    ...(spec.domain !== undefined && { domain: spec.domain }),
    ...(spec.attributes && { attributes: spec.attributes }),
  })
  const graph = makeGraph({ nodes: [node], initializers, inputs, outputs: outputs.map((name) => ({ name })) })
  return makeModel(graph, spec.opset, spec.domain ? [spec.domain] : [])
}
