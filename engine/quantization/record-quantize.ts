// Quantizing by given factors instead of calibration: the record file of an earlier run, of AMCT, or of another tool that
// writes it. Weights are rounded to the nearest on the given scales (AMCT, convert_model).
import { createHash } from 'node:crypto'
import { AppError } from '../../contract/errors/index.ts'
import type { InteropNote } from '../../contract/interop.ts'
import type { QuantizationResult } from '../../contract/quantization.ts'
import type { LayerOverride, Recipe } from '../../contract/recipe.ts'
import type { WorkContext } from '../../contract/work.ts'
import { checkWritable } from '../common/files.ts'
import { cloneModel, layerNames, type Model, nearestNames, openModel, upgradeOpset } from '../onnx/index.ts'
import { type ConfiguredLayer, recipeOfLayers } from './amct/layer-recipe.ts'
import { DEFAULT_ACTIVATION } from './amct/settings.ts'
import { layerReports } from './layer-reports.ts'
import type { ChosenLayer, GivenFactors } from './plan.ts'
import { planQuantization } from './plan.ts'
import type { ChosenPool } from './pooling.ts'
import { foldBatchNorm } from './prepare/fold-batch-norm.ts'
import type { PreparedModel } from './prepare/index.ts'
import { ModelEditor } from './prepare/model-editor.ts'
import {
  checkFloatingPoint,
  checkSomething,
  outputPaths,
  PER_CHANNEL_OPSET,
  sourceBytes,
  writeAll,
} from './quantize.ts'
import type { LayerRecord } from './record-file.ts'
import { type Records, readRecords } from './record-reader.ts'
import { scaleCount } from './rules.ts'
import { type Selection, selectLayers } from './selection.ts'
import { WeightSpill } from './weight-spill.ts'
import { weightLayout, weightValues } from './weights.ts'

export interface RecordRequest {
  /** The ONNX file; with `model`, only its name for messages. */
  modelPath: string
  model?: Model
  /** Text of the record file. */
  record: string
  /** Its name, for messages. */
  recordPath: string
  outputPrefix: string
  hostCpuModel?: boolean
}

const SUGGESTIONS = 3
/** Weights this many times beyond the grid of their scale belong to another model. Searched scales clip far less. */
const CLIPPING_LIMIT = 4

const WEIGHT_TYPES: Readonly<Record<string, 8 | 4>> = { INT8: 8, INT4: 4 }

class RecordedModel {
  readonly #records: Records
  readonly #byLayer: ReadonlyMap<string, LayerRecord>
  readonly #path: string

  constructor(records: Records, path: string) {
    this.#records = records
    this.#byLayer = new Map(records.records.map((record) => [record.layer, record]))
    this.#path = path
  }

  #refuse(layer: string, reason: string, expected: string): AppError {
    return new AppError('E_RECORD_MODEL', {
      path: this.#path,
      line: this.#records.lines.get(layer) ?? 1,
      layer,
      reason,
      expected,
    })
  }

  /** @throws E_RECORD_MODEL for a layer that the model does not have, or a type that is not written */
  #check(record: LayerRecord, known: readonly string[]): void {
    const { layer, activationType = 'INT8', weightType = 'INT8' } = record
    if (!known.includes(layer)) {
      const nearest = nearestNames([...known], layer, SUGGESTIONS).join(', ')
      throw this.#refuse(layer, 'the model has no layer of that name', `a layer such as ${nearest}`)
    }
    if (activationType !== 'INT8') throw this.#refuse(layer, `its activations are ${activationType}`, 'INT8')
    if (!Object.hasOwn(WEIGHT_TYPES, weightType)) {
      throw this.#refuse(layer, `its weights are ${weightType}`, 'INT8 or INT4')
    }
    if (record.scaleW.length === 0) throw this.#refuse(layer, 'it has no scale_w', 'a scale of the weight')
    if (record.balanceFactors) {
      throw this.#refuse(
        layer,
        'tensor_balance_factor changes the weights it was made for',
        'a record without balance; or calibrate with repair.balance in the recipe',
      )
    }
  }

  /** The recipe that chooses exactly the recorded layers. @throws E_RECORD_MODEL */
  recipe(model: Model, notes: InteropNote[]): Recipe {
    const known = layerNames(model).map((layer) => layer.name)
    for (const record of this.#records.records) this.#check(record, known)
    const layers = this.#records.records.map((record): ConfiguredLayer => {
      const bits = WEIGHT_TYPES[record.weightType ?? 'INT8'] ?? 8
      const weight = { bits, channelWise: record.scaleW.length > 1 }
      return { name: record.layer, enabled: true, settings: { activation: DEFAULT_ACTIVATION, weight } }
    })
    const fusion = { enabled: true, skip: this.#records.skipFusion }
    const recipe = recipeOfLayers(layers, { activationOffset: true, fusion }, model, notes)
    const weightOnly = this.#records.records.flatMap((record): LayerOverride[] => {
      if (record.scaleD !== undefined) return []
      const precision = record.weightType === 'INT4' ? 'w4a16' : 'w8a16'
      return [{ layer: record.layer, precision }]
    })
    return { ...recipe, overrides: [...recipe.overrides, ...weightOnly] }
  }

  #factors(layer: string): GivenFactors {
    const record = this.#byLayer.get(layer)
    return {
      scale: record?.scaleD ?? 1,
      offset: record?.offsetD ?? 0,
      scales: Float32Array.from(record?.scaleW ?? [1]),
    }
  }

  /** Gives every layer its factors. @throws E_RECORD_MODEL where they do not fit the layer */
  selection(found: Selection): Selection {
    return {
      ...found,
      chosen: found.chosen.map((layer) => this.#withFactors(layer)),
      weightOnly: found.weightOnly.map((layer) => this.#withFactors(layer)),
      pools: found.pools.map((pool): ChosenPool => ({ ...pool, given: this.#factors(pool.name) })),
    }
  }

  #withFactors(layer: ChosenLayer): ChosenLayer {
    const given = this.#factors(layer.name)
    const { scales, offset } = given
    const perChannel = { ...layer, perChannelWeight: scales.length > 1 }
    const expected = scaleCount(weightLayout(perChannel))
    if (scales.length !== expected) {
      const reason = `it has ${scales.length} scale_w for ${layer.anatomy.opType} with [${layer.anatomy.weightDims.join(',')}]`
      throw this.#refuse(layer.name, reason, expected === 1 ? 'one scale_w' : `1 or ${expected} scale_w`)
    }
    if (layer.fallback) throw this.#refuse(layer.name, 'its weight cannot be packed as INT4', 'INT8 weights')
    if (layer.observer.symmetric && offset !== 0) {
      throw this.#refuse(layer.name, `offset_d is ${offset}`, 'offset_d 0 for a Conv3d')
    }
    this.#checkWeight(perChannel, scales)
    return { ...perChannel, given }
  }

  /** A weight far outside of what its scale can hold is that of another model. */
  #checkWeight(layer: ChosenLayer, scales: Float32Array): void {
    const own = weightValues(layer)
    own.scales.forEach((needed, channel) => {
      const given = scales[channel] as number
      if (needed <= CLIPPING_LIMIT * given || needed === 1) return
      const reason = `its weight needs a scale of ${needed} in channel ${channel}, but scale_w is ${given}`
      throw this.#refuse(layer.name, reason, 'the model as it was when the record was made')
    })
  }
}

/** Folds normalizations as AMCT does before it quantizes, but for the layers that say otherwise. */
function fold(model: Model, records: Records, spill: WeightSpill): PreparedModel {
  const editor = new ModelEditor(cloneModel(model), {}, spill)
  const skipped = new Set(
    layerNames(editor.model)
      .filter((layer) => records.skipFusion.includes(layer.name))
      .map((layer) => layer.node),
  )
  const notes = foldBatchNorm(editor, skipped)
  return { model: notes.length > 0 ? editor.model : model, notes, balanceFactors: new Map() }
}

export interface RecordResult extends QuantizationResult {
  notes: InteropNote[]
}

/**
 * Quantizes a model by a record file, without calibration data.
 * @throws E_RECORD_SYNTAX, E_RECORD_VALUE, E_RECORD_MODEL, E_QUANTIZE_SOURCE, E_QUANTIZE_NOTHING, E_BIAS_OVERFLOW,
 * E_FILE_WRITE, E_CANCELLED, and what opening the model throws
 */
export function quantizeByRecord(request: RecordRequest, context: WorkContext = {}): RecordResult {
  const paths = outputPaths(request.outputPrefix, request.hostCpuModel)
  Object.values(paths).forEach(checkWritable)
  const records = readRecords(request.record, request.recordPath)
  const source = request.model ?? openModel(request.modelPath)
  checkFloatingPoint(source)
  const started = performance.now()
  using spill = new WeightSpill(paths.deployPath)
  const original = upgradeOpset(source, PER_CHANNEL_OPSET)
  const prepared = fold(original, records, spill)
  const { model } = prepared
  const recorded = new RecordedModel(records, request.recordPath)
  const notes = [...records.notes]
  const selection = recorded.selection(selectLayers(model, recorded.recipe(model, notes), original))
  checkSomething(model, selection)
  const { chosen, weightOnly, pools } = selection
  const plan = planQuantization(model, chosen, new Map(), spill, context, { weightOnly, pools })
  const planned = performance.now()
  const { deploy, fakeQuant, hostCpu } = writeAll(prepared, plan, paths, spill, context)
  return {
    ...paths,
    layers: layerReports(model, selection, plan, new Map()),
    repairs: prepared.notes,
    sizes: {
      source: sourceBytes(source),
      deploy: deploy.bytes,
      fakeQuant: fakeQuant.bytes,
      ...(hostCpu && { hostCpu: hostCpu.bytes }),
    },
    dataset: { samples: 0, sha256: createHash('sha256').update(request.record).digest('hex') },
    seconds: {
      calibrate: 0,
      quantize: (planned - started) / 1000,
      write: (performance.now() - planned) / 1000,
    },
    notes,
  }
}
