// The figures behind a run's charts: samples, device kernels, what the model file consists of.
import type { RunSideFigures, SizePart } from '../../contract/run-figures.ts'
import { payloadRegion, readOmManifest } from '../compile/inspect.ts'
import { DataType, openModel, tensorDataLength, visitGraphs, type Model } from '../onnx/index.ts'

const MAX_SAMPLES = 5_000

export interface FigureSource {
  label: string
  role: 'baseline' | 'candidate'
  path: string
  samplesMs: readonly number[]
  /** Size of the model with external data. */
  bytes: number
}

/** At most `count` values, evenly over the series, order kept. */
export function thin(values: readonly number[], count: number): number[] {
  if (values.length <= count) return [...values]
  return Array.from({ length: count }, (_, index) => values[Math.floor((index * values.length) / count)] ?? 0)
}

const PART_OF_TYPE: Partial<Record<DataType, SizePart['part']>> = {
  [DataType.INT8]: 'int8',
  [DataType.UINT8]: 'int8',
  [DataType.INT32]: 'int32',
  [DataType.FLOAT16]: 'fp16',
  [DataType.FLOAT]: 'fp32',
}

/** Weight bytes by type; what is left of the file is `other`. */
export function sizeParts(model: Model, bytes: number): SizePart[] {
  const sums = new Map<SizePart['part'], number>()
  visitGraphs(model.graph, (graph) => {
    for (const tensor of graph.initializers.values()) {
      const part = PART_OF_TYPE[tensor.dataType] ?? 'other'
      sums.set(part, (sums.get(part) ?? 0) + tensorDataLength(tensor.data))
    }
  })
  const weights = [...sums.values()].reduce((sum, value) => sum + value, 0)
  sums.set('other', (sums.get('other') ?? 0) + Math.max(0, bytes - weights))
  return [...sums].map(([part, value]) => ({ part, bytes: value }))
}

function sizesOf(source: FigureSource): SizePart[] {
  if (!source.path.endsWith('.om')) return sizeParts(openModel(source.path), source.bytes)
  // A real .om is compiled code: what is inside cannot be told apart.
  if (!readOmManifest(source.path)) return []
  return sizeParts(openModel(source.path, payloadRegion(source.path)), source.bytes)
}

function kernelsOf(file: string): Pick<RunSideFigures, 'kernels' | 'kernelsFrom'> {
  const table = file.endsWith('.om') ? readOmManifest(file)?.costs[0] : undefined
  if (!table) return { kernels: [], kernelsFrom: null }
  const kernels = table.kernels.map(({ name, opType, nodes, ns, precision }) => ({
    name,
    opType,
    nodes,
    ns,
    precision,
  }))
  return { kernels, kernelsFrom: 'cost model' }
}

export function sideFigures(source: FigureSource): RunSideFigures {
  return {
    label: source.label,
    role: source.role,
    samplesMs: thin(source.samplesMs, MAX_SAMPLES),
    ...kernelsOf(source.path),
    sizes: sizesOf(source),
  }
}
