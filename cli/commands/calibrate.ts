// `aqw calibrate MODEL`: runs the model over calibration data and reports on every tensor that the recipe quantizes.
import path from 'node:path'
import { Option, type Command } from 'commander'
import type { CalibrationReport } from '../../contract/calibration.ts'
import { AppError } from '../../contract/errors/index.ts'
import { activationMethodSchema, type Recipe, recipeSchema } from '../../contract/recipe.ts'
import { checkWritable, writeFileAtomic } from '../../engine/common/files.ts'
import { modelFile, parseInteger } from '../runtime/arguments.ts'
import type { Host } from '../runtime/host.ts'
import { systemLocale } from '../runtime/host.ts'
import { openAnyModel } from '../runtime/open-model.ts'
import { action, withCommonOptions } from '../runtime/program.ts'
import { datasetOf, recipeOf, selectionOption, type DatasetOptions } from '../runtime/quantization-options.ts'
import { productVersion } from '../version.ts'

interface CalibrateOptions extends Omit<DatasetOptions, 'calibration' | 'calibrationSelection'> {
  data: string
  selection?: DatasetOptions['calibrationSelection']
  method?: Recipe['activation']['method']
  report?: string
  language?: 'en' | 'zh'
  top: string
}

const FORMATS = ['html', 'pdf', 'md', 'json'] as const
type Format = (typeof FORMATS)[number]

const EXAMPLES = `
Says whether the samples are enough, which tensors fit their range worst, what each range method makes of them, which
channels stand out, and how ranges follow the time steps. The JSON form is documented in docs/calibration.md.
Examples:
  aqw calibrate unet.onnx --data calib
  aqw calibrate unet.onnx --data calib --count 16 --selection timesteps --method auto --report calibration.html
  aqw calibrate unet.onnx --data calib --preset diffusion_w8a8 --report calibration.json`

function formatOf(file: string): Format {
  const extension = path.extname(file).slice(1).toLowerCase()
  const found = FORMATS.find((format) => format === extension)
  if (found) return found
  throw new AppError('E_ARGUMENT', {
    name: '--report',
    reason: `"${file}" has no extension of a report`,
    expected: FORMATS.map((format) => `.${format}`).join(', '),
  })
}

/** The method with its defaults in place of the recipe's, everywhere. */
function withMethod(recipe: Recipe, method: CalibrateOptions['method']): Recipe {
  if (method === undefined) return recipe
  const without = <T extends { activation?: unknown }>({
    activation: _activation,
    ...rule
  }: T): Omit<T, 'activation'> => rule
  return recipeSchema.parse({
    ...recipe,
    activation: { method },
    overrides: recipe.overrides.map(without),
    op_types: recipe.op_types.map(without),
  })
}

async function printReport(
  host: Host,
  report: CalibrationReport,
  top: number,
  locale: 'en' | 'zh',
): Promise<void> {
  const { calibrationSummaryBlocks } = await import('../../engine/report/index.ts')
  const { blockLines } = await import('../runtime/blocks.ts')
  const blocks = calibrationSummaryBlocks(report, locale, top)
  for (const line of blocks.flatMap((block) => blockLines(block, host.paint))) host.print(line)
}

async function calibrate(host: Host, options: CalibrateOptions, [file = '']: string[]): Promise<void> {
  const format = options.report === undefined ? undefined : formatOf(options.report)
  const top = parseInteger('--top', options.top, 1, 1_000_000)
  const locale = options.language ?? systemLocale(process.env)
  if (options.report !== undefined) checkWritable(options.report)
  modelFile(file, ['.onnx', '.om'])
  const recipe = withMethod(await recipeOf(options, file, host.log), options.method)
  const dataset = datasetOf({
    ...options,
    calibration: options.data,
    ...(options.selection && { calibrationSelection: options.selection }),
  })
  const { calibrateModel } = await import('../../engine/quantization/index.ts')
  const report = await calibrateModel(
    {
      modelPath: file,
      model: await openAnyModel(file),
      recipe,
      dataset,
      tool: { name: 'aqw', version: productVersion() },
    },
    host.ctx,
  )
  if (options.report !== undefined && format) {
    const { renderCalibration } = await import('../../engine/report/index.ts')
    const { bytes } = await renderCalibration(report, format, locale, host.ctx.signal)
    writeFileAtomic(options.report, bytes)
  }
  if (host.json) return host.printJson(report)
  await printReport(host, report, top, locale)
  if (options.report !== undefined) host.print(options.report)
}

export function register(command: Command): void {
  command
    .argument('<model>', 'the .onnx model, or an .om of the simulated compiler')
    .requiredOption('--data <folder>', 'folder with calibration data (.bin or .npy)')
    .option('--list <file>', 'text file naming the samples, one per line')
    .option('--count <n>', 'use n samples (default: all)')
    .addOption(selectionOption('--selection <how>'))
    .option('--batch <n>', 'samples per run', '1')
    .option(
      '--input-shape <shapes>',
      'shapes of open inputs, e.g. "sample_input_tensor:1,4,64,64;timestep:1"',
    )
    .option('--layout <layouts>', 'layout of data stored with channels last, e.g. "input:HWC"')
    .option('--recipe <file>', 'recipe whose layers and methods are reported on')
    .option('--preset <id>', 'one of the recipes that "aqw presets MODEL" shows')
    .addOption(
      new Option('--method <method>', "range method in place of the recipe's").choices([
        ...activationMethodSchema.options,
      ]),
    )
    .option('--report <file>', 'write the whole report there: .html, .pdf, .md or .json')
    .addOption(
      new Option('--language <language>', 'en or zh (default: that of the system)').choices(['en', 'zh']),
    )
    .option('--top <n>', 'tensors to list, worst first', '15')
  withCommonOptions(command, true).addHelpText('after', EXAMPLES)
  action<CalibrateOptions>(command, calibrate)
}
