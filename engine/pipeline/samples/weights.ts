// Fills planned weights into one file, piece by piece, so that a model of any size needs a few MiB of memory.
import { closeSync, openSync, writeSync } from 'node:fs'
import { AppError } from '../../../contract/errors/index.ts'
import type { WorkContext } from '../../../contract/work.ts'
import { reasonOf } from '../../common/hashing.ts'
import { DataType, type Tensor } from '../../onnx/model.ts'
import type { WeightPlan } from './graph-builder.ts'
import { RandomStream } from './random.ts'

const CHUNK_ELEMENTS = 1 << 20

function elementCount(dims: readonly number[]): number {
  return dims.reduce((product, size) => product * size, 1)
}

/** Calls `write` with successive pieces of one weight. The pieces share a buffer. */
function fillPieces(
  plan: WeightPlan,
  seed: number,
  buffer: Float32Array,
  write: (piece: Float32Array) => void,
): void {
  const random = plan.fill.kind === 'normal' ? new RandomStream(seed, plan.name) : undefined
  const total = elementCount(plan.dims)
  for (let start = 0; start < total; start += CHUNK_ELEMENTS) {
    const piece = buffer.subarray(0, Math.min(CHUNK_ELEMENTS, total - start))
    if (plan.fill.kind === 'constant') piece.fill(plan.fill.value)
    else random?.fillNormal(piece, plan.fill.std)
    write(piece)
  }
}

/**
 * Writes all weights to `file` (created, must not exist) as little-endian float32 and returns tensors that point into it.
 * @throws E_FILE_WRITE, E_CANCELLED
 */
export async function writeWeights(
  plans: readonly WeightPlan[],
  seed: number,
  file: string,
  ctx: WorkContext,
): Promise<Tensor[]> {
  const total = plans.reduce((sum, plan) => sum + elementCount(plan.dims) * 4, 0)
  const buffer = new Float32Array(CHUNK_ELEMENTS)
  const tensors: Tensor[] = []
  let offset = 0
  const descriptor = openSync(file, 'wx', 0o644)
  try {
    for (const plan of plans) {
      const start = offset
      fillPieces(plan, seed, buffer, (piece) => {
        if (ctx.signal?.aborted) throw new AppError('E_CANCELLED')
        offset += writeAll(descriptor, new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength))
      })
      const data = { kind: 'file' as const, path: file, offset: start, length: offset - start }
      tensors.push({ name: plan.name, dataType: DataType.FLOAT, dims: plan.dims, data })
      ctx.onProgress?.({ stage: 'weights', done: offset, total, item: plan.name })
      // Lets a signal handler run: everything above is synchronous.
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError('E_FILE_WRITE', { path: file, reason: reasonOf(error) }, { cause: error })
  } finally {
    closeSync(descriptor)
  }
  return tensors
}

function writeAll(descriptor: number, bytes: Uint8Array): number {
  let written = 0
  while (written < bytes.byteLength) written += writeSync(descriptor, bytes, written)
  return written
}
