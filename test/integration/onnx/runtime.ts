// Running models in ONNX Runtime for comparison: every intermediate value, with deterministic inputs.
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { cloneModel, DataType, elementCount, serializeModel } from '../../../engine/onnx/index.ts'
import type { Model } from '../../../engine/onnx/index.ts'

const options: InferenceSession.SessionOptions = {
  graphOptimizationLevel: 'disabled',
  logSeverityLevel: 3,
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
}

/** Deterministic values in [-2, 2). */
function pattern(count: number): Float32Array {
  let state = 12345
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return (state / 2 ** 32) * 4 - 2
  })
}

/** Inputs of the given shapes: floats from {@link pattern}, small non-negative integers, alternating booleans. */
export function makeFeeds(
  model: Model,
  shapes: Readonly<Record<string, readonly number[]>>,
): Record<string, Tensor> {
  return Object.fromEntries(
    model.graph.inputs.map((info) => {
      const dims = shapes[info.name] ?? info.shape!.map((dimension) => dimension.value!)
      return [info.name, makeFeed(info.elementType ?? DataType.FLOAT, dims)]
    }),
  )
}

function makeFeed(dataType: DataType, dims: readonly number[]): Tensor {
  const count = elementCount(dims)
  if (dataType === DataType.INT64)
    return new Tensor(
      'int64',
      BigInt64Array.from({ length: count }, (_, i) => BigInt(i % 3)),
      dims,
    )
  if (dataType === DataType.INT32)
    return new Tensor(
      'int32',
      Int32Array.from({ length: count }, (_, i) => i % 5),
      dims,
    )
  if (dataType === DataType.UINT8)
    return new Tensor(
      'uint8',
      Uint8Array.from({ length: count }, (_, i) => i % 251),
      dims,
    )
  if (dataType === DataType.INT8)
    return new Tensor(
      'int8',
      Int8Array.from({ length: count }, (_, i) => (i % 251) - 125),
      dims,
    )
  if (dataType === DataType.BOOL)
    return new Tensor(
      'bool',
      Uint8Array.from({ length: count }, (_, i) => i % 2),
      dims,
    )
  return new Tensor('float32', pattern(count), dims)
}

/** Outputs of a model. */
export async function runModel(model: Model, feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> {
  const session = await InferenceSession.create(serializeModel(model), options)
  try {
    return (await session.run(feeds)) as Record<string, Tensor>
  } finally {
    await session.release()
  }
}

/** Every value that a node of the main graph writes. */
export async function runAllValues(
  model: Model,
  feeds: Record<string, Tensor>,
): Promise<Record<string, Tensor>> {
  const open = cloneModel(model)
  const known = new Set(open.graph.outputs.map((info) => info.name))
  for (const name of open.graph.nodes.flatMap((node) => node.outputs)) {
    if (name !== '' && !known.has(name)) open.graph.outputs.push({ name })
  }
  return runModel(open, feeds)
}
