// Where the device converts between NC1HWC0 (convolutions) and ND (everything else): TransData kernels.
import type { Node } from '../onnx/index.ts'
import { kernelInputs, kernelOutputs } from './fusion.ts'
import type { FusedKernel } from './fusion.ts'
import type { GraphView } from './graph-view.ts'

export interface LayoutPlan {
  /** Values held in NC1HWC0. */
  blocked: Set<string>
  /** Conversions: before the kernel of that index, of that value (index = number of kernels: at the end). */
  conversions: { before: number; value: string }[]
}

/** Vector work that runs on either layout and keeps that of its input. */
function keepsLayout(kernel: FusedKernel): boolean {
  const { kind, main } = kernel
  if (kind === 'elementwise' || kind === 'pool' || kind === 'quantize') return true
  if (kind === 'norm') return kernel.nodes.some((node) => node.opType === 'InstanceNormalization')
  return kind === 'move' && ['Concat', 'Resize', 'Upsample', 'Pad', 'Split', 'Slice'].includes(main.opType)
}

const isImage = (view: GraphView, value: string): boolean => (view.dims(value)?.length ?? 0) >= 3

/** A reshape of a blocked value that anything but the kernel itself reads needs the plain layout. */
function readThroughReshape(view: GraphView, kernel: FusedKernel, input: string): boolean {
  const producer: Node | undefined = view.producers.get(input)
  return producer !== undefined && view.isFree(producer) && !kernel.nodes.includes(producer)
}

/** Assigns layouts in execution order and lists the conversions. Each value is converted at most once each way. */
export function planLayouts(view: GraphView, kernels: readonly FusedKernel[]): LayoutPlan {
  const blocked = new Set<string>()
  const converted = new Set<string>()
  const conversions: LayoutPlan['conversions'] = []
  const convert = (before: number, value: string): void => {
    if (converted.has(value)) return
    converted.add(value)
    conversions.push({ before, value })
  }
  kernels.forEach((kernel, index) => {
    const inputs = kernelInputs(view, kernel)
    const wantsBlocked =
      kernel.kind === 'convolution' ||
      (keepsLayout(kernel) &&
        inputs.some((input) => blocked.has(input) && !readThroughReshape(view, kernel, input)))
    for (const input of inputs) {
      const source = view.resolve(input)
      const isBlocked = blocked.has(source) && !readThroughReshape(view, kernel, input)
      const main = input === kernel.main.inputs[0] || view.elements(input) > 1
      if (wantsBlocked && !isBlocked && isImage(view, input) && main) convert(index, input)
      else if (!wantsBlocked && blocked.has(source)) convert(index, source)
      else if (wantsBlocked && blocked.has(source) && !isBlocked) convert(index, source)
    }
    if (wantsBlocked) {
      for (const output of kernelOutputs(view, kernel)) if (isImage(view, output)) blocked.add(output)
    }
  })
  for (const output of view.outputs) {
    const source = view.resolve(output)
    if (blocked.has(source)) convert(kernels.length, source)
  }
  return { blocked, conversions }
}
