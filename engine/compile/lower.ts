// Lowers a prepared model to the executable payload: weights in FP16, RoundFp16 between kernels, integer layers.
import { AppError } from '../../contract/errors/index.ts'
import { GraphView } from '../cost/graph-view.ts'
import type { ValueTypes } from '../cost/graph-view.ts'
import type { FusedKernel } from '../cost/fusion.ts'
import {
  DataType,
  allNames,
  capturedNames,
  elementCount,
  float16BitsToFloat32,
  hasShapeRule,
  inferShapes,
  makeNode,
  makeTensor,
  nodeLabel,
  removeUnusedInitializers,
  subgraphs,
  tensorToFloat32,
} from '../onnx/index.ts'
import type { Attribute, Graph, Model, Node, Tensor } from '../onnx/index.ts'
import { PAYLOAD_DOMAIN } from './integer-nodes.ts'
import { DeployLowering } from './lower-deploy.ts'
import { planRounding } from './rounding.ts'
import type { RoundingPlan } from './rounding.ts'
import { WeightStore, saturatedFloat16Bits } from './weights.ts'

/** Names of nodes that the compiler adds start with this, so that they can be taken out again. */
export const ROUND_PREFIX = 'aqw.round/'
export const WIDEN_PREFIX = 'aqw.widen/'

/** Weights below this size stay FLOAT (with rounded values): a Cast would cost more than it saves. */
const MIN_HALF_ELEMENTS = 32

/** ONNX Runtime 1.30 reads IR versions up to 10 everywhere. */
const MAX_IR_VERSION = 10

export interface LowerOptions {
  path: string
  /** Simulate FP16; otherwise FP32 is kept. */
  half: boolean
  /** AscendQuant computes in binary16 (not on Ascend 950). */
  quantInHalf: boolean
}

interface Shared {
  options: LowerOptions
  model: Model
  weights: WeightStore
  names: Set<string>
}

function renameValue(node: Node, from: string, to: string): void {
  node.inputs = node.inputs.map((name) => (name === from ? to : name))
  node.outputs = node.outputs.map((name) => (name === from ? to : name))
}

class GraphLowering {
  private readonly shared: Shared
  private readonly graph: Graph
  private readonly view: GraphView
  private readonly rounding: RoundingPlan
  private readonly deploy: DeployLowering
  private readonly initializers = new Map<string, Tensor>()
  private readonly nodes: Node[] = []
  /** Names under which device nodes read values whose own name means something else. */
  private readonly roundedName = new Map<string, string>()

  constructor(shared: Shared, graph: Graph, types: ValueTypes, kernels?: readonly FusedKernel[]) {
    this.shared = shared
    this.graph = graph
    this.view = new GraphView(graph, types)
    this.rounding = shared.options.half
      ? planRounding(this.view, kernels)
      : { values: new Set(), readsRounded: () => false }
    this.deploy = new DeployLowering({
      path: shared.options.path,
      graph,
      half: shared.options.half,
      quantInHalf: shared.options.quantInHalf,
      fresh: (base) => this.fresh(base),
      constant: (name, tensor) => this.addConstant(name, tensor),
      dims: (name) => this.view.dims(name),
    })
  }

  private fresh(base: string): string {
    const { names } = this.shared
    let name = base
    for (let count = 1; names.has(name); count++) name = `${base}_${count}`
    names.add(name)
    return name
  }

  private addConstant(name: string, tensor: Tensor): string {
    if (!this.initializers.has(name))
      this.initializers.set(name, this.shared.weights.place(tensor, name, false))
    return name
  }

  run(): Graph {
    for (const tensor of this.graph.initializers.values()) this.lowerWeight(tensor)
    this.roundInputs()
    for (const node of this.graph.nodes) this.lowerNode(node)
    const lowered: Graph = {
      ...this.graph,
      nodes: this.nodes,
      initializers: this.initializers,
      valueInfo: [],
    }
    removeUnusedInitializers(lowered)
    return lowered
  }

  private isFloat(name: string): boolean {
    return this.view.types.get(name)?.dataType === DataType.FLOAT
  }

  /** How the graph reads a value: as device data, exactly, or both. */
  private uses(name: string): { rounded: boolean; exact: boolean } {
    let rounded = false
    let exact = this.view.outputs.has(name)
    for (const node of this.view.consumers.get(name) ?? []) {
      if (capturedNames(node).has(name)) exact = true
      node.inputs.forEach((input, position) => {
        if (input !== name) return
        if (this.rounding.readsRounded(node, position)) rounded = true
        else exact = true
      })
    }
    return { rounded, exact }
  }

  private lowerWeight(tensor: Tensor): void {
    const { name } = tensor
    if (tensor.dataType === DataType.UINT64 && this.isDequantScale(name)) return
    const { rounded, exact } =
      tensor.dataType === DataType.FLOAT ? this.uses(name) : { rounded: false, exact: true }
    if (exact || !rounded) this.initializers.set(name, this.shared.weights.place(tensor, name, false))
    if (!rounded) return
    const target = exact ? this.fresh(`${name}.rounded`) : name
    if (exact) this.roundedName.set(name, target)
    if (elementCount(tensor.dims) < MIN_HALF_ELEMENTS) {
      const values = tensorToFloat32(tensor).map((value) => float16BitsToFloat32(saturatedFloat16Bits(value)))
      const small = makeTensor(target, DataType.FLOAT, tensor.dims, values)
      this.initializers.set(target, this.shared.weights.place(small, target, false))
      return
    }
    const half = this.fresh(`${name}.fp16`)
    this.initializers.set(half, this.shared.weights.place(tensor, half, true))
    const attributes = { to: DataType.FLOAT }
    this.nodes.push(
      makeNode({ opType: 'Cast', name: WIDEN_PREFIX + name, inputs: [half], outputs: [target], attributes }),
    )
  }

  /** Packed scales of AscendDequant are unpacked by its lowering. */
  private isDequantScale(name: string): boolean {
    return (this.view.consumers.get(name) ?? []).every((node) => node.opType === 'AscendDequant')
  }

  private round(input: string, output: string): Node {
    const name = ROUND_PREFIX + output
    return makeNode({ opType: 'RoundFp16', domain: PAYLOAD_DOMAIN, name, inputs: [input], outputs: [output] })
  }

  private roundInputs(): void {
    if (!this.shared.options.half) return
    for (const info of this.graph.inputs) {
      if (info.elementType !== DataType.FLOAT || !this.uses(info.name).rounded) continue
      const target = this.fresh(`${info.name}.rounded`)
      this.roundedName.set(info.name, target)
      this.nodes.push(this.round(info.name, target))
    }
  }

  private readRounded(node: Node): Node {
    const inputs = node.inputs.map((input, position) => {
      const target = this.roundedName.get(input)
      return target && this.rounding.readsRounded(node, position) ? target : input
    })
    return { ...node, inputs }
  }

  private lowerNode(source: Node): void {
    this.check(source)
    const node = this.lowerSubgraphs(this.readRounded(source))
    const lowered = this.deploy.lower(node) ?? [node]
    if (this.view.staticNodes.has(source)) {
      this.nodes.push(...lowered)
      this.roundStatic(source)
      return
    }
    // AscendDequant and AscendAntiQuant round by themselves.
    const roundsItself = lowered.at(-1)!.domain === PAYLOAD_DOMAIN
    const targets = roundsItself ? [] : source.outputs.filter((output) => this.rounding.values.has(output))
    const rounds = targets.map((output) => {
      const exact = this.fresh(`${output}.fp32`)
      for (const inner of lowered) renameValue(inner, output, exact)
      return this.round(exact, output)
    })
    this.nodes.push(...lowered, ...rounds)
  }

  /** A value computed at compile time is stored in FP16 for the kernels that read it. */
  private roundStatic(node: Node): void {
    for (const output of node.outputs) {
      if (!this.isFloat(output) || !this.uses(output).rounded) continue
      const target = this.fresh(`${output}.rounded`)
      this.roundedName.set(output, target)
      this.nodes.push(this.round(output, target))
    }
  }

  private check(node: Node): void {
    const { path } = this.shared.options
    const facts = { path, node: nodeLabel(node), opType: node.opType }
    if (node.domain === '' && /^(De)?[qQ]uantizeLinear$/.test(node.opType))
      throw new AppError('E_COMPILE_QDQ', facts)
    if (node.domain !== '') {
      const reason = `ATC has no parser for operators of domain "${node.domain}"`
      throw new AppError('E_COMPILE_UNSUPPORTED', { ...facts, reason })
    }
    if (!hasShapeRule(node) && subgraphs(node).length === 0) {
      throw new AppError('E_COMPILE_UNSUPPORTED', {
        ...facts,
        reason: 'the compiler does not know this operator',
      })
    }
  }

  private lowerSubgraphs(node: Node): Node {
    if (subgraphs(node).length === 0) return node
    const lower = (graph: Graph): Graph => {
      const types = this.innerTypes(node, graph)
      return new GraphLowering(this.shared, graph, types).run()
    }
    const attributes = node.attributes.map((attribute): Attribute => {
      if (attribute.type === 'graph') return { ...attribute, value: lower(attribute.value) }
      if (attribute.type === 'graphs') return { ...attribute, value: attribute.value.map(lower) }
      return attribute
    })
    return { ...node, attributes }
  }

  /** Types inside a subgraph: captured values become inputs of a model of its own. */
  private innerTypes(node: Node, graph: Graph): ValueTypes {
    const captured = [...capturedNames(node)].map((name) => {
      const type = this.view.types.get(name)
      const shape = type?.dims?.map((dim) => (dim === null ? {} : { value: dim }))
      return { name, elementType: type?.dataType, shape }
    })
    return inferShapes({ ...this.shared.model, graph: { ...graph, inputs: [...graph.inputs, ...captured] } })
  }
}

/**
 * The payload of a prepared model. Its weights are placeholders whose bytes `weights` supplies.
 * @throws E_COMPILE_UNSUPPORTED, E_COMPILE_QDQ, E_COMPILE_DEPLOY
 */
export function lowerModel(
  model: Model,
  types: ValueTypes,
  kernels: readonly FusedKernel[],
  weights: WeightStore,
  options: LowerOptions,
): Model {
  const shared: Shared = { options, model, weights, names: allNames(model.graph) }
  const graph = new GraphLowering(shared, model.graph, types, kernels).run()
  return {
    ...model,
    irVersion: Math.min(model.irVersion, MAX_IR_VERSION),
    opsetImports: [...model.opsetImports, { domain: PAYLOAD_DOMAIN, version: 1 }],
    graph,
  }
}
