// Writing models: weights are streamed from where they are, files appear complete or not at all.
import { realpathSync } from 'node:fs'
import path from 'node:path'
import { AppError } from '../../contract/errors/index.ts'
import { WeightReader } from './copy.ts'
import { encodeModel } from './encode.ts'
import type { ExternalPlace, ModelWriter } from './encode.ts'
import { FileSet } from './file-set.ts'
import type { Model, Tensor } from './model.ts'
import type { SaveOptions } from './save-options.ts'
import { planExternal } from './save-plan.ts'
import type { ExternalFile } from './save-plan.ts'
import type { Chunk } from './wire-writer.ts'

/** Protobuf messages end at 2^31 - 1 bytes (google.protobuf limits, checked by ONNX Runtime when loading). */
export const MAX_PROTOBUF_BYTES = 2 ** 31 - 1

interface OutputFile {
  path: string
  bytes: number
  chunks: Chunk<Tensor>[]
  /** See fileStamp. */
  stamp: string
}

export interface SavedModel {
  path: string
  /** Total over all files. */
  bytes: number
  /** The model first, then its external data. */
  files: { path: string; bytes: number }[]
}

/**
 * The model as one ONNX file in memory, weights inline.
 * @param external Tensors that are only referred to: whoever loads the model has their bytes from elsewhere.
 * @throws E_ONNX_TOO_LARGE at 2 GiB, and what reading the weights throws
 */
export function serializeModel(
  model: Model,
  external: ReadonlyMap<Tensor, ExternalPlace> = new Map(),
): Uint8Array {
  const writer = encodeModel(model, external)
  checkProtobufSize(writer.length)
  const bytes = new Uint8Array(writer.length)
  const weights = new WeightReader()
  try {
    for (const chunk of writer.chunks()) {
      const target = bytes.subarray(chunk.offset, chunk.offset + chunk.length)
      if (chunk.value instanceof Uint8Array) target.set(chunk.value)
      else weights.readInto(chunk.value, target)
    }
  } finally {
    weights.close()
  }
  return bytes
}

function checkProtobufSize(bytes: number): void {
  if (bytes > MAX_PROTOBUF_BYTES) throw new AppError('E_ONNX_TOO_LARGE', { bytes, limit: MAX_PROTOBUF_BYTES })
}

/**
 * Writes a model and its external data. Works over the file the model was opened from: its slices then point into the
 * new files. Other Model objects opened from replaced files can no longer read their weights (E_ONNX_FILE_CHANGED).
 * Each file is replaced atomically; when a step fails, all files are as they were before.
 * @throws E_FILE_WRITE, E_ONNX_TOO_LARGE, and what reading the weights throws
 */
export function saveModel(model: Model, filePath: string, options: SaveOptions = {}): SavedModel {
  const target = path.resolve(filePath)
  const inline = encodeModel(model)
  const plan = planExternal(model, inline.length, target, options)
  const writer = plan.files.length === 0 ? inline : encodeModel(model, plan.places)
  checkProtobufSize(writer.length)
  const outputs = [modelOutput(target, writer), ...plan.files.map(externalOutput)]
  const replaced = new Set(outputs.flatMap((output) => [output.path, realPath(output.path)]))
  writeTogether(outputs)
  relocate(outputs, replaced)
  const written = outputs.map((output) => ({ path: output.path, bytes: output.bytes }))
  return { path: target, bytes: written.reduce((sum, file) => sum + file.bytes, 0), files: written }
}

function modelOutput(target: string, writer: ModelWriter): OutputFile {
  return { path: target, bytes: writer.length, chunks: writer.chunks(), stamp: '' }
}

function externalOutput(file: ExternalFile): OutputFile {
  const chunks = file.tensors.map(({ tensor, place }) => ({
    offset: place.offset,
    length: place.length,
    value: tensor,
  }))
  return { path: file.path, bytes: file.bytes, chunks, stamp: '' }
}

function realPath(file: string): string {
  try {
    return realpathSync(file)
  } catch {
    return file
  }
}

function writeTogether(outputs: readonly OutputFile[]): void {
  const weights = new WeightReader()
  const files = new FileSet(outputs.map((output) => output.path))
  try {
    for (const output of outputs) {
      output.stamp = files.write(output.path, (write) => writeChunks(output, weights, write))
    }
    // Windows cannot replace a file that is open.
    weights.close()
    files.commit()
  } finally {
    weights.close()
    files.discard()
  }
}

function writeChunks(output: OutputFile, weights: WeightReader, write: (bytes: Uint8Array) => void): void {
  let end = 0
  for (const chunk of output.chunks) {
    if (chunk.offset > end) write(new Uint8Array(chunk.offset - end))
    if (chunk.value instanceof Uint8Array) write(chunk.value)
    else weights.stream(chunk.value, write)
    end = chunk.offset + chunk.length
  }
}

/** Lets slices of replaced files point to the same bytes in the files just written. */
function relocate(outputs: readonly OutputFile[], replaced: ReadonlySet<string>): void {
  for (const { path: file, stamp, chunks } of outputs) {
    for (const { value: tensor, offset, length } of chunks) {
      if (tensor instanceof Uint8Array || tensor.data.kind !== 'file') continue
      if (replaced.has(tensor.data.path)) tensor.data = { kind: 'file', path: file, offset, length, stamp }
    }
  }
}
