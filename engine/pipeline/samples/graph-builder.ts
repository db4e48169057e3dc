// Builds an ONNX graph the way an exporter would: module paths as node names, weights planned but not yet filled.
import { DataType, type Attribute, type Node, type Tensor, type ValueInfo } from '../../onnx/model.ts'

/** A weight that will be filled later, so that a graph of any size can be planned in little memory. */
export interface WeightPlan {
  name: string
  dims: number[]
  fill: { kind: 'normal'; std: number } | { kind: 'constant'; value: number }
}

/** A value in the graph with its static shape. */
export interface Value {
  name: string
  dims: number[]
}

type AttributeValue = { float: number } | { int: number } | { ints: number[] } | { string: string }

function toAttribute(name: string, value: AttributeValue): Attribute {
  if ('float' in value) return { name, type: 'float', value: value.float }
  if ('int' in value) return { name, type: 'int', value: BigInt(value.int) }
  if ('ints' in value) return { name, type: 'ints', value: value.ints.map(BigInt) }
  return { name, type: 'string', value: Buffer.from(value.string) }
}

/** Layers as the exporter of PyTorch writes them at opset 17; every method returns the layer's output. */
export class GraphBuilder {
  readonly nodes: Node[] = []
  readonly weights: WeightPlan[] = []
  /** Small constants: shapes, scales, epsilon tables. Not parameters. */
  readonly constants = new Map<string, Tensor>()
  readonly inputs: ValueInfo[] = []
  readonly #root: string
  readonly #nodeCounts = new Map<string, number>()

  /** `root` is the first component of every module path, e.g. `unet`. */
  constructor(root: string) {
    this.#root = root
  }

  input(name: string, dims: number[]): Value {
    this.inputs.push({ name, elementType: DataType.FLOAT, shape: dims.map((value) => ({ value })) })
    return { name, dims }
  }

  /** Adds a node `/<root>/<module>/<opType>`; module path components are separated by `/`. */
  node(
    module: string,
    opType: string,
    inputs: string[],
    dims: number[][],
    attributes: Record<string, AttributeValue> = {},
  ): Value[] {
    const base = `/${this.#root}/${module === '' ? '' : `${module}/`}${opType}`
    const name = this.#uniqueNodeName(base)
    const outputs = dims.map((_, index) => `${name}_output_${index}`)
    this.nodes.push({
      name,
      opType,
      domain: '',
      inputs,
      outputs,
      attributes: Object.entries(attributes).map(([key, value]) => toAttribute(key, value)),
    })
    return outputs.map((output, index) => ({ name: output, dims: dims[index] ?? [] }))
  }

  /** A node with one output. */
  single(
    module: string,
    opType: string,
    inputs: string[],
    dims: number[],
    attributes: Record<string, AttributeValue> = {},
  ): Value {
    const [value] = this.node(module, opType, inputs, [dims], attributes)
    if (!value) throw new Error('a node without outputs')
    return value
  }

  weight(module: string, field: string, dims: number[], fill: WeightPlan['fill']): string {
    const name = `${this.#root}.${module.replaceAll('/', '.')}.${field}`
    this.weights.push({ name, dims, fill })
    return name
  }

  /** An int64 constant, shared by value. */
  integers(values: number[], dims: number[] = [values.length]): string {
    const name = `${this.#root}.const.int64.${dims.length === 0 ? 'scalar.' : ''}${values.join('_')}`
    const bytes = new Uint8Array(new BigInt64Array(values.map(BigInt)).buffer)
    this.constants.set(name, { name, dataType: DataType.INT64, dims, data: { kind: 'bytes', bytes } })
    return name
  }

  /** A float32 constant, named after what it is. */
  floats(label: string, values: number[], dims: number[] = [values.length]): string {
    const name = `${this.#root}.const.${label}`
    const bytes = new Uint8Array(new Float32Array(values).buffer)
    this.constants.set(name, { name, dataType: DataType.FLOAT, dims, data: { kind: 'bytes', bytes } })
    return name
  }

  scalar(value: number): string {
    return this.floats(`float.${value}`, [value], [])
  }

  /** 2-D convolution with bias over NCHW. `gain` scales the variance relative to 1/fan_in. */
  conv(
    module: string,
    input: Value,
    outChannels: number,
    kernel: number,
    options: { stride?: number; gain?: number } = {},
  ): Value {
    const [batch = 1, channels = 0, height = 0, width = 0] = input.dims
    const stride = options.stride ?? 1
    const pad = (kernel - 1) / 2
    const std = Math.sqrt((options.gain ?? 1) / (channels * kernel * kernel))
    const weight = this.weight(module, 'weight', [outChannels, channels, kernel, kernel], {
      kind: 'normal',
      std,
    })
    const bias = this.weight(module, 'bias', [outChannels], { kind: 'normal', std: 0.02 })
    return this.single(
      module,
      'Conv',
      [input.name, weight, bias],
      [batch, outChannels, height / stride, width / stride],
      {
        dilations: { ints: [1, 1] },
        group: { int: 1 },
        kernel_shape: { ints: [kernel, kernel] },
        pads: { ints: [pad, pad, pad, pad] },
        strides: { ints: [stride, stride] },
      },
    )
  }

  /** A linear layer over the last axis: Gemm for rank 2, MatMul (weight stored transposed) and Add above. */
  linear(
    module: string,
    input: Value,
    outFeatures: number,
    options: { bias?: boolean; gain?: number } = {},
  ): Value {
    const inFeatures = input.dims.at(-1) ?? 0
    const dims = [...input.dims.slice(0, -1), outFeatures]
    const fill = { kind: 'normal' as const, std: Math.sqrt((options.gain ?? 1) / inFeatures) }
    if (input.dims.length === 2) {
      const weight = this.weight(module, 'weight', [outFeatures, inFeatures], fill)
      const bias = this.weight(module, 'bias', [outFeatures], { kind: 'normal', std: 0.02 })
      return this.single(module, 'Gemm', [input.name, weight, bias], dims, {
        alpha: { float: 1 },
        beta: { float: 1 },
        transB: { int: 1 },
      })
    }
    const weight = this.weight(module, 'weight', [inFeatures, outFeatures], fill)
    const product = this.single(module, 'MatMul', [input.name, weight], dims)
    if (options.bias === false) return product
    const bias = this.weight(module, 'bias', [outFeatures], { kind: 'normal', std: 0.02 })
    return this.single(module, 'Add', [bias, product.name], dims)
  }

  /** GroupNorm as exported at opset 17: InstanceNormalization over reshaped groups, then Mul and Add per channel. */
  groupNorm(module: string, input: Value, groups: number, epsilon: number): Value {
    const [batch = 1, channels = 0] = input.dims
    const spatial = input.dims.slice(2)
    const elements = spatial.reduce((product, size) => product * size, channels / groups)
    const ones = this.floats(`ones.${groups}`, Array<number>(groups).fill(1))
    const zeros = this.floats(`zeros.${groups}`, Array<number>(groups).fill(0))
    const grouped = this.single(
      module,
      'Reshape',
      [input.name, this.integers([batch, groups, -1])],
      [batch, groups, elements],
    )
    const normed = this.single(module, 'InstanceNormalization', [grouped.name, ones, zeros], grouped.dims, {
      epsilon: { float: epsilon },
    })
    const back = this.single(module, 'Reshape', [normed.name, this.integers(input.dims)], input.dims)
    const affine = [channels, ...spatial.map(() => 1)]
    const weight = this.weight(module, 'weight', affine, { kind: 'constant', value: 1 })
    const scaled = this.single(module, 'Mul', [back.name, weight], input.dims)
    const bias = this.weight(module, 'bias', affine, { kind: 'constant', value: 0 })
    return this.single(module, 'Add', [scaled.name, bias], input.dims)
  }

  layerNorm(module: string, input: Value): Value {
    const features = input.dims.at(-1) ?? 0
    const weight = this.weight(module, 'weight', [features], { kind: 'constant', value: 1 })
    const bias = this.weight(module, 'bias', [features], { kind: 'constant', value: 0 })
    return this.single(module, 'LayerNormalization', [input.name, weight, bias], input.dims, {
      axis: { int: -1 },
      epsilon: { float: 1e-5 },
    })
  }

  /** x * sigmoid(x). */
  silu(module: string, input: Value): Value {
    const gate = this.single(module, 'Sigmoid', [input.name], input.dims)
    return this.single(module, 'Mul', [input.name, gate.name], input.dims)
  }

  /** The exact form, with erf. */
  gelu(module: string, input: Value): Value {
    const scaled = this.single(module, 'Div', [input.name, this.scalar(Math.SQRT2)], input.dims)
    const erf = this.single(module, 'Erf', [scaled.name], input.dims)
    const shifted = this.single(module, 'Add', [erf.name, this.scalar(1)], input.dims)
    const product = this.single(module, 'Mul', [input.name, shifted.name], input.dims)
    return this.single(module, 'Mul', [product.name, this.scalar(0.5)], input.dims)
  }

  add(module: string, left: Value, right: Value): Value {
    return this.single(module, 'Add', [left.name, right.name], left.dims)
  }

  reshape(module: string, input: Value, dims: number[]): Value {
    return this.single(module, 'Reshape', [input.name, this.integers(dims)], dims)
  }

  transpose(module: string, input: Value, permutation: number[]): Value {
    const dims = permutation.map((axis) => input.dims[axis] ?? 0)
    return this.single(module, 'Transpose', [input.name], dims, { perm: { ints: permutation } })
  }

  /** Gives the output of the last node its public name. */
  rename(value: Value, name: string): Value {
    const last = this.nodes.at(-1)
    if (last?.outputs[0] !== value.name) throw new Error('only the newest value can be renamed')
    last.outputs[0] = name
    return { name, dims: value.dims }
  }

  /** `base`, then `base_1`, `base_2`, as the exporter numbers repeated operators of one module. */
  #uniqueNodeName(base: string): string {
    const seen = this.#nodeCounts.get(base) ?? 0
    this.#nodeCounts.set(base, seen + 1)
    return seen === 0 ? base : `${base}_${seen}`
  }
}
