// From Ascend's deploy form to a model that ONNX Runtime runs: the integer layers and their scales are read back into a plan,
// and the writer of the runnable twin writes it as QuantizeLinear / DequantizeLinear.
import { AppError } from '../../../contract/errors/index.ts'
import { type InteropNote, makeNote } from '../../../contract/interop.ts'
import { FreshNames } from '../../calibration/fresh-names.ts'
import {
  cloneModel,
  DataType,
  floatAttribute,
  type Graph,
  intAttribute,
  makeNode,
  makeScalar,
  type Model,
  type Node,
  nodeLabel,
  removeUnusedInitializers,
  type Tensor,
  upgradeOpset,
  validateModel,
} from '../../onnx/index.ts'
import { buildFakeQuantModel } from '../fake-quant-writer.ts'
import type { LayerPlan, PoolPlan, QuantizationPlan, SharedQuant } from '../plan.ts'
import { putInitializer } from '../rewrite.ts'
import { WEIGHT_ONLY_PRODUCT } from '../weight-only.ts'
import { anatomyOf } from './anatomy.ts'
import { AscendLayers, type DeployLayer, type QuantGrid } from './ascend-layers.ts'
import type { Conversion } from './to-ascend.ts'

/** DequantizeLinear has one scale per channel from this opset on. */
const PER_CHANNEL_OPSET = 13
/** int8 -> uint8: the same grid, shifted. */
const UINT8_SHIFT = 128
const ASCEND = /^Ascend(Quant|Dequant|AntiQuant|WeightQuant)$/

/** @throws E_CONVERT_MODEL for models in other forms */
function checkForm(model: Model): void {
  const { nodes } = model.graph
  const refuse = (reason: string, expected: string): AppError =>
    new AppError('E_CONVERT_MODEL', { path: model.path ?? 'the model', reason, expected })
  if (!nodes.some((node) => ASCEND.test(node.opType) || node.opType === WEIGHT_ONLY_PRODUCT)) {
    throw refuse("it is not in Ascend's form: it holds no AscendQuant", 'Give a deploy model.')
  }
  const other = nodes.find((node) => /^(AscendRequant|AscendRequantS16|AscendDequantS16)$/.test(node.opType))
  if (other) {
    throw refuse(
      `${nodeLabel(other)} is ${other.opType}`,
      'Give the deploy model as it is before atc fuses it.',
    )
  }
}

class QdqConverter {
  readonly #model: Model
  readonly #graph: Graph
  readonly #found: AscendLayers
  #names: FreshNames
  readonly #quants = new Map<string, SharedQuant>()
  readonly #weights = new Map<string, Tensor>()
  readonly notes: InteropNote[] = []

  constructor(source: Model) {
    this.#model = cloneModel(upgradeOpset(source, PER_CHANNEL_OPSET))
    this.#graph = this.#model.graph
    this.#found = new AscendLayers(this.#model)
    this.#names = new FreshNames(this.#model)
  }

  convert(): Model {
    const layers = this.#found.layers()
    const kept = this.#keptQuants(layers)
    this.#dissolve(layers, kept)
    // Names of what is gone are free again.
    this.#names = new FreshNames(this.#model)
    const plans = layers.map((layer) => this.#prepare(layer))
    this.#replaceQuants(kept)
    this.#replaceWeightOnly()
    const place = new Map(this.#graph.nodes.map((node, index) => [node, index]))
    const made = plans.map((make) => make(place))
    const plan: QuantizationPlan = {
      layers: made.flatMap((entry) => ('anatomy' in entry ? [entry] : [])),
      weightOnly: [],
      pools: made.flatMap((entry) => ('anatomy' in entry ? [] : [entry])),
      names: this.#names,
    }
    const model = buildFakeQuantModel(this.#model, plan)
    removeUnusedInitializers(model.graph)
    return model
  }

  /** AscendQuant nodes whose integers something besides integer layers reads. */
  #keptQuants(layers: readonly DeployLayer[]): Set<Node> {
    const outputs = new Set(this.#graph.outputs.map((output) => output.name))
    const computing = new Set(layers.map((layer) => layer.node))
    const kept = new Set<Node>()
    for (const node of this.#graph.nodes) {
      if (node.opType === 'AscendAntiQuant') {
        const quant = this.#found.quantOf(node.inputs[0] ?? '')
        if (!quant) throw this.#found.refuse(node, 'its input is not quantized', 'AscendQuant before it')
        kept.add(quant)
      }
      const end = node.outputs.find((output) => outputs.has(output))
      const quant = end === undefined || computing.has(node) ? undefined : this.#found.quantOf(end)
      if (quant) kept.add(quant)
    }
    return kept
  }

  /**
   * Lets layers read what was quantized, and writes their results under the names of the dequantized ones. An AscendQuant
   * that others need too stays beside.
   */
  #dissolve(layers: readonly DeployLayer[], kept: ReadonlySet<Node>): void {
    const quants = this.#graph.nodes.filter((node) => node.opType === 'AscendQuant')
    const behind = new Map(quants.map((node) => [node.outputs[0] ?? '', node.inputs[0] ?? '']))
    const moved = this.#movedForKept(kept)
    for (const node of this.#graph.nodes) {
      if (node.opType === 'AscendAntiQuant' || moved.has(node)) continue
      node.inputs = node.inputs.map((input) => behind.get(input) ?? input)
    }
    const gone = new Set<Node>(quants.filter((node) => !kept.has(node)))
    for (const { node, add, dequant, relu } of layers) {
      const last = add ?? node
      const [output = ''] = dequant.outputs
      gone.add(dequant)
      last.outputs[0] = output
      if (!relu) continue
      const name = this.#names.take(`${nodeLabel(dequant)}.relu`)
      last.outputs[0] = `${name}.input0`
      const after = makeNode({ opType: 'Relu', name, inputs: [`${name}.input0`], outputs: [output] })
      this.#graph.nodes.splice(this.#graph.nodes.indexOf(last) + 1, 0, after)
      this.notes.push(makeNote('dequant_relu', { layer: nodeLabel(node) }))
    }
    const weights = this.#graph.nodes.filter((node) => node.opType === 'AscendWeightQuant')
    this.#graph.nodes = this.#graph.nodes.filter((node) => !gone.has(node) && !weights.includes(node))
    const values = new Set([...gone].flatMap((node) => node.inputs))
    this.#graph.valueInfo = this.#graph.valueInfo.filter((info) => !values.has(info.name))
  }

  /** Operators that move the integers of a kept AscendQuant on to an AscendAntiQuant or an output. */
  #movedForKept(kept: ReadonlySet<Node>): Set<Node> {
    const moved = new Set<Node>()
    const pending = this.#graph.nodes
      .filter((node) => node.opType === 'AscendAntiQuant')
      .map((node) => node.inputs[0] ?? '')
    pending.push(...this.#graph.outputs.map((output) => output.name))
    for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
      const producer = this.#found.index.producers.get(value)
      const quant = this.#found.quantOf(value)
      if (!producer || !quant || !kept.has(quant) || producer === quant) continue
      moved.add(producer)
      pending.push(producer.inputs[0] ?? '')
    }
    return moved
  }

  #quant(layer: string, tensor: string, { scale, offset }: QuantGrid, float16: boolean): SharedQuant {
    const key = JSON.stringify([tensor, scale, offset])
    const known = this.#quants.get(key)
    if (known) return known
    const quant = { name: this.#names.take(`${layer}.quant`), tensor, scale, offset, float16 }
    this.#quants.set(key, quant)
    return quant
  }

  /** The weight as the layer computes with it, once for all layers that share it. */
  #weight({ name, tensor, rewritten }: NonNullable<DeployLayer['weight']>): Tensor {
    const key = JSON.stringify([name, tensor.dims])
    const known = this.#weights.get(key)
    if (known) return known
    const written = { ...tensor, name: rewritten ? this.#names.take(`${name}.int8`) : name }
    this.#weights.set(key, written)
    return written
  }

  #prepare(layer: DeployLayer): (place: ReadonlyMap<Node, number>) => LayerPlan | PoolPlan {
    const { node, add, grid, steps, float16 } = layer
    const name = nodeLabel(node)
    const tensor = node.inputs[0] ?? ''
    const quant = this.#quant(name, tensor, grid, float16)
    const { scale, offset } = grid
    const [min, max] = [(-128 - offset) * scale, (127 - offset) * scale]
    const activation = { tensor, min, max, scale, offset, symmetric: offset === 0 }
    const output = (add ?? node).outputs[0] ?? ''
    if (!layer.weight) {
      return (place) => {
        const index = place.get(node) ?? 0
        return { name, nodeIndex: index, readerIndex: index, output, quant, activation }
      }
    }
    const weight = this.#weight(layer.weight)
    putInitializer(this.#model, weight)
    node.inputs[1] = weight.name
    const scales = steps.map((step) => step / scale)
    const bias = layer.bias && { ...layer.bias, dims: [layer.bias.dims.reduce((a, b) => a * b, 1)] }
    const placed = { node, add, activation: tensor, weight, bias, float16 }
    return (place) => ({
      name,
      anatomy: anatomyOf(placed, place),
      precision: layer.weight?.bits === 4 ? 'w4a8' : 'int8',
      quant,
      activation,
      weight,
      scales,
      ...(bias && { bias }),
    })
  }

  /** AscendQuant and AscendAntiQuant that stay become a pair; int8 where the integers leave the model. */
  #replaceQuants(kept: ReadonlySet<Node>): void {
    const outputs = new Set(this.#graph.outputs.map((output) => output.name))
    const signed = new Set<Node>()
    for (const name of outputs) {
      const quant = this.#found.quantOf(name)
      if (quant) signed.add(quant)
    }
    const factors = (node: Node, scale: number, offset: number, int8: boolean): string[] => {
      const base = this.#names.take(nodeLabel(node))
      const point = int8 ? offset : offset + UINT8_SHIFT
      putInitializer(this.#model, makeScalar(`${base}.scale`, DataType.FLOAT, scale))
      const type = int8 ? DataType.INT8 : DataType.UINT8
      putInitializer(this.#model, makeScalar(`${base}.zero_point`, type, point))
      return [`${base}.scale`, `${base}.zero_point`]
    }
    this.#graph.nodes = this.#graph.nodes.map((node) => {
      const inputs = [node.inputs[0] ?? '']
      if (kept.has(node)) {
        const { scale, offset } = this.#found.grid(node)
        inputs.push(...factors(node, scale, offset, signed.has(node)))
        return makeNode({ opType: 'QuantizeLinear', name: node.name, inputs, outputs: node.outputs })
      }
      if (node.opType !== 'AscendAntiQuant') return node
      const quant = this.#found.quantOf(node.inputs[0] ?? '')
      const scale = floatAttribute(node, 'scale')
      const offset = floatAttribute(node, 'offset', 0)
      inputs.push(...factors(node, scale, offset, quant !== undefined && signed.has(quant)))
      return makeNode({ opType: 'DequantizeLinear', name: node.name, inputs, outputs: node.outputs })
    })
  }

  /** CANN's weight-only product: the weight times its scale, then a product in FP16. */
  #replaceWeightOnly(): void {
    this.#graph.nodes = this.#graph.nodes.flatMap((node): Node[] => {
      if (node.opType !== WEIGHT_ONLY_PRODUCT) return [node]
      const [x = '', weight = '', scale = ''] = node.inputs
      if (intAttribute(node, 'antiquant_group_size', 0) !== 0 || (node.inputs[3] ?? '') !== '') {
        throw this.#found.refuse(
          node,
          'it has groups or an offset',
          'one scale per output channel, no offset',
        )
      }
      const base = this.#names.take(`${nodeLabel(node)}.weight`)
      const to = DataType.FLOAT16
      return [
        makeNode({
          opType: 'Cast',
          name: `${base}.cast`,
          inputs: [weight],
          outputs: [`${base}.cast.output0`],
          attributes: { to },
        }),
        makeNode({
          opType: 'Mul',
          name: `${base}.mul`,
          inputs: [`${base}.cast.output0`, scale],
          outputs: [`${base}.mul.output0`],
        }),
        makeNode({
          opType: 'MatMul',
          name: node.name,
          inputs: [x, `${base}.mul.output0`],
          outputs: node.outputs,
        }),
      ]
    })
  }
}

/**
 * Converts a deploy model to QDQ.
 * @throws E_CONVERT_MODEL, E_CONVERT_LAYER, E_ONNX_*
 */
export function convertAscendToQdq(model: Model): Conversion {
  validateModel(model)
  checkForm(model)
  const converter = new QdqConverter(model)
  return { model: converter.convert(), notes: converter.notes }
}
