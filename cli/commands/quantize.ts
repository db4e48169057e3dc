// `aqw quantize`: ONNX model and calibration data in; deploy model, runnable twin and scales out.
import path from 'node:path'
import { type Command, Option } from 'commander'
import { AppError } from '../../contract/errors/index.ts'
import type { LayerReport, QuantizationResult } from '../../contract/quantization.ts'
import { formatBytes } from '../../engine/common/units.ts'
import { checkWritable } from '../../engine/common/files.ts'
import { modelFile } from '../runtime/arguments.ts'
import {
  addDatasetOptions,
  datasetOf,
  readText,
  recipeOf,
  withSettings,
  type DatasetOptions,
} from '../runtime/quantization-options.ts'
import type { Host } from '../runtime/host.ts'
import { logNotes } from '../runtime/notes.ts'
import { action, withCommonOptions } from '../runtime/program.ts'
import { idleRepairs, repairText } from '../runtime/repair-options.ts'
import { keyValues } from '../runtime/table.ts'

interface QuantizeOptions extends Omit<DatasetOptions, 'calibration'> {
  model: string
  output: string
  hostCpuModel?: boolean
  calibration?: string
  record?: string
}

const EXAMPLES = `
Writes PREFIX_deploy_model.onnx (for atc), PREFIX_fake_quant_model.onnx (runs on ONNX Runtime), PREFIX_quant.json and
the record of all scales; with --host-cpu-model also PREFIX_host_cpu_model.onnx, INT8 at the speed of this machine's
integer kernels. Calibration folders: docs/quantization.md.
Examples:
  aqw quantize --model unet.onnx --calibration calib -o unet_int8
  aqw quantize --model unet.onnx --calibration calib --recipe recipe.json -o out/unet --json
  aqw quantize --model unet.onnx --record unet_int8_record.txt -o again/unet_int8`

/** Scales of a record file, of AMCT or of an earlier run, in place of calibration. */
async function quantizeByRecord(
  host: Host,
  options: QuantizeOptions,
  record: string,
): Promise<QuantizationResult> {
  const engine = await import('../../engine/quantization/index.ts')
  const result = engine.quantizeByRecord(
    {
      modelPath: options.model,
      record: readText(record),
      recordPath: record,
      outputPrefix: path.resolve(options.output),
      hostCpuModel: options.hostCpuModel ?? false,
    },
    host.ctx,
  )
  logNotes(host.log, result.notes)
  return result
}

async function quantizeByCalibration(
  host: Host,
  options: QuantizeOptions,
  calibration: string,
): Promise<QuantizationResult> {
  const recipe = withSettings(await recipeOf(options, options.model, host.log), options)
  const dataset = datasetOf({ ...options, calibration })
  const { quantizeModel } = await import('../../engine/quantization/index.ts')
  const request = {
    modelPath: options.model,
    recipe,
    dataset,
    outputPrefix: path.resolve(options.output),
    hostCpuModel: options.hostCpuModel ?? false,
  }
  const result = await quantizeModel(request, host.ctx)
  for (const repair of idleRepairs(recipe, result.repairs ?? [])) {
    host.log.info(`asked for, but nothing to do in this model: ${repair}`)
  }
  return result
}

function quantizeBy(host: Host, options: QuantizeOptions): Promise<QuantizationResult> {
  const { record, calibration } = options
  if (record !== undefined) return quantizeByRecord(host, options, record)
  if (calibration !== undefined) return quantizeByCalibration(host, options, calibration)
  const reason = "one of the options '--calibration <folder>' and '--record <file>' is needed"
  throw new AppError('E_USAGE', { reason, command: 'aqw quantize' })
}

async function quantize(host: Host, options: QuantizeOptions): Promise<void> {
  modelFile(options.model, ['.onnx'])
  checkWritable(`${options.output}_deploy_model.onnx`)
  const result = await quantizeBy(host, options)
  if (host.json) {
    host.printJson(result)
    return
  }
  const quantized = result.layers.filter((layer) => layer.quantized)
  const share = ((100 * result.sizes.deploy) / result.sizes.source).toFixed(1)
  const pairs: [string, string][] = [
    ['deploy model', `${result.deployPath} (${formatBytes(result.sizes.deploy)}, ${share} % of the source)`],
    ['runnable twin', `${result.fakeQuantPath} (${formatBytes(result.sizes.fakeQuant)})`],
    ...hostCpuLine(result),
    ['node mapping', result.quantJsonPath],
    ['record', result.recordPath],
    ['layers', `${quantized.length} of ${result.layers.length} quantized${precisions(quantized)}`],
    ...repairLine(result),
    [
      'calibration',
      options.record === undefined
        ? `${result.dataset.samples} samples`
        : `none: scales of ${options.record}`,
    ],
  ]
  for (const line of keyValues(pairs)) host.print(line)
  reportFallbacks(host, result.layers)
  reportKept(host, result.layers)
  if (result.layersInBranches !== undefined) {
    host.log.info(`${result.layersInBranches} layers inside branches of If, Loop or Scan stay as they are`)
  }
}

function hostCpuLine({ hostCpuPath, sizes }: QuantizationResult): [string, string][] {
  return hostCpuPath === undefined
    ? []
    : [['host CPU model', `${hostCpuPath} (${formatBytes(sizes.hostCpu ?? 0)})`]]
}

function repairLine({ repairs }: QuantizationResult): [string, string][] {
  const text = repairText(repairs ?? [])
  return text === undefined ? [] : [['repair', text]]
}

/** How many layers have which precision, when there is more than one. */
function precisions(quantized: readonly LayerReport[]): string {
  const counts = [...Map.groupBy(quantized, (layer) => layer.precision)]
  if (counts.length < 2 && counts[0]?.[0] === 'int8') return ''
  return ` (${counts.map(([precision, layers]) => `${layers.length} ${precision}`).join(', ')})`
}

/** Layers that did not get what the recipe asked for, and why: counts for everyone, names for those who ask. */
function reportFallbacks(host: Host, layers: readonly LayerReport[]): void {
  const tell = (text: string, group: readonly LayerReport[]): void => {
    host.log.info(`${group.length} layers ${text}`)
    for (const layer of group) host.log.debug(`  ${layer.name}`)
  }
  const fallen = layers.filter((layer) => layer.fallback)
  const kinds = Map.groupBy(fallen, ({ fallback }) => `${fallback?.wanted}: ${fallback?.reason}`)
  for (const [kind, group] of kinds) tell(`became int8 instead of ${kind.replaceAll('_', ' ')}`, group)
  const floating = Map.groupBy(
    layers.filter((layer) => layer.deployFloat),
    (layer) => layer.deployFloat ?? 'convolution',
  )
  for (const [reason, group] of floating) {
    tell(`hold rounded floating-point weights in the deploy model: ${reason}`, group)
  }
}

/** Why layers stayed in floating point: counts for everyone, names for those who ask. */
function reportKept(host: Host, layers: readonly LayerReport[]): void {
  const kept = layers.filter((layer) => !layer.quantized)
  for (const [reason, group] of Map.groupBy(kept, (layer) => layer.reason ?? 'unknown')) {
    host.log.info(`${group.length} layers stay in floating point: ${reason.replaceAll('_', ' ')}`)
    for (const layer of group) host.log.debug(`  ${layer.name}`)
  }
}

export function register(command: Command): void {
  command
    .requiredOption('--model <file>', 'the .onnx model')
    .requiredOption('-o, --output <prefix>', 'prefix of the files to write')
    .option('--host-cpu-model', 'also write the INT8 model for the CPU of this machine')
  const common = new Set(command.options)
  addDatasetOptions(command, true)
  // A record leaves nothing to choose: an option for it would be passed over in silence.
  const choices = command.options.filter((option) => !common.has(option))
  command.addOption(
    new Option('--record <file>', 'scales of a record file in place of calibration').conflicts(
      choices.map((option) => option.attributeName()),
    ),
  )
  withCommonOptions(command, true).addHelpText('after', EXAMPLES)
  action<QuantizeOptions>(command, quantize)
}
