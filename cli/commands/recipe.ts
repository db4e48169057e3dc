// `aqw recipe show|convert IN`: recipes in our form and in AMCT's.
import type { Command } from 'commander'
import { recipeFormSchema } from '../../contract/interop.ts'
import type { Recipe } from '../../contract/recipe.ts'
import { AppError } from '../../contract/errors/index.ts'
import { writeFileAtomic } from '../../engine/common/files.ts'
import type { Model } from '../../engine/onnx/index.ts'
import type { RecipeReading } from '../../engine/quantization/index.ts'
import { modelFile, parseInteger } from '../runtime/arguments.ts'
import type { Host } from '../runtime/host.ts'
import { logNotes } from '../runtime/notes.ts'
import { openAnyModel } from '../runtime/open-model.ts'
import { action, withCommonOptions } from '../runtime/program.ts'
import { readText } from '../runtime/quantization-options.ts'
import { keyValues, textTable } from '../runtime/table.ts'

interface ShowOptions {
  model?: string
}

interface ConvertOptions extends ShowOptions {
  to: string
  output?: string
  batchNum: string
}

const SHOW_EXAMPLES = `
Examples:
  aqw recipe show recipe.json
  aqw recipe show quant.cfg --model unet.onnx --json`

const CONVERT_EXAMPLES = `
Forms: recipe (ours), amct_tool (the amct_config.json of amct_tool), amct_json (AMCT's config.json, every layer; needs
--model), amct_cfg (AMCT's simplified configuration). What a form cannot say is listed on stderr.
Examples:
  aqw recipe convert quant.cfg --to recipe -o recipe.json
  aqw recipe convert recipe.json --model unet.onnx --to amct_json -o config.json`

const FORM_NAMES = {
  recipe: 'our recipe',
  amct_tool: 'amct_config.json of amct_tool',
  amct_json: "AMCT's config.json",
  amct_cfg: "AMCT's simplified configuration",
} as const

async function openNamed(options: ShowOptions): Promise<Model | undefined> {
  return options.model === undefined ? undefined : openAnyModel(modelFile(options.model, ['.onnx', '.om']))
}

async function read(file: string, model: Model | undefined): Promise<RecipeReading> {
  const { readRecipe } = await import('../../engine/quantization/index.ts')
  return readRecipe(readText(file), file, model)
}

function parametersText(settings: object): string {
  return Object.entries(settings)
    .map(([key, value]) => (key === 'method' ? String(value) : `${key} ${JSON.stringify(value)}`))
    .join(', ')
}

function repairText({ repair }: Recipe): string {
  const scope = (layers: readonly string[] | undefined): string =>
    layers ? ` (${layers.length} layers)` : ''
  const { rounding, balance } = repair
  const steps = [
    ...(repair.fold_batch_norm ? ['fold_batch_norm'] : []),
    ...(repair.equalize ? ['equalize'] : []),
    ...(balance ? [`balance ${balance.method} ${balance.strength}${scope(balance.layers)}`] : []),
    ...(repair.split_concat.mode === 'off' ? [] : [`split_concat ${repair.split_concat.mode}`]),
    ...(repair.bias_correction ? ['bias_correction'] : []),
    ...(rounding.method === 'nearest' ? [] : [`rounding ${rounding.method}${scope(rounding.layers)}`]),
  ]
  return steps.length > 0 ? steps.join(', ') : 'none'
}

function printRules(host: Host, recipe: Recipe): void {
  const rules = [
    ...recipe.op_types.map((rule) => ({ ...rule, name: `type ${rule.op_type}` })),
    ...recipe.overrides.map((rule) => ({ ...rule, name: rule.layer })),
  ]
  if (rules.length === 0) return
  host.print()
  const rows = rules.map((rule) => [
    rule.name,
    rule.precision ?? '',
    rule.activation ? parametersText(rule.activation) : '',
    rule.weight ? parametersText(rule.weight) : '',
  ])
  const columns = ['rule for', 'precision', 'activation', 'weight'].map((title) => ({ title }))
  for (const line of textTable(columns, rows)) host.print(line)
}

async function printEffect(host: Host, recipe: Recipe, model: Model): Promise<void> {
  const { selectLayers } = await import('../../engine/quantization/selection.ts')
  const { chosen, weightOnly, pools, kept } = selectLayers(model, recipe)
  host.print()
  host.print(`${chosen.length + weightOnly.length + pools.length} layers quantized`)
  for (const [reason, layers] of Map.groupBy(kept.values(), (layer) => layer.reason ?? 'unknown')) {
    host.print(`${layers.length} stay in floating point: ${reason.replaceAll('_', ' ')}`)
  }
}

async function show(host: Host, options: ShowOptions, args: string[]): Promise<void> {
  const model = await openNamed(options)
  const { form, recipe, notes } = await read(args[0] ?? '', model)
  if (host.json) {
    host.printJson({ form, recipe, notes })
    return
  }
  const names = (list: readonly string[]): string => (list.length > 0 ? list.join(', ') : 'none')
  const pairs: [string, string][] = [
    ['form', FORM_NAMES[form]],
    ...(recipe.name === undefined ? [] : [['name', recipe.name] as [string, string]]),
    ['precision', recipe.precision],
    ['activation', parametersText(recipe.activation)],
    ['weight', parametersText(recipe.weight)],
    ['weight repair', repairText(recipe)],
    ['skipped layers', names(recipe.skip_layers)],
    ['skipped types', names(recipe.skip_op_types)],
    ['FP16 layers', names(recipe.fp16_layers)],
  ]
  for (const line of keyValues(pairs)) host.print(line)
  printRules(host, recipe)
  if (model) await printEffect(host, recipe, model)
  logNotes(host.log, notes)
}

async function convert(host: Host, options: ConvertOptions, args: string[]): Promise<void> {
  const form = recipeFormSchema.safeParse(options.to)
  if (!form.success) {
    throw new AppError('E_ARGUMENT', {
      name: '--to',
      reason: `"${options.to}" is not a form`,
      expected: recipeFormSchema.options.join(', '),
    })
  }
  const model = await openNamed(options)
  const reading = await read(args[0] ?? '', model)
  const { writeRecipe } = await import('../../engine/quantization/index.ts')
  const written = writeRecipe(reading.recipe, form.data, {
    model,
    modelPath: options.model ?? reading.tool?.model.path,
    inputShapes: reading.tool?.model.inputShapes,
    calibrationFolder: reading.tool?.dataset.folder,
    samples: reading.tool?.dataset.count,
    batchNum: parseInteger('--batch-num', options.batchNum, 1, 1_000_000),
  })
  const notes = [...reading.notes, ...written.notes]
  if (options.output !== undefined) writeFileAtomic(options.output, written.text)
  if (host.json) host.printJson({ from: reading.form, to: form.data, output: options.output ?? null, notes })
  else if (options.output === undefined) process.stdout.write(written.text)
  logNotes(host.log, notes)
}

export function register(command: Command): void {
  const showing = command.command('show').description('what a recipe says, in words')
  showing.argument('<file>', "a recipe, or any of AMCT's configurations")
  showing.option('--model <file>', 'look the layers up in this model, and say what the recipe does to it')
  withCommonOptions(showing, true).addHelpText('after', SHOW_EXAMPLES)
  action<ShowOptions>(showing, show)

  const converting = command.command('convert').description('write a recipe in another form')
  converting
    .argument('<file>', "a recipe, or any of AMCT's configurations")
    .requiredOption('--to <form>', recipeFormSchema.options.join(', '))
    .option('-o, --output <file>', 'write here instead of to stdout')
    .option('--model <file>', 'look the layers up in this model')
    .option('--batch-num <n>', 'batch_num of amct_json and amct_cfg', '1')
  withCommonOptions(converting, true).addHelpText('after', CONVERT_EXAMPLES)
  action<ConvertOptions>(converting, convert)
}
