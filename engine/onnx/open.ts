// Opening ONNX models: from a file without reading the weights, or from bytes.
import path from 'node:path'
import { AppError } from '../../contract/errors/index.ts'
import { ModelDecoder } from './decode.ts'
import { ExternalFiles } from './external.ts'
import { isSorted, sortTopologically, visitGraphs } from './graph.ts'
import type { Model } from './model.ts'
import { FileSource, MemorySource } from './source.ts'
import type { ByteSource } from './source.ts'
import { WireReader } from './wire.ts'

/** Opsets of the default domain that can be read. */
export const MIN_OPSET = 7
export const MAX_OPSET = 22

/** ModelProto fields 1 to 26 exist; a first byte beyond them cannot start an ONNX file. */
const MAX_MODEL_FIELD = 26

const FOREIGN_STARTS: readonly (readonly [string, string])[] = [
  ['PK\u0003\u0004', 'it is a ZIP archive (a PyTorch checkpoint or a zipped model?)'],
  ['version https://git-lfs', 'it is a Git LFS pointer; the real file was not downloaded'],
  ['IMOD', 'it is an .om model, already compiled for Ascend; give the ONNX model it was compiled from'],
  ['{', 'it is a text file'],
  ['<', 'it is a text file'],
]

function foreignReason(start: Uint8Array): string | null {
  const text = String.fromCharCode(...start.subarray(0, 32))
  const match = FOREIGN_STARTS.find(([prefix]) => text.startsWith(prefix))
  if (match) return match[1]
  const field = start[0]! >> 3
  const wire = start[0]! & 7
  if (field === 0 || field > MAX_MODEL_FIELD || (wire !== 0 && wire !== 2))
    return 'it does not start with an ONNX field'
  return null
}

function checkStart(source: ByteSource): void {
  const reason = source.size === 0 ? 'the file is empty' : foreignReason(source.window(0))
  if (reason) throw new AppError('E_ONNX_NOT_ONNX', { path: source.path, reason })
}

/** Version of an operator set the model imports; undefined when it does not import it. "" is ai.onnx. */
export function opsetVersion(model: Pick<Model, 'opsetImports'>, domain = ''): number | undefined {
  const names = domain === '' ? ['', 'ai.onnx'] : [domain]
  return model.opsetImports.find((entry) => names.includes(entry.domain))?.version
}

function checkOpset(model: Model, source: ByteSource): void {
  // A model without opset_import means opset 1; one with only other domains does not use ai.onnx.
  const version = opsetVersion(model) ?? (model.opsetImports.length === 0 ? 1 : undefined)
  if (version === undefined || (version >= MIN_OPSET && version <= MAX_OPSET)) return
  throw new AppError('E_ONNX_OPSET', { path: source.path, version, minimum: MIN_OPSET, maximum: MAX_OPSET })
}

function decode(source: ByteSource, folder: string | null): Model {
  checkStart(source)
  const decoder = new ModelDecoder(new WireReader(source), new ExternalFiles(source.path, folder))
  try {
    const model = decoder.model()
    checkOpset(model, source)
    // ONNX Runtime takes nodes in any order, so unsorted files are around.
    visitGraphs(model.graph, (graph) => {
      if (!isSorted(graph)) sortTopologically(graph)
    })
    return model
  } catch (cause) {
    if (!(cause instanceof AppError) || decoder.recognised) throw cause
    if (cause.code !== 'E_ONNX_INVALID' && cause.code !== 'E_ONNX_TRUNCATED') throw cause
    const reason = 'its bytes are not an ONNX protobuf'
    throw new AppError('E_ONNX_NOT_ONNX', { path: source.path, reason }, { cause })
  }
}

/**
 * Opens a model file. Weights stay in the file (and in its external data files) as slices until asked for.
 * @param region byte range of the file that holds the model, for ONNX inside another container
 * @throws E_FILE_NOT_FOUND, E_FILE_READ, E_ONNX_NOT_ONNX, E_ONNX_TRUNCATED, E_ONNX_INVALID, E_ONNX_LIMIT, E_ONNX_OPSET,
 *   E_ONNX_TENSOR_SIZE, E_ONNX_EXTERNAL_*, E_ONNX_GRAPH when the graph has a cycle
 */
export function openModel(filePath: string, region?: { offset: number; length: number }): Model {
  const resolved = path.resolve(filePath)
  const source = new FileSource(resolved, region)
  try {
    return { ...decode(source, path.dirname(resolved)), path: resolved }
  } finally {
    source.close()
  }
}

/**
 * Reads a model from memory; its weights are views on `bytes`. External data is refused.
 * @throws as {@link openModel}
 */
export function parseModel(bytes: Uint8Array, label = 'model in memory'): Model {
  return decode(new MemorySource(bytes, label), null)
}
