// Where values must be rounded to binary16: at the boundaries between kernels, and in the weights that kernels read.
import { fuseKernels, kernelOutputs } from '../cost/fusion.ts'
import type { FusedKernel } from '../cost/fusion.ts'
import type { GraphView } from '../cost/graph-view.ts'
import { MOVE_OPS } from '../cost/op-classes.ts'
import { DataType, stringAttribute } from '../onnx/index.ts'
import type { Node } from '../onnx/index.ts'

/** Every result element equals an input element: what went in as binary16 comes out as binary16. */
const SELECTING_OPS: ReadonlySet<string> = new Set([
  'MaxPool',
  'GlobalMaxPool',
  'Relu',
  'Max',
  'Min',
  'Clip',
  'Abs',
  'Neg',
  'Sign',
  'Where',
  'ReduceMax',
  'ReduceMin',
  'ScatterND',
  'ScatterElements',
  'Trilu',
  'TopK',
  'OneHot',
])

/** Float inputs that are settings, not data: they are read on the host and stay exact. */
const EXACT_POSITIONS: Readonly<Record<string, (position: number) => boolean>> = {
  Resize: (position) => position > 0,
  Upsample: (position) => position > 0,
  Range: () => true,
  NonMaxSuppression: () => true,
  Dropout: (position) => position > 0,
}

function selects(node: Node): boolean {
  if (node.opType === 'Resize' || node.opType === 'Upsample') {
    return stringAttribute(node, 'mode', 'nearest') === 'nearest'
  }
  return MOVE_OPS.has(node.opType) || SELECTING_OPS.has(node.opType)
}

export interface RoundingPlan {
  /** Values that a RoundFp16 must follow. */
  values: ReadonlySet<string>
  /** Whether a node reads this input as device data (rounded), not as an exact setting. */
  readsRounded(node: Node, position: number): boolean
}

/** Decides for one graph. `kernels` defaults to the graph's own split. */
export function planRounding(
  view: GraphView,
  kernels: readonly FusedKernel[] = fuseKernels(view),
): RoundingPlan {
  const kernelOf = new Map(kernels.flatMap((kernel) => kernel.nodes.map((node) => [node, kernel] as const)))
  const values = new Set<string>()
  for (const kernel of kernels) {
    if (kernel.nodes.every((node) => selects(node) || view.isFree(node))) continue
    for (const output of kernelOutputs(view, kernel)) {
      if (view.types.get(output)?.dataType === DataType.FLOAT) values.add(output)
    }
  }
  return {
    values,
    readsRounded(node, position) {
      if (view.staticNodes.has(node) || EXACT_POSITIONS[node.opType]?.(position)) return false
      const kernel = kernelOf.get(node)
      // Scalars inside a fused vector kernel (epsilon, sqrt 2, 0.5) are immediates of its FP32 arithmetic.
      const immediate =
        kernel && kernel.kind !== 'convolution' && kernel.kind !== 'matmul' && kernel.nodes.length > 1
      return !(
        immediate &&
        view.isStatic(node.inputs[position]!) &&
        view.elements(node.inputs[position]!) === 1
      )
    },
  }
}
