// Deciding which tensors go into external data files, under which names and at which offsets.
import path from 'node:path'
import { AppError } from '../../contract/errors/index.ts'
import type { ExternalPlace } from './encode.ts'
import { isInsideLocation } from './external.ts'
import { visitGraphs } from './graph.ts'
import type { Model, Tensor } from './model.ts'
import { AUTO_EXTERNAL_BYTES } from './save-options.ts'
import type { SaveOptions } from './save-options.ts'
import { tensorDataLength } from './tensors.ts'

/** Smaller tensors stay in the model, as with onnx.save_model (size_threshold). */
const SINGLE_FILE_THRESHOLD = 1024

/** One file per tensor is for the large ones only. */
const PER_TENSOR_THRESHOLD = 1024 * 1024

/** Tensors of this size and more start on a page, so that they can be memory-mapped. */
const PAGE_BYTES = 4096

const MAX_FILE_NAME_BYTES = 200

export interface ExternalFile {
  path: string
  bytes: number
  tensors: { tensor: Tensor; place: ExternalPlace }[]
}

export interface ExternalPlan {
  files: ExternalFile[]
  places: Map<Tensor, ExternalPlace>
}

/** @param inlineBytes size of the model file with all weights inline */
export function planExternal(
  model: Model,
  inlineBytes: number,
  target: string,
  options: SaveOptions,
): ExternalPlan {
  const mode = options.external ?? 'auto'
  const nothing: ExternalPlan = { files: [], places: new Map() }
  if (mode === 'inline' || (mode === 'auto' && inlineBytes < AUTO_EXTERNAL_BYTES)) return nothing
  const suffix = options.externalSuffix ?? (mode === 'per-tensor' ? '.external' : '.data')
  const files =
    mode === 'per-tensor' ? perTensor(model, inlineBytes, target, suffix) : singleFile(model, target, suffix)
  const places = new Map(
    files.flatMap((file) => file.tensors.map(({ tensor, place }) => [tensor, place] as const)),
  )
  return { files, places }
}

/** Weights of all graphs of at least `threshold` bytes, in file order. */
function largeWeights(model: Model, threshold: number): Tensor[] {
  const tensors: Tensor[] = []
  visitGraphs(model.graph, (graph) => {
    for (const tensor of graph.initializers.values()) {
      if (tensor.data.kind !== 'strings' && tensorDataLength(tensor.data) >= threshold) tensors.push(tensor)
    }
  })
  return tensors
}

function singleFile(model: Model, target: string, suffix: string): ExternalFile[] {
  const location = path.basename(target) + suffix
  checkLocation(location, suffix)
  const tensors: ExternalFile['tensors'] = []
  let end = 0
  for (const tensor of largeWeights(model, SINGLE_FILE_THRESHOLD)) {
    const length = tensorDataLength(tensor.data)
    const step = length >= PAGE_BYTES ? PAGE_BYTES : 16
    const offset = Math.ceil(end / step) * step
    tensors.push({ tensor, place: { location, offset, length } })
    end = offset + length
  }
  return tensors.length === 0
    ? []
    : [{ path: path.join(path.dirname(target), location), bytes: end, tensors }]
}

function perTensor(model: Model, inlineBytes: number, target: string, suffix: string): ExternalFile[] {
  let chosen = largeWeights(model, PER_TENSOR_THRESHOLD)
  const moved = chosen.reduce((sum, tensor) => sum + tensorDataLength(tensor.data), 0)
  if (inlineBytes - moved >= AUTO_EXTERNAL_BYTES) chosen = largeWeights(model, SINGLE_FILE_THRESHOLD)
  const used = new Set([path.basename(target).toLowerCase()])
  return chosen.map((tensor) => {
    const length = tensorDataLength(tensor.data)
    const location = fileName(tensor.name, suffix, used)
    checkLocation(location, suffix)
    return {
      path: path.join(path.dirname(target), location),
      bytes: length,
      tensors: [{ tensor, place: { location, offset: 0, length } }],
    }
  })
}

/** A name that every file system takes, and that differs from the others also where case does not count. */
function fileName(tensorName: string, suffix: string, used: Set<string>): string {
  let stem = tensorName.replace(/[\p{Cc}\p{Cs}<>:"/\\|?*]/gu, '_').replace(/^\.+/, '_') || 'tensor'
  while (Buffer.byteLength(stem) > MAX_FILE_NAME_BYTES) stem = stem.slice(1)
  let name = stem + suffix
  for (let count = 2; used.has(name.toLowerCase()); count++) name = `${stem}_${count}${suffix}`
  used.add(name.toLowerCase())
  return name
}

function checkLocation(location: string, suffix: string): void {
  if (isInsideLocation(location) && !/[/\\]/.test(location)) return
  throw new AppError('E_ARGUMENT', {
    name: 'externalSuffix',
    reason: `"${suffix}" does not make a file name`,
    expected: 'a suffix without slashes, such as ".data"',
  })
}
