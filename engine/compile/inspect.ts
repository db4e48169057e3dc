// What any .om file says about itself, and the manifest of a simulated one.
import type { OmManifest, OmSummary, OmTensor } from '../../contract/om.ts'
import { omManifestSchema } from '../../contract/om.ts'
import { AppError } from '../../contract/errors/index.ts'
import { ByteReader, omInvalid } from './om-bytes.ts'
import { readInOutInfo } from './om-inout-reader.ts'
import type { ReadInOut } from './om-inout-reader.ts'
import { KERNEL_MAGIC, MANIFEST_ITEM, ModelType, Partition, partitionName, typeByName } from './om-layout.ts'
import { readModelDef } from './om-model-def-reader.ts'
import type { ReadDesc, ReadModelDef } from './om-model-def-reader.ts'
import { OmFile, findPartition, readContainer } from './om-reader.ts'
import type { OmContainer, OmPartition } from './om-reader.ts'
import { inspectOm2 } from './om2.ts'

const ZIP_MAGIC = 0x04034b50

function withFile<T>(path: string, use: (file: OmFile) => T): T {
  const file = new OmFile(path)
  try {
    return use(file)
  } finally {
    file.close()
  }
}

function startsLikeZip(file: OmFile): boolean {
  return file.size >= 4 && new ByteReader(file.read(0, 4), { path: file.path, offset: 0 }).u32() === ZIP_MAGIC
}

function readerOf(file: OmFile, partition: OmPartition): ByteReader {
  return file.reader(partition.offset, partition.size)
}

/** The model that a command line names: `--model=x.onnx`, quoted or not. */
function sourceModel(commandLine: string | null): string | null {
  const match = /--model(?:=|\s+)(?:"([^"]+)"|'([^']+)'|(\S+))/.exec(commandLine ?? '')
  return match ? (match[1] ?? match[2] ?? match[3] ?? null) : null
}

/** Finds an item of our magic in the kernel store; a store of device kernels has none. */
function kernelItem(file: OmFile, partition: OmPartition | undefined, wanted: string): Uint8Array | null {
  if (!partition || partition.size < 12) return null
  if (file.reader(partition.offset, 4).u32() !== KERNEL_MAGIC) return null
  const reader = readerOf(file, partition)
  while (reader.left > 0) {
    if (reader.u32() !== KERNEL_MAGIC) throw reader.fail('a kernel store item has a wrong magic')
    const nameBytes = reader.u32()
    const contentBytes = reader.u32()
    const name = reader.text(nameBytes)
    const content = reader.take(contentBytes)
    if (name === wanted) return content
  }
  return null
}

function parseManifest(file: OmFile, partition: OmPartition, bytes: Uint8Array): OmManifest {
  try {
    return omManifestSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
  } catch (cause) {
    const reason = `its manifest is damaged: ${cause instanceof Error ? cause.message.split('\n')[0] : String(cause)}`
    throw omInvalid({ path: file.path, offset: partition.offset }, reason)
  }
}

function readManifest(file: OmFile, container: OmContainer): OmManifest | null {
  const partition = findPartition(container.models[0] ?? [], Partition.TBE_KERNELS)
  const bytes = kernelItem(file, partition, MANIFEST_ITEM)
  return bytes && partition ? parseManifest(file, partition, bytes) : null
}

/** The cost tables are long; who needs them reads the manifest itself. */
function withoutCosts({ costs: _costs, ...facts }: OmManifest): Omit<OmManifest, 'costs'> {
  return facts
}

function toTensor(name: string, desc: ReadDesc): OmTensor {
  const bytes = typeByName(desc.dataType)?.bytes ?? 0
  const count = desc.dims.reduce((product, dim) => product * dim, 1)
  const size = desc.dims.some((dim) => dim < 0) ? 0 : Math.ceil(count * bytes)
  return { name, dataType: desc.dataType, format: desc.layout || 'ND', dims: desc.dims, size }
}

/** Inputs and outputs from the operators, for files without MODEL_INOUT_INFO (before about CANN 5.1). */
function inOutFromGraph(model: ReadModelDef): ReadInOut {
  const data = model.rootOps.filter((op) => op.type === 'Data')
  const indexOf = (op: (typeof data)[number]): number =>
    op.attributes.get('index')?.number ?? data.indexOf(op)
  const inputs = [...data]
    .sort((a, b) => indexOf(a) - indexOf(b))
    .flatMap((op) => {
      const desc = op.inputDescs[0] ?? op.outputDescs[0]
      return desc ? [toTensor(op.name, desc)] : []
    })
  const names = model.attributes.get('attr_model_out_nodes_name')?.texts ?? []
  const outputs = model.rootOps
    .filter((op) => op.type === 'NetOutput')
    .flatMap((op) => op.inputDescs)
    .map((desc, index) => toTensor(names[index] ?? `output_${index}`, desc))
  return { inputs, outputs, gears: null }
}

const KINDS: Readonly<Record<number, OmSummary['kind']>> = {
  [ModelType.FLOW]: 'flow',
  [ModelType.BUNDLE]: 'bundle',
}

function opTypes(models: readonly ReadModelDef[]): OmSummary['ops'] {
  const counts = new Map<string, number>()
  for (const op of models.flatMap((model) => model.ops)) counts.set(op.type, (counts.get(op.type) ?? 0) + 1)
  const types = [...counts].map(([type, count]) => ({ type, count })).sort((a, b) => b.count - a.count)
  return { total: types.reduce((sum, entry) => sum + entry.count, 0), types }
}

/** The constants of all graphs by element type. Files without sizes in their descriptions have none here. */
function weightTypes(models: readonly ReadModelDef[]): OmSummary['sizes']['weightTypes'] {
  const totals = new Map<string, { count: number; bytes: number }>()
  for (const op of models.flatMap((model) => model.ops)) {
    const [desc] = op.outputDescs
    if ((op.type !== 'Const' && op.type !== 'Constant') || !desc) continue
    const total = totals.get(desc.dataType) ?? { count: 0, bytes: 0 }
    totals.set(desc.dataType, { count: total.count + 1, bytes: total.bytes + desc.size })
  }
  return [...totals].map(([dataType, total]) => ({ dataType, ...total })).sort((a, b) => b.bytes - a.bytes)
}

function notesOf(container: OmContainer, kind: OmSummary['kind'], models: readonly ReadModelDef[]): string[] {
  const notes: string[] = []
  if (kind === 'flow') {
    const parts = container.models.flat().filter((partition) => partition.type === Partition.FLOW_SUBMODEL)
    notes.push(`Flow model with ${parts.length} submodels; each is a model of its own inside the file.`)
  }
  if (kind === 'bundle') notes.push('Bundle: several models in one file, loaded with the aclmdlBundle calls.')
  if (container.header.modelCount > 1)
    notes.push(`Root model and ${container.header.modelCount - 1} subgraph models.`)
  if (models.flatMap((model) => model.ops).some((op) => op.type === 'FileConst')) {
    notes.push('Weights are in separate files; this .om alone is incomplete.')
  }
  return notes
}

function inspectContainer(file: OmFile): OmSummary {
  const container = readContainer(file)
  const { header } = container
  const kind = KINDS[header.modelType] ?? 'om'
  const models = container.models.flatMap((partitions) => {
    const partition = findPartition(partitions, Partition.MODEL_DEF)
    const origin = { path: file.path, offset: partition?.offset ?? 0 }
    return partition ? [readModelDef(file.read(partition.offset, partition.size), origin)] : []
  })
  const root = models[0]
  const inOutPartition = findPartition(container.models[0] ?? [], Partition.MODEL_INOUT_INFO)
  const described =
    inOutPartition && inOutPartition.size > 0 ? readInOutInfo(readerOf(file, inOutPartition)) : null
  const io = described ?? (root ? inOutFromGraph(root) : { inputs: [], outputs: [], gears: null })
  const manifest = readManifest(file, container)
  const text = (key: string): string | null => root?.attributes.get(key)?.text ?? null
  const number = (key: string): number | null => root?.attributes.get(key)?.number ?? null
  const commandLine = text('atc_cmdline')
  return {
    path: file.path,
    bytes: file.size,
    kind,
    simulated: manifest !== null,
    headerVersion: header.version,
    modelCount: header.modelCount,
    dynamicShape: header.dynamicShape,
    name: root?.name || header.name,
    soc: text('soc_version') || null,
    compiler: text('atc_version'),
    commandLine,
    sourceModel: sourceModel(commandLine),
    inputs: io.inputs,
    outputs: io.outputs,
    gears: io.gears,
    ops: opTypes(models),
    sizes: {
      memory: number('memory_size'),
      weights: number('weight_size'),
      weightTypes: weightTypes(models),
      partitions: container.models
        .flat()
        .map(({ type, size }) => ({ type, name: partitionName(type), bytes: size })),
    },
    manifest: manifest && withoutCosts(manifest),
    notes: notesOf(container, kind, models),
  }
}

/**
 * Describes any .om: name, SoC, inputs, outputs, operators, sizes, command line.
 * @throws E_OM_INVALID, E_OM_ENCRYPTED, E_FILE_NOT_FOUND, E_FILE_READ
 */
export function inspectOm(path: string): OmSummary {
  return withFile(path, (file) =>
    startsLikeZip(file) ? inspectOm2(file, sourceModel) : inspectContainer(file),
  )
}

/** The manifest of a simulated .om with all its cost tables; null for a real one. @throws as {@link inspectOm} */
export function readOmManifest(path: string): OmManifest | null {
  return withFile(path, (file) => (startsLikeZip(file) ? null : readManifest(file, readContainer(file))))
}

/** Where the executable payload of a simulated .om is. @throws E_OM_NOT_SIMULATED for a real one */
export function payloadRegion(path: string): { offset: number; length: number } {
  return withFile(path, (file) => {
    const container = startsLikeZip(file) ? null : readContainer(file)
    const weights = findPartition(container?.models[0] ?? [], Partition.WEIGHTS_DATA)
    if (!container || !weights || !readManifest(file, container)) {
      const compiler = inspectOm(path).compiler ?? 'unknown compiler'
      throw new AppError('E_OM_NOT_SIMULATED', { path, compiler })
    }
    return { offset: weights.offset, length: weights.size }
  })
}
