// Bringing models and datasets into a project: read them, find all their files, keep them.
import path from 'node:path'
import { elementTypeSchema } from '../../contract/device.ts'
import { AppError } from '../../contract/errors/index.ts'
import type { ModelInput } from '../../contract/quantization.ts'
import type { DatasetRow, LayerRow, ModelRow } from '../../contract/workspace.ts'
import { modelInputs, openDataset } from '../calibration/index.ts'
import {
  elementCount,
  layerNames,
  openModel,
  summarizeModel,
  tensorDataLength,
  validateModel,
  type Model,
} from '../onnx/index.ts'
import { recoverOnnx } from '../compile/index.ts'
import {
  isSafeRelativePath,
  type FileSource,
  type ModelFacts,
  type NewModel,
  type Workspace,
} from '../workspace/index.ts'
import { scanDataset } from './dataset-files.ts'
import { existingPath } from './paths.ts'

/** Operators with a constant weight that quantization knows (AMCT's list for ONNX). */
const QUANTIZABLE = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul'])

export function factsOf(model: Model): ModelFacts {
  const summary = summarizeModel(model)
  return {
    parameters: summary.parameters,
    opset: summary.opset,
    nodes: summary.nodes,
    inputs: summary.inputs.map((input) => ({
      name: input.name,
      elementType: elementTypeSchema.catch('other').parse(input.dataType),
      dims: input.dims ?? [],
    })),
  }
}

/** The model's own file first, then its external data, named relative to the model's folder. */
function modelFiles(model: Model, file: string): FileSource[] {
  const folder = path.dirname(file)
  return summarizeModel(model).files.map((entry) => {
    const relativePath = path.relative(folder, entry.path).split(path.sep).join('/')
    if (!isSafeRelativePath(relativePath)) {
      throw new AppError('E_FILE_READ', { path: entry.path, reason: `it lies outside ${folder}` })
    }
    return { path: entry.path, relativePath }
  })
}

function formatOf(file: string): ModelRow['format'] {
  const extension = path.extname(file).toLowerCase()
  if (extension === '.onnx') return 'onnx'
  if (extension === '.om') return 'om'
  throw new AppError('E_WORKSPACE_FILE_KIND', { path: file, expected: 'an .onnx or .om file' })
}

/** The ONNX model behind a row: the file itself, or what a simulated .om carries. @throws E_OM_REAL, E_OM_QUANTIZED, E_ONNX_* */
export function openRow(row: Pick<ModelRow, 'format' | 'path'>): Model {
  return row.format === 'onnx' ? openModel(row.path) : recoverOnnx(row.path)
}

/**
 * @param lineage What the model is made from, when it is not an original.
 * @throws E_FILE_NOT_FOUND, E_WORKSPACE_FILE_KIND, E_ONNX_*, E_OM_*, E_FILE_READ, E_CANCELLED
 */
export async function importModel(
  workspace: Workspace,
  input: { projectId: string; path: string; name?: string | undefined },
  signal?: AbortSignal,
  lineage: Partial<Pick<NewModel, 'role' | 'parentId' | 'sourcePath'>> = {},
): Promise<ModelRow> {
  const file = existingPath(input.path)
  const format = formatOf(file)
  let facts: ModelFacts
  let files: FileSource[]
  if (format === 'onnx') {
    const model = openModel(file)
    validateModel(model)
    facts = factsOf(model)
    files = modelFiles(model, file)
  } else {
    facts = omFacts(file)
    files = [{ path: file, relativePath: path.basename(file) }]
  }
  const name = input.name ?? path.basename(file, path.extname(file))
  return workspace.addModel(
    { projectId: input.projectId, name, format, sourcePath: file, files, facts, ...lineage },
    signal,
  )
}

/** The file holds compiled code only, or a model that is quantized already: no float model to take out. */
function isCompiledOnly(error: unknown): boolean {
  return error instanceof AppError && (error.code === 'E_OM_REAL' || error.code === 'E_OM_QUANTIZED')
}

/** A real .om holds compiled code: no weights to count, and its inputs come from its own description. */
function omFacts(file: string): ModelFacts {
  try {
    return factsOf(recoverOnnx(file))
  } catch (error) {
    if (!isCompiledOnly(error)) throw error
    return { parameters: null, opset: null, nodes: null, inputs: [] }
  }
}

/** Inputs of a model as datasets are checked against them; null when the model does not tell. */
export function inputsOf(row: ModelRow): ModelInput[] | null {
  try {
    return modelInputs(openRow(row))
  } catch (error) {
    if (isCompiledOnly(error)) return null
    throw error
  }
}

/** The model a dataset is for: the one that was named, else the first one of the project that is there. */
export function modelForDataset(
  workspace: Workspace,
  projectId: string,
  modelId: string | undefined,
): ModelRow | undefined {
  if (modelId !== undefined) return workspace.models.get(modelId)
  return workspace.models.list(projectId).find((model) => model.role === 'original' && !model.missing)
}

/** @throws E_FILE_NOT_FOUND, E_WORKSPACE_FILE_KIND, E_CALIBRATION_* when a model is named and the data does not fit it */
export async function importDataset(
  workspace: Workspace,
  input: {
    projectId: string
    path: string
    name?: string | undefined
    layout?: DatasetRow['layout'] | undefined
    modelId?: string | undefined
  },
  signal?: AbortSignal,
): Promise<DatasetRow> {
  const folder = existingPath(input.path)
  const model = modelForDataset(workspace, input.projectId, input.modelId)
  const inputs = model ? inputsOf(model) : null
  const found = scanDataset(folder, inputs?.map((entry) => entry.name) ?? [])
  // Asked for explicitly: what does not fit is refused here, not when the job starts.
  const checked = input.modelId !== undefined && inputs ? openDataset({ folder }, inputs) : null
  return workspace.addDataset(
    {
      projectId: input.projectId,
      name: input.name ?? path.basename(folder),
      sourcePath: folder,
      files: found.files,
      samples: checked?.samples ?? found.samples,
      layout: input.layout && input.layout !== 'auto' ? input.layout : found.layout,
      inputs: found.inputs,
    },
    signal,
  )
}

/** Rows of the layer table, in graph order. */
export function layerRows(model: Model): LayerRow[] {
  return layerNames(model).map((layer, index) => {
    const tensor = layer.weight === undefined ? undefined : model.graph.initializers.get(layer.weight)
    return {
      index,
      name: layer.name,
      opType: layer.node.opType,
      modulePath: layer.modulePath ?? null,
      weight: layer.weight ?? null,
      weightDims: tensor ? [...tensor.dims] : null,
      parameters: tensor ? elementCount(tensor.dims) : 0,
      weightBytes: tensor ? tensorDataLength(tensor.data) : 0,
      quantizable: QUANTIZABLE.has(layer.node.opType) && layer.weight !== undefined,
    }
  })
}
