// Calibration for its own sake: what the recipe would quantize, observed over the data and reported tensor by tensor.
import path from 'node:path'
import { tmpdir } from 'node:os'
import { CALIBRATION_SCHEMA, type CalibrationReport } from '../../contract/calibration.ts'
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
import { checkFloatingPoint, checkSomething, PER_CHANNEL_OPSET, rangeOptions } from './quantize.ts'
import { selectLayers } from './selection.ts'

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

/** The dimension along which a weight of the layer has an input channel each. */
function channelAxis(opType: string): number {
  return opType === 'Conv' || opType === 'ConvTranspose' ? 1 : -1
}

function requestOf({ name, anatomy, observer }: ChosenLayer): CalibrationRequest {
  return {
    tensor: anatomy.activation,
    spec: observer,
    layers: [{ name, op_type: anatomy.opType }],
    channelAxis: channelAxis(anatomy.opType),
  }
}

/**
 * Runs the model over calibration data and reports on every activation that the recipe quantizes. Writes nothing.
 * @throws E_QUANTIZE_SOURCE, E_QUANTIZE_NOTHING, E_LAYER_UNKNOWN, E_CANCELLED, and what opening the model, opening the data
 * set and calibrating throw
 */
export async function calibrateModel(
  request: CalibrateRequest,
  context: WorkContext = {},
): Promise<CalibrationReport> {
  const started = performance.now()
  const source = request.model ?? openModel(request.modelPath)
  checkFloatingPoint(source)
  const model = upgradeOpset(source, PER_CHANNEL_OPSET)
  const inputs = modelInputs(model)
  const dataset = openDataset(request.dataset, inputs)
  const selection = selectLayers(model, request.recipe)
  checkSomething(model, selection)
  const folder = request.temporaryFolder ?? tmpdir()
  const collected = await collectCalibration(
    model,
    dataset,
    selection.chosen.map(requestOf),
    rangeOptions(selection.chosen, folder),
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
    recipe: request.recipe,
    samples: collected.samples,
    coverage: collected.coverage,
    seconds: (performance.now() - started) / 1000,
    tensors: collected.tensors,
  }
}
