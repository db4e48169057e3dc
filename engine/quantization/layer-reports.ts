// What became of every candidate layer: for the result and for the record file.
import type { LayerReport, LayerRounding, WeightQuantization } from '../../contract/quantization.ts'
import type { LayerName, Model, Node } from '../onnx/index.ts'
import type { ChosenLayer, LayerPlan, PoolPlan, QuantizationPlan, WeightOnlyPlan } from './plan.ts'
import type { LayerRecord } from './record-file.ts'
import type { Selection } from './selection.ts'

type Report = Omit<LayerReport, 'name' | 'opType' | 'modulePath' | 'quantized'>

function weightReport(plan: LayerPlan | WeightOnlyPlan, chosen: ChosenLayer | undefined): WeightQuantization {
  const group = 'groupSize' in plan ? plan.groupSize : 0
  return {
    name: plan.weight.name,
    dims: plan.weight.dims,
    bits: chosen?.weightBits ?? 8,
    method: chosen?.weightMethod ?? 'max_abs',
    ...(group > 0 && { groupSize: group }),
    scales: group > 0 ? [] : [...plan.scales],
  }
}

function integerReport(plan: LayerPlan, chosen: ChosenLayer | undefined): Report {
  return {
    precision: plan.precision,
    activation: plan.activation,
    weight: weightReport(plan, chosen),
    ...(plan.bias && { bias: plan.bias.name }),
  }
}

function weightOnlyReport(plan: WeightOnlyPlan, chosen: ChosenLayer | undefined): Report {
  return {
    precision: plan.precision,
    ...(plan.deployFloat && { deployFloat: plan.deployFloat.reason }),
    weight: weightReport(plan, chosen),
  }
}

function poolReport(plan: PoolPlan): Report {
  return { precision: 'int8', activation: plan.activation }
}

/** Reports of all candidates, in graph order. */
export function layerReports(
  model: Model,
  selection: Selection,
  plan: QuantizationPlan,
  roundings: ReadonlyMap<string, LayerRounding>,
): LayerReport[] {
  const nodeAt = (index: number): Node => model.graph.nodes[index] as Node
  const chosen = new Map(
    [...selection.chosen, ...selection.weightOnly].map((layer) => [nodeAt(layer.anatomy.nodeIndex), layer]),
  )
  const plans = new Map<Node, { name: string; report: Report }>()
  for (const layer of plan.layers) {
    const node = nodeAt(layer.anatomy.nodeIndex)
    plans.set(node, { name: layer.name, report: integerReport(layer, chosen.get(node)) })
  }
  for (const layer of plan.weightOnly) {
    const node = nodeAt(layer.anatomy.nodeIndex)
    plans.set(node, { name: layer.name, report: weightOnlyReport(layer, chosen.get(node)) })
  }
  for (const pool of plan.pools) {
    plans.set(nodeAt(pool.nodeIndex), { name: pool.name, report: poolReport(pool) })
  }
  const reportOf = ({ node, modulePath }: LayerName): LayerReport[] => {
    const planned = plans.get(node)
    const kept = selection.kept.get(node)
    if (!planned) return kept ? [kept] : []
    const fallback = chosen.get(node)?.fallback
    const rounding = roundings.get(planned.name)
    return [
      {
        name: planned.name,
        opType: node.opType,
        ...(modulePath !== undefined && { modulePath }),
        quantized: true,
        ...(fallback && { fallback }),
        ...planned.report,
        ...(rounding && { rounding }),
      },
    ]
  }
  return selection.candidates.flatMap(reportOf)
}

/** What the deploy model computes in: `fp16` when no layer of it is integer on the device. */
export function deployPrecision(layers: readonly LayerReport[]): 'int8' | 'fp16' {
  return layers.some((layer) => layer.quantized && layer.deployFloat === undefined) ? 'int8' : 'fp16'
}

function weightRecord(name: string, scales: Float32Array, bits: 8 | 4): LayerRecord {
  return {
    layer: name,
    scaleW: [...scales],
    offsetW: Array<number>(scales.length).fill(0),
    weightType: bits === 4 ? 'INT4' : 'INT8',
  }
}

/**
 * AMCT's record of a plan. Scales of groups have no place in it.
 * @param balanceFactors What the inputs of layers were divided by, by layer.
 */
export function planRecords(
  plan: QuantizationPlan,
  balanceFactors: ReadonlyMap<string, Float32Array> = new Map(),
): LayerRecord[] {
  const inputs = ({ activation }: LayerPlan | PoolPlan): Partial<LayerRecord> => ({
    scaleD: activation.scale,
    offsetD: activation.offset,
    activationType: 'INT8',
  })
  const balanceOf = (layer: string): Partial<LayerRecord> => {
    const factors = balanceFactors.get(layer)
    return factors ? { balanceFactors: [...factors] } : {}
  }
  return [
    ...plan.layers.map((layer) => ({
      ...weightRecord(layer.name, layer.scales, layer.precision === 'w4a8' ? 4 : 8),
      ...inputs(layer),
      ...balanceOf(layer.name),
    })),
    ...plan.weightOnly
      .filter((layer) => layer.groupSize === 0)
      .map((layer) => weightRecord(layer.name, layer.scales, layer.precision === 'w4a16' ? 4 : 8)),
    // AMCT: the weight scale of average pooling is 1.
    ...plan.pools.map((pool) => ({ ...weightRecord(pool.name, Float32Array.of(1), 8), ...inputs(pool) })),
  ]
}
