// Reading AMCT's simplified configuration: protobuf text of message AMCTConfig (calibration_config_pytorch.proto, and
// calibration_config_onnx.proto with nuq_config, joint_quant and tensor_quantize besides).
import { AppError } from '../../../contract/errors/index.ts'
import { parseProtobufText } from '../protobuf-text.ts'
import { MessageReader } from './fields.ts'
import {
  type AmctActivation,
  type AmctSettings,
  type AmctWeight,
  DEFAULT_ACTIVATION,
  DEFAULT_ADAROUND,
} from './settings.ts'

/** Settings of one common_config or override; what it leaves out is undefined. */
export interface CfgSettings {
  activation?: AmctActivation
  weight?: AmctWeight
  balance?: number
}

export interface CfgOverride {
  name: string
  line: number
  settings: CfgSettings
}

/** An AMCTConfig as written. */
export interface CfgFile {
  batchNum?: number
  activationOffset: boolean
  fusion: { enabled: boolean; skip: string[] }
  skipLayers: string[]
  skipTypes: string[]
  common?: CfgSettings
  types: CfgOverride[]
  layers: CfgOverride[]
  jointQuant: boolean
  forcedFloat16: boolean
  /** Layers whose inputs alone are to be quantized. */
  tensors: string[]
}

const PRECISION_MODES = { FORCE_FP16_QUANT: 1 }
const DATA_TYPES = { INT8: 1, INT16: 2 }
const BINS = [1024, 2048, 4096, 8192]

function checkDataType(reader: MessageReader): void {
  if (reader.word('dst_type', DATA_TYPES) === 'INT16') {
    reader.unsupported('dst_type', 'INT16 activations', 'the engine quantizes activations to INT8')
  }
}

function asymmetry(reader: MessageReader): Pick<AmctActivation, 'asymmetric'> {
  const asymmetric = reader.boolean('asymmetric')
  return asymmetric === undefined ? {} : { asymmetric }
}

function readIfmr(reader: MessageReader): AmctActivation {
  checkDataType(reader)
  const defaults = DEFAULT_ACTIVATION
  const percentile = (field: string): number | undefined =>
    reader.number(field, (value) => value > 0.5 && value <= 1, 'a number from above 0.5 to 1')
  const end =
    reader.number('search_range_end', (value) => value > 0 && value <= 100, 'a number from above 0 to 100') ??
    defaults.searchRange[1]
  const start =
    reader.number(
      'search_range_start',
      (value) => value > 0 && value < end,
      `a number between 0 and ${end}`,
    ) ?? Math.min(defaults.searchRange[0], end / 2)
  const fits = (value: number): boolean => value >= 1e-4 && value <= end - start + 1e-9
  const step = reader.number('search_step', fits, 'a step within the search range')
  const activation: AmctActivation = {
    ...defaults,
    ...asymmetry(reader),
    maxPercentile: percentile('max_percentile') ?? defaults.maxPercentile,
    minPercentile: percentile('min_percentile') ?? defaults.minPercentile,
    searchRange: [start, end],
    searchStep: step ?? Math.min(defaults.searchStep, end - start),
  }
  reader.number('num_bits', (bits) => bits === 8, '8')
  reader.finish()
  return activation
}

function readHfmg(reader: MessageReader): AmctActivation {
  checkDataType(reader)
  const bins = reader.number('num_of_bins', (value) => BINS.includes(value), BINS.join(', '))
  const activation: AmctActivation = {
    ...DEFAULT_ACTIVATION,
    ...asymmetry(reader),
    algorithm: 'hfmg',
    bins: bins ?? DEFAULT_ACTIVATION.bins,
  }
  reader.finish()
  return activation
}

function channelWise(reader: MessageReader): Pick<AmctWeight, 'channelWise'> {
  const written = reader.boolean('channel_wise')
  return written === undefined ? {} : { channelWise: written }
}

function readArq(reader: MessageReader): AmctWeight {
  const field = reader.has('num_bits') ? 'num_bits' : 'quant_bits'
  const bits = reader.number(field, (value) => [4, 6, 7, 8].includes(value), '4 or 8') ?? 8
  if (bits === 6 || bits === 7) {
    reader.unsupported(field, `INT${bits} weights`, 'they are for the Winograd units of AMCT only')
  }
  if (reader.boolean('asymmetric')) {
    reader.unsupported('asymmetric', 'weights with an offset', 'Ascend takes symmetric weights')
  }
  const weight: AmctWeight = { bits: bits === 4 ? 4 : 8, ...channelWise(reader) }
  reader.finish()
  return weight
}

function readAda(reader: MessageReader): AmctWeight {
  const above = (minimum: number) => (value: number) => value > minimum
  const fraction = (value: number): boolean => value > 0 && value < 1
  const whole = (value: number): boolean => Number.isInteger(value) && value >= 0 && value <= 1_000_000
  const { iterations, regularization, betaRange, warmStart } = DEFAULT_ADAROUND
  const end = reader.number('beta_range_end', above(0), 'a number above 0') ?? betaRange[1]
  const start = reader.number('beta_range_start', above(end), `a number above beta_range_end, ${end}`)
  const weight: AmctWeight = {
    bits: 8,
    ...channelWise(reader),
    adaRound: {
      iterations: reader.number('num_iteration', whole, 'a whole number up to 1000000') ?? iterations,
      regularization: reader.number('reg_param', fraction, 'a number between 0 and 1') ?? regularization,
      betaRange: [start ?? Math.max(betaRange[0], end), end],
      warmStart: reader.number('warm_start', fraction, 'a number between 0 and 1') ?? warmStart,
    },
  }
  reader.finish()
  return weight
}

function readBalancer(reader: MessageReader): number {
  const fits = (value: number): boolean => value >= 0.2 && value <= 0.8
  const strength = reader.number('migration_strength', fits, 'a number from 0.2 to 0.8')
  reader.finish()
  return strength ?? 0.5
}

function readSettings(reader: MessageReader): CfgSettings {
  reader.oneOf(['arq_quantize', 'ada_quantize', 'nuq_quantize'])
  reader.oneOf(['ifmr_quantize', 'hfmg_quantize'])
  reader.unsupported('nuq_quantize', 'non-uniform quantization', 'it brings nothing on the hardware any more')
  if (reader.boolean('weight_compress_only')) {
    reader.unsupported(
      'weight_compress_only',
      'weight-only quantization',
      'ATC does not take it from a deploy model',
    )
  }
  const ifmr = reader.message('ifmr_quantize', 'FMRQuantize')
  const hfmg = reader.message('hfmg_quantize', 'HFMGQuantize')
  const arq = reader.message('arq_quantize', 'ARQuantize')
  const ada = reader.message('ada_quantize', 'ADAquantize')
  const balancer = reader.message('dmq_balancer', 'DMQBalancer')
  const activation = ifmr ? readIfmr(ifmr) : hfmg && readHfmg(hfmg)
  const weight = arq ? readArq(arq) : ada && readAda(ada)
  reader.finish()
  return {
    ...(activation && { activation }),
    ...(weight && { weight }),
    ...(balancer && { balance: readBalancer(balancer) }),
  }
}

function readOverrides(
  config: MessageReader,
  field: string,
  message: string,
  nameField: string,
): CfgOverride[] {
  const seen = new Set<string>()
  return config.messages(field, message).map((reader) => {
    const name = reader.text(nameField)
    if (seen.has(name)) reader.refuseAgain(nameField, name)
    seen.add(name)
    const settings = readSettings(reader.requiredMessage('calibration_config', 'CalibrationConfig'))
    reader.finish()
    return { name, line: reader.line, settings }
  })
}

function readTensors(config: MessageReader): string[] {
  return config.messages('tensor_quantize', 'TensorQuantize').map((reader) => {
    const name = reader.text('layer_name')
    reader.number('input_index', (value) => Number.isInteger(value) && value >= 0, 'the number of an input')
    reader.ignore('ifmr_quantize')
    reader.ignore('hfmg_quantize')
    reader.finish()
    return name
  })
}

/** Fields of other configurations of AMCT, by which a wrong file is recognised. */
function refuseOtherFiles(config: MessageReader, file: string): void {
  const other = ['retrain_data_quant_config', 'kv_cache_quant_config', 'compress_ratio', 'prune_config'].find(
    (field) => config.has(field),
  )
  if (other === undefined) return
  throw new AppError('E_AMCT_UNSUPPORTED', {
    path: file,
    line: config.lineOf(other),
    what: other,
    reason: 'this is a configuration for training, pruning or caches, not for post-training quantization',
  })
}

/** What is refused whatever it is set to. */
function refuseUnsupported(config: MessageReader): void {
  const useless = 'it brings nothing on the hardware any more'
  config.unsupported('nuq_config', 'non-uniform quantization (nuq_config)', useless)
  if (config.boolean('enable_auto_nuq')) {
    config.unsupported('enable_auto_nuq', 'non-uniform quantization (enable_auto_nuq)', useless)
  }
  if (config.boolean('weight_offset')) {
    config.unsupported('weight_offset', 'weights with an offset', 'Ascend takes symmetric weights')
  }
}

/** Types with weights per channel; the rest is what fc_calibration_config means (AMCT, ProtoConfig.get_proto_config). */
const FULLY_CONNECTED = ['Gemm', 'MatMul']

/** common_config and override_layer_types; their older forms count where neither is given. */
function readGeneral(config: MessageReader): Pick<CfgFile, 'common' | 'types'> {
  const settings = (field: string): CfgSettings | undefined => {
    const reader = config.message(field, 'CalibrationConfig')
    return reader && readSettings(reader)
  }
  const common = settings('common_config')
  const types = readOverrides(config, 'override_layer_types', 'OverrideLayerType', 'layer_type')
  const convolutions = settings('conv_calibration_config')
  const connected = settings('fc_calibration_config')
  if (common || types.length > 0) return { ...(common && { common }), types }
  const line = config.lineOf('fc_calibration_config')
  return {
    ...(convolutions && { common: convolutions }),
    types: connected ? FULLY_CONNECTED.map((name) => ({ name, line, settings: connected })) : [],
  }
}

/**
 * Reads a simplified configuration.
 * @param file The file's name, for messages only.
 * @throws E_AMCT_CFG_SYNTAX, E_AMCT_CFG_FIELD, E_AMCT_CFG_VALUE, E_AMCT_UNSUPPORTED, each with the line
 */
export function readCfg(text: string, file: string): CfgFile {
  const config = new MessageReader(parseProtobufText(text, file, 'E_AMCT_CFG_SYNTAX'), 'AMCTConfig', file)
  refuseOtherFiles(config, file)
  refuseUnsupported(config)
  config.number('version', (value) => value === 1, '1')
  const positive = (value: number): boolean => Number.isInteger(value) && value > 0
  const batchNum = config.number('batch_num', positive, 'a whole number above 0')
  const read: CfgFile = {
    ...(batchNum !== undefined && { batchNum }),
    activationOffset: config.boolean('activation_offset') ?? true,
    fusion: { enabled: config.boolean('do_fusion') ?? true, skip: config.texts('skip_fusion_layers') },
    skipLayers: config.texts('skip_layers'),
    skipTypes: config.texts('skip_layer_types'),
    ...readGeneral(config),
    layers: readOverrides(config, 'override_layer_configs', 'OverrideLayer', 'layer_name'),
    jointQuant: config.boolean('joint_quant') ?? false,
    forcedFloat16: config.word('fakequant_precision_mode', PRECISION_MODES) !== undefined,
    tensors: readTensors(config),
  }
  config.ignore('skip_approximation_layers')
  config.finish()
  return read
}

/**
 * The settings of a layer with AMCT's defaults filled in. An override replaces common_config as a whole; only its
 * symmetry is inherited, where both use the same algorithm (AMCT, set_global_asymmetric).
 */
export function completeSettings(written: CfgSettings, common: CfgSettings | undefined): AmctSettings {
  const activation = written.activation ?? DEFAULT_ACTIVATION
  const inherited = common?.activation
  const inherits = activation.asymmetric === undefined && inherited?.algorithm === activation.algorithm
  return {
    activation:
      inherits && inherited.asymmetric !== undefined
        ? { ...activation, asymmetric: inherited.asymmetric }
        : activation,
    weight: written.weight ?? { bits: 8 },
    ...(written.balance !== undefined && { balance: written.balance }),
  }
}
