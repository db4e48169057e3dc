// Latency of a model on a device: its kernels, what each costs and why.
import type { CostTable, KernelCost, Precision, SocSpec } from '../../contract/cost.ts'
import type { Model, Node } from '../onnx/index.ts'
import { inferShapes, nodeLabel } from '../onnx/index.ts'
import { fuseKernels } from './fusion.ts'
import type { FusedKernel } from './fusion.ts'
import { GraphView } from './graph-view.ts'
import type { ValueTypes } from './graph-view.ts'
import { kernelTerms, termsTotal } from './kernel-time.ts'
import type { KernelWork } from './kernel-time.ts'
import { planLayouts } from './layout.ts'
import type { LayoutPlan } from './layout.ts'
import { costProfile, costValidation } from './profile.ts'
import type { CostProfile } from './profile.ts'
import { socSpec } from './soc.ts'
import { WorkModel } from './work.ts'

export interface EstimateOptions {
  soc: string
  precision: Precision
  /** Shapes of inputs that the model leaves open. */
  inputShapes?: Record<string, number[]>
}

/** Names that CANN's own compiler gives to the kernels. */
const DEVICE_TYPES: Readonly<Record<string, string>> = {
  Conv: 'Conv2D',
  ConvInteger: 'Conv2D',
  ConvTranspose: 'Conv2DTransposeD',
  Gemm: 'MatMulV2',
  MatMul: 'BatchMatMulV2',
  MatMulInteger: 'BatchMatMulV2',
  NPUWeightQuantBatchMatmulV2: 'WeightQuantBatchMatmulV2',
  Transpose: 'TransposeD',
  Concat: 'ConcatD',
  Split: 'SplitD',
  Slice: 'StridedSliceD',
  Gather: 'GatherV2',
  Resize: 'ResizeNearestNeighborV2',
  MaxPool: 'MaxPoolV3',
  AveragePool: 'AvgPoolV2',
  GlobalAveragePool: 'ReduceMeanD',
  LayerNormalization: 'LayerNorm',
  GroupNormalization: 'GroupNorm',
  Softmax: 'SoftmaxV2',
  Pad: 'PadV3D',
}

function has(kernel: FusedKernel, opType: string): boolean {
  return kernel.nodes.some((node) => node.opType === opType)
}

/** Kernel type in the device's words. */
export function deviceType(kernel: FusedKernel): string {
  const { main, kind } = kernel
  if (kind === 'norm' && has(kernel, 'InstanceNormalization')) return 'GroupNorm'
  if (kind === 'norm' && kernel.nodes.length > 1) return has(kernel, 'Sub') ? 'LayerNorm' : 'RmsNorm'
  if (kind === 'softmax') return 'SoftmaxV2'
  if (kind === 'elementwise' && has(kernel, 'Erf')) return 'Gelu'
  if (kind === 'elementwise' && has(kernel, 'Sigmoid') && has(kernel, 'Mul')) return 'Swish'
  return DEVICE_TYPES[main.opType] ?? main.opType
}

const toNs = (seconds: number): number => seconds * 1e9

function cost(
  kernel: { name: string; opType: string; nodes: readonly Node[]; macs: number; precision: Precision },
  work: KernelWork,
  soc: SocSpec,
  profile: CostProfile,
): KernelCost {
  const terms = kernelTerms(work, soc, profile)
  return {
    name: kernel.name,
    opType: kernel.opType,
    nodes: kernel.nodes.map(nodeLabel),
    ns: toNs(termsTotal(terms)),
    terms: {
      cube: toNs(terms.cube),
      memory: toNs(terms.memory),
      vector: toNs(terms.vector),
      launch: toNs(terms.launch),
    },
    bytes: work.activationBytes + work.weightBytes,
    macs: kernel.macs,
    precision: kernel.precision,
  }
}

function transDataWork(bytes: number): KernelWork {
  const idle = { cubeClass: 'none' as const, m: 0, n: 0, k: 0, repeats: 0, weightBytes: 0, batch: 1 }
  return { ...idle, activationBytes: 2 * bytes, vectorElements: 0, copy: true }
}

/** What a model was split into; the same for every gear of a dynamic model. */
export interface KernelPlan {
  kernels: FusedKernel[]
  layout: LayoutPlan
}

/** Kernels and layouts of a model with these shapes. */
export function planKernels(view: GraphView): KernelPlan {
  const kernels = fuseKernels(view)
  return { kernels, layout: planLayouts(view, kernels) }
}

/**
 * Prices a plan with the shapes of `view`.
 * @throws E_COMPILE_UNSUPPORTED when the shape of a tensor is unknown
 */
export function pricePlan(
  plan: KernelPlan,
  view: GraphView,
  options: { soc: SocSpec; precision: Precision; path: string },
): CostTable {
  const { soc, precision, path } = options
  const profile = costProfile(soc)
  const model = new WorkModel(view, precision, plan.layout.blocked)
  const kernels: KernelCost[] = []
  const convert = (before: number): void => {
    for (const conversion of plan.layout.conversions) {
      if (conversion.before !== before) continue
      const name = `trans_TransData_${conversion.value}`
      const element: Precision = model.elementBytes(conversion.value) === 1 ? 'int8' : precision
      const facts = { name, opType: 'TransData', nodes: [], macs: 0, precision: element }
      kernels.push(cost(facts, transDataWork(model.bytes(conversion.value)), soc, profile))
    }
  }
  plan.kernels.forEach((kernel, index) => {
    convert(index)
    const { work, macs, precision: computed } = model.figures(kernel, path)
    const facts = { name: nodeLabel(kernel.main), opType: deviceType(kernel), nodes: kernel.nodes }
    kernels.push(cost({ ...facts, macs, precision: computed }, work, soc, profile))
  })
  convert(plan.kernels.length)
  const totalNs = kernels.reduce((sum, kernel) => sum + kernel.ns, toNs(profile.modelSeconds))
  return { soc: soc.name, totalNs, kernels, validation: costValidation(soc) }
}

/**
 * Estimates the latency of a float or a deploy (Ascend* nodes) model.
 * @throws E_SOC_UNKNOWN, E_COMPILE_UNSUPPORTED, and what inferShapes throws
 */
export function estimateGraph(model: Model, options: EstimateOptions): CostTable {
  const soc = socSpec(options.soc)
  const types: ValueTypes = inferShapes(model, options.inputShapes)
  const view = new GraphView(model.graph, types)
  return pricePlan(planKernels(view), view, {
    soc,
    precision: options.precision,
    path: model.path ?? model.graph.name,
  })
}
