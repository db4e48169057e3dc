// Calibration for its own sake: what the recipe would quantize, observed over the data and reported tensor by tensor.
import path from 'node:path'
import { tmpdir } from 'node:os'
import { CALIBRATION_SCHEMA, type CalibrationReport } from '../../contract/calibration.ts'
import { AppError } from '../../contract/errors/index.ts'
import { type DatasetRequest, datasetSpecSchema } from '../../contract/quantization.ts'
import type { Recipe } from '../../contract/recipe.ts'
import type { WorkContext } from '../../contract/work.ts'
import {
  type CalibrationRequest,
  collectCalibration,
  modelInputs,
  openDataset,
} from '../calibration/index.ts'
import { type Model, openModel, upgradeOpset } from '../onnx/index.ts'
import type { ChosenLayer } from './plan.ts'
import type { ChosenPool } from './pooling.ts'
import { prepareModel } from './prepare/index.ts'
import { checkFloatingPoint, checkSomething, observed, PER_CHANNEL_OPSET, rangeOptions } from './quantize.ts'
import { selectLayers } from './selection.ts'
import { WeightSpill } from './weight-spill.ts'

export interface CalibrateRequest {
  /** The ONNX file; with `model`, only its name in the report. */
  modelPath: string
  /** A model that is not in an ONNX file, such as one recovered from a simulated .om. */
  model?: Model
  recipe: Recipe
  dataset: DatasetRequest
  /** Where a model too large for memory is written for the run; the system's temporary folder by default. */
  temporaryFolder?: string
  tool: { name: string; version: string }
}

/** The dimension of the input along which a weight of the layer, or the pooling, has a channel each. */
function channelAxis(opType: string): number {
  return opType === 'MatMul' || opType === 'Gemm' ? -1 : 1
}

function requestOf(layer: ChosenLayer | ChosenPool, model: Model): CalibrationRequest {
  const { tensor, spec } = observed(layer)
  const index = 'anatomy' in layer ? layer.anatomy.nodeIndex : layer.nodeIndex
  const opType = model.graph.nodes[index]?.opType ?? ''
  return {
    tensor,
    spec,
    layers: [{ name: layer.name, op_type: opType }],
    channelAxis: channelAxis(opType),
  }
}

/**
 * Runs the model over calibration data and reports on every activation that the recipe quantizes. Writes nothing.
 * @throws E_QUANTIZE_SOURCE, E_QUANTIZE_NOTHING, E_CALIBRATION_NOTHING, E_LAYER_UNKNOWN, E_CANCELLED, and what opening the
 * model, opening the data set, weight repair and calibrating throw
 */
export async function calibrateModel(
  request: CalibrateRequest,
  context: WorkContext = {},
): Promise<CalibrationReport> {
  const started = performance.now()
  const { recipe } = request
  const source = request.model ?? openModel(request.modelPath)
  checkFloatingPoint(source)
  const original = upgradeOpset(source, PER_CHANNEL_OPSET)
  checkSomething(original, selectLayers(original, recipe))
  const inputs = modelInputs(original)
  const dataset = openDataset(request.dataset, inputs)
  const temporaryFolder = request.temporaryFolder ?? tmpdir()
  using spill = new WeightSpill(path.join(temporaryFolder, 'calibrate'))
  // The tensors are those of the repaired model: its ranges are what is quantized.
  const { model } = await prepareModel(original, recipe, dataset, { store: spill, temporaryFolder }, context)
  const { chosen, pools } = selectLayers(model, recipe, original)
  const layers = [...chosen, ...pools]
  if (layers.length === 0) throw new AppError('E_CALIBRATION_NOTHING', { model: request.modelPath })
  const collected = await collectCalibration(
    model,
    dataset,
    layers.map((layer) => requestOf(layer, model)),
    rangeOptions(layers, temporaryFolder),
    context,
  )
  const spec = datasetSpecSchema.parse(request.dataset)
  return {
    schema: CALIBRATION_SCHEMA,
    tool: request.tool,
    created_at: new Date().toISOString(),
    model: { path: request.modelPath, inputs: inputs.map((input) => input.name) },
    data: {
      folder: path.resolve(spec.folder),
      sha256: dataset.digest(context.signal),
      samples: dataset.samples,
      runs: dataset.count,
      batch: spec.batchSize,
      selection: spec.selection,
      timesteps: collected.timesteps,
    },
    recipe,
    samples: collected.samples,
    coverage: collected.coverage,
    seconds: (performance.now() - started) / 1000,
    tensors: collected.tensors,
  }
}
