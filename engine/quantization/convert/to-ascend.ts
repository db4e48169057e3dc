// From QuantizeLinear / DequantizeLinear to Ascend's deploy form: layers whose input and weight are quantized become integer
// layers, quantized inputs of an Add become AscendQuant and AscendAntiQuant (as AMCT's convert_qat_model does), and what is
// left goes back to floating point with a note.
import { AppError } from '../../../contract/errors/index.ts'
import { type InteropNote, makeNote } from '../../../contract/interop.ts'
import type { ActivationQuantization } from '../../../contract/quantization.ts'
import { FreshNames } from '../../calibration/fresh-names.ts'
import {
  cloneModel,
  DataType,
  type Graph,
  indexGraph,
  makeNode,
  makeTensor,
  type Model,
  type Node,
  nodeLabel,
  removeUnusedInitializers,
  subgraphs,
  type Tensor,
  validateModel,
  visitGraphs,
} from '../../onnx/index.ts'
import { buildDeployModel } from '../deploy-writer.ts'
import type { LayerPlan, PoolPlan, QuantizationPlan, SharedQuant } from '../plan.ts'
import { putInitializer } from '../rewrite.ts'
import { quantAttributeScale } from '../rules.ts'
import { memoryStore, type WeightStore } from '../weight-spill.ts'
import { anatomyOf } from './anatomy.ts'
import { isPair } from './constants.ts'
import { integerBias } from './layer-weights.ts'
import type { Grid } from './pairs.ts'
import { type FoundInput, type FoundLayer, type FoundPool, nodeNames, QdqLayers } from './qdq-layers.ts'

export interface Conversion {
  model: Model
  notes: InteropNote[]
}

/** The integer operators of ONNX, which come from ONNX Runtime's other format. */
const OPERATOR_FORMAT = /^(QLinear\w+|ConvInteger|MatMulInteger|DynamicQuantizeLinear)$/

/** @throws E_CONVERT_MODEL for models in other forms */
function checkForm(model: Model): void {
  const refuse = (reason: string, expected: string): AppError =>
    new AppError('E_CONVERT_MODEL', { path: model.path ?? 'the model', reason, expected })
  const { nodes } = model.graph
  const integer = nodes.find((node) => OPERATOR_FORMAT.test(node.opType))
  if (integer) {
    const expected =
      'Quantize with quant_format=QuantFormat.QDQ: pairs of QuantizeLinear and DequantizeLinear.'
    throw refuse(`${nodeLabel(integer)} is ${integer.opType}`, expected)
  }
  const ascend = nodes.find((node) => /^Ascend(Quant|Dequant|AntiQuant|WeightQuant)$/.test(node.opType))
  if (ascend)
    throw refuse(`it is in Ascend's form already (${nodeLabel(ascend)})`, 'Use --to qdq to go back.')
  for (const node of nodes) {
    for (const inner of subgraphs(node)) {
      visitGraphs(inner, (graph) => {
        if (!graph.nodes.some(isPair)) return
        const reason = `the branches of ${nodeLabel(node)} (${node.opType}) hold QuantizeLinear nodes`
        throw refuse(reason, 'Only the main graph may be quantized.')
      })
    }
  }
  if (!nodes.some(isPair)) {
    throw refuse(
      'it holds no QuantizeLinear and DequantizeLinear',
      'Give a model that was quantized in QDQ format.',
    )
  }
}

function quantNode(name: string, tensor: string, output: string, grid: Pick<Grid, 'scale' | 'offset'>): Node {
  return makeNode({
    opType: 'AscendQuant',
    name,
    inputs: [tensor],
    outputs: [output],
    attributes: {
      scale: { float: quantAttributeScale(grid.scale) },
      offset: { float: grid.offset },
      dst_type: 'INT8',
    },
  })
}

/** AscendQuant nodes of one tensor with equal factors become one (AMCT, QuantFusion). */
function mergeEqualQuants(graph: Graph): void {
  const outputs = new Set(graph.outputs.map((output) => output.name))
  const first = new Map<string, string>()
  const renamed = new Map<string, string>()
  const factor = (node: Node, name: string): unknown => {
    const attribute = node.attributes.find((candidate) => candidate.name === name)
    return attribute?.type === 'float' ? attribute.value : null
  }
  graph.nodes = graph.nodes.filter((node) => {
    const [output = ''] = node.outputs
    if (node.opType !== 'AscendQuant') return true
    const key = JSON.stringify([node.inputs[0], factor(node, 'scale'), factor(node, 'offset')])
    const known = first.get(key)
    if (known === undefined || outputs.has(output)) {
      if (known === undefined) first.set(key, output)
      return true
    }
    renamed.set(output, known)
    return false
  })
  for (const node of graph.nodes) node.inputs = node.inputs.map((input) => renamed.get(input) ?? input)
}

class AscendConverter {
  readonly #model: Model
  readonly #graph: Graph
  readonly #found: QdqLayers
  readonly #names: FreshNames
  readonly #quants = new Map<string, SharedQuant>()
  readonly #weights = new Map<string, Tensor>()
  /** Values that got another name, because outputs of the model keep theirs. */
  readonly #renamed = new Map<string, string>()

  constructor(source: Model) {
    this.#model = cloneModel(source)
    this.#graph = this.#model.graph
    this.#found = new QdqLayers(this.#model)
    this.#names = new FreshNames(this.#model)
  }

  get notes(): InteropNote[] {
    return this.#found.notes
  }

  convert(store: WeightStore): Model {
    const found = this.#found
    found.pairs.check(this.#graph)
    const layers = found.layers()
    const pools = found.pools()
    const additions = found.additions(new Set(layers.flatMap((layer) => layer.add ?? [])))
    found.noteDropped()
    this.#dissolvePairs()
    const plans = layers.map((layer) => this.#layerPlan(layer))
    const poolPlans = pools.map((pool) => this.#poolPlan(pool))
    for (const addition of additions) this.#quantizeInput(addition)
    this.#unpackConstants()
    const place = new Map(this.#graph.nodes.map((node, index) => [node, index]))
    const plan: QuantizationPlan = {
      layers: plans.map((make) => make(place)),
      weightOnly: [],
      pools: poolPlans.map((make) => make(place)),
      names: this.#names,
    }
    const deploy = buildDeployModel(this.#model, plan, store)
    mergeEqualQuants(deploy.graph)
    removeUnusedInitializers(deploy.graph)
    return deploy
  }

  /** The tensor that a DequantizeLinear's output was made from, by its present name. */
  #tensor(value: string): string {
    const tensor = this.#found.behind(value)
    return this.#renamed.get(tensor) ?? tensor
  }

  /** Lets every reader of a pair read what was quantized. A lone Q before an output of the model stays. */
  #dissolvePairs(): void {
    const found = this.#found
    const outputs = new Set(this.#graph.outputs.map((output) => output.name))
    const pairs = this.#graph.nodes.filter((node) => found.isActivationPair(node))
    const lone = new Set(
      pairs.filter((node) => node.opType === 'QuantizeLinear' && outputs.has(node.outputs[0] ?? '')),
    )
    const gone = new Set(pairs.filter((node) => !lone.has(node)))
    const replaced = new Map(
      pairs.map((node) => [node.outputs[0] ?? '', found.behind(node.outputs[0] ?? '')] as const),
    )
    this.#graph.nodes = this.#graph.nodes.filter((node) => !gone.has(node))
    for (const node of this.#graph.nodes) {
      node.inputs = node.inputs.map((input) => replaced.get(input) ?? input)
    }
    for (const node of lone) this.#quantizeOutput(node)
    for (const node of gone) {
      const [output = ''] = node.outputs
      if (outputs.has(output)) this.#restoreOutput(output, this.#tensor(output))
    }
    const values = new Set(replaced.keys())
    this.#graph.valueInfo = this.#graph.valueInfo.filter((info) => !values.has(info.name))
  }

  /** An output of the model that is quantized: AscendQuant gives int8. */
  #quantizeOutput(node: Node): void {
    const grid = this.#found.pairs.grid(node)
    const [output = ''] = node.outputs
    const [tensor = ''] = node.inputs
    if (grid.shift !== 0) {
      this.notes.push(makeNote('output_quantized', { tensor: output, type: 'uint8', shift: grid.shift }))
    }
    for (const info of this.#graph.outputs) if (info.name === output) info.elementType = DataType.INT8
    const name = node.name || this.#names.take(`${output}.quant`)
    this.#graph.nodes[this.#graph.nodes.indexOf(node)] = quantNode(name, tensor, output, grid)
  }

  /** An output of the model that was dequantized keeps its name. */
  #restoreOutput(name: string, source: string): void {
    this.notes.push(makeNote('output_pair_dropped', { tensor: name }))
    const taken = this.#graph.outputs.some((output) => output.name === source)
    const produced = this.#graph.nodes.some((node) => node.outputs.includes(source))
    if (produced && !taken) {
      this.#renamed.set(source, name)
      for (const node of this.#graph.nodes) {
        node.outputs = node.outputs.map((output) => (output === source ? name : output))
        node.inputs = node.inputs.map((input) => (input === source ? name : input))
      }
      return
    }
    const identity = this.#names.take(`${name}.identity`)
    this.#graph.nodes.push(
      makeNode({ opType: 'Identity', name: identity, inputs: [source], outputs: [name] }),
    )
  }

  #quant(layer: string, tensor: string, grid: Grid): SharedQuant {
    const key = JSON.stringify([tensor, grid.scale, grid.offset])
    const known = this.#quants.get(key)
    if (known) return known
    const { scale, offset, float16 } = grid
    const quant = { name: this.#names.take(`${layer}.quant`), tensor, scale, offset, float16 }
    this.#quants.set(key, quant)
    return quant
  }

  #activation(tensor: string, { scale, offset }: Grid): ActivationQuantization {
    const [min, max] = [(-128 - offset) * scale, (127 - offset) * scale]
    return { tensor, min, max, scale, offset, symmetric: offset === 0 }
  }

  /** The weight of a layer, stored once for all layers that share it. */
  #weight({ weight, weightName, node }: FoundLayer): Tensor {
    const { dims, data, scales, bits } = weight
    const key = JSON.stringify([weightName, dims, bits, [...scales], node.opType])
    const known = this.#weights.get(key)
    if (known) return known
    const stored = this.#found.constants.stored(weightName)
    const name = stored?.data === data ? weightName : this.#names.take(`${weightName}.int8`)
    const tensor: Tensor = { name, dataType: DataType.INT8, dims, data }
    this.#weights.set(key, tensor)
    return tensor
  }

  #bias(layer: FoundLayer, name: string): Tensor | undefined {
    if (!layer.bias) return undefined
    const { values, overflow, error } = integerBias(layer.bias, layer.grid.scale, layer.weight.scales)
    if (overflow) throw this.#found.overflow(layer, overflow.channel, overflow.value)
    if (error !== undefined) {
      this.notes.push(makeNote('bias_requantized', { layer: name, error: error.toPrecision(3) }))
    }
    return makeTensor(this.#names.take(`${name}.bias`), DataType.INT32, [values.length], values)
  }

  /** Puts integer weight and bias into the layer. @returns what makes its plan once positions of nodes are final */
  #layerPlan(layer: FoundLayer): (place: ReadonlyMap<Node, number>) => LayerPlan {
    const { node, add, grid } = layer
    const name = nodeLabel(node)
    const { requantized, scales, bits } = layer.weight
    if (requantized) {
      const error = requantized.error.toFixed(3)
      const details = { opType: node.opType, layer: name, count: requantized.count, error }
      this.notes.push(makeNote('weight_requantized', details))
    }
    const weight = this.#weight(layer)
    putInitializer(this.#model, weight)
    node.inputs[1] = weight.name
    const bias = this.#bias(layer, name)
    if (bias) putInitializer(this.#model, bias)
    if (bias && add) add.inputs = [node.outputs[0] ?? '', bias.name]
    else if (bias) node.inputs[2] = bias.name
    const tensor = this.#tensor(layer.input)
    const quant = this.#quant(name, tensor, grid)
    const placed = { node, add, activation: tensor, weight, bias, float16: grid.float16 }
    return (place) => ({
      name,
      anatomy: anatomyOf(placed, place),
      precision: bits === 4 ? 'w4a8' : 'int8',
      quant,
      activation: this.#activation(tensor, grid),
      weight,
      scales,
      ...(bias && { bias }),
    })
  }

  #poolPlan({ node, reader, grid, input }: FoundPool): (place: ReadonlyMap<Node, number>) => PoolPlan {
    const name = nodeLabel(node)
    const tensor = this.#tensor(input)
    const quant = this.#quant(name, tensor, grid)
    return (place) => ({
      name,
      nodeIndex: place.get(node) ?? 0,
      readerIndex: place.get(reader) ?? 0,
      output: node.outputs[0] ?? '',
      quant,
      activation: this.#activation(tensor, grid),
    })
  }

  /** AscendQuant and AscendAntiQuant before one input of an Add. */
  #quantizeInput({ node, position, grid, input }: FoundInput): void {
    const base = `${nodeLabel(node)}.input${position}`
    const quant = this.#names.take(`${base}.quant`)
    const back = this.#names.take(`${base}.anti_quant`)
    const added = [
      quantNode(quant, this.#tensor(input), `${quant}.output0`, grid),
      makeNode({
        opType: 'AscendAntiQuant',
        name: back,
        inputs: [`${quant}.output0`],
        outputs: [`${back}.output0`],
        attributes: { scale: { float: grid.scale }, offset: { float: grid.offset } },
      }),
    ]
    node.inputs[position] = `${back}.output0`
    this.#graph.nodes.splice(this.#graph.nodes.indexOf(node), 0, ...added)
  }

  /** Quantized constants that still are read become floating point, under the name of their DequantizeLinear. */
  #unpackConstants(): void {
    const outputs = new Set(this.#graph.outputs.map((output) => output.name))
    this.#removeUnread(outputs)
    const index = indexGraph(this.#graph)
    const remaining = this.#graph.nodes.filter((node) => {
      if (!isPair(node)) return true
      const [output = ''] = node.outputs
      const readers = (index.consumers.get(output) ?? []).filter((reader) => !isPair(reader))
      if (readers.length === 0 && !outputs.has(output)) return false
      const floats = this.#found.constants.floats(node)
      if (!floats) {
        throw this.#found.pairs.refuse(
          node,
          'its constant has scales per block',
          'one scale, or one per channel',
        )
      }
      putInitializer(this.#model, makeTensor(output, DataType.FLOAT, floats.dims, floats.values))
      const tensor = node.inputs[0] ?? ''
      this.notes.push(makeNote('constant_unpacked', { tensor, readers: nodeNames(readers) }))
      return false
    })
    this.#graph.nodes = remaining
    removeUnusedInitializers(this.#graph)
  }

  /** Transposes and the like that led from constants to layers. */
  #removeUnread(outputs: ReadonlySet<string>): void {
    const passing = new Set(['Transpose', 'Identity', 'Reshape', 'Mul', 'Cast', 'Constant'])
    for (let removed = true; removed;) {
      const { consumers } = indexGraph(this.#graph)
      const before = this.#graph.nodes.length
      this.#graph.nodes = this.#graph.nodes.filter((node) => {
        const read = node.outputs.some((output) => consumers.has(output) || outputs.has(output))
        return read || !passing.has(node.opType)
      })
      removed = this.#graph.nodes.length < before
    }
  }
}

/**
 * Converts a QDQ model (ONNX Runtime's quantize_static, PyTorch's QAT exports, our own twin) to the form ATC takes.
 * @param store Where packed weights are kept until the model is written; memory by default.
 * @throws E_CONVERT_MODEL, E_CONVERT_LAYER, E_BIAS_OVERFLOW, E_ONNX_*
 */
export function convertQdqToAscend(model: Model, store: WeightStore = memoryStore): Conversion {
  validateModel(model)
  checkForm(model)
  const converter = new AscendConverter(model)
  return { model: converter.convert(store), notes: converter.notes }
}
