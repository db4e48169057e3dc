// `aqw presets MODEL`: what the model is, the recipes that fit it, and what each does differently and why.
import type { Command } from 'commander'
import type { PresetProposal, RecipePreset, Recognition } from '../../contract/presets.ts'
import { writeFileAtomic } from '../../engine/common/files.ts'
import { modelFile, parseInteger } from '../runtime/arguments.ts'
import { type Host, systemLocale } from '../runtime/host.ts'
import { openAnyModel } from '../runtime/open-model.ts'
import { action, withCommonOptions } from '../runtime/program.ts'
import { textTable } from '../runtime/table.ts'

interface PresetsOptions {
  preset?: string
  output?: string
  top: string
}

const EXAMPLES = `
A star marks the recommended preset. --preset shows one of them layer by layer; with -o its recipe is written, to be
changed by hand or given to "aqw quantize --recipe". "aqw quantize --preset ID" takes it as it is.
Examples:
  aqw presets unet.onnx
  aqw presets unet.onnx --preset diffusion_w8a8 -o recipe.json
  aqw presets unet.onnx --json`

const roleName = (role: string): string => role.replaceAll('_', ' ')

function printRecognition(host: Host, { kind, roles }: Recognition): void {
  host.print(
    `${host.paint('bold', roleName(kind))}: ${roles.map(({ role, layers }) => `${layers} ${roleName(role)}`).join(', ')}`,
  )
  host.print()
}

/** One line per role: how many layers, which precision, why. */
function roleLines(host: Host, proposals: readonly PresetProposal[]): string[] {
  const locale = systemLocale(process.env)
  const groups = Map.groupBy(proposals, ({ role, precision }) => `${role} ${precision}`)
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    if (!first) return []
    const count = `${group.length} ${roleName(first.role)} ${first.precision}`
    return [`    ${count}: ${host.paint('dim', first.reason[locale])}`]
  })
}

function printPreset(host: Host, preset: RecipePreset): void {
  const locale = systemLocale(process.env)
  const mark = preset.recommended ? '*' : ' '
  host.print(`${mark} ${host.paint('bold', preset.id)}  ${preset.description[locale]}`)
  for (const line of roleLines(host, preset.proposals)) host.print(line)
}

function printLayers(host: Host, preset: RecipePreset, top: number): void {
  const columns = [{ title: 'layer' }, { title: 'operator' }, { title: 'role' }, { title: 'precision' }]
  const rows = preset.proposals
    .slice(0, top)
    .map(({ layer, opType, role, precision }) => [layer, opType, roleName(role), precision])
  host.print()
  for (const line of textTable(columns, rows)) host.print(line)
  const rest = preset.proposals.length - rows.length
  if (rest > 0) host.print(`and ${rest} more layers (--top)`)
}

async function presets(host: Host, options: PresetsOptions, [file = '']: string[]): Promise<void> {
  const top = parseInteger('--top', options.top, 1, 1_000_000)
  const model = await openAnyModel(modelFile(file, ['.onnx', '.om']))
  const { presetOf, presetsAndRecognition } = await import('../../engine/quantization/presets/index.ts')
  const found = presetsAndRecognition(model)
  const chosen = options.preset === undefined ? undefined : presetOf(model, options.preset)
  if (options.output !== undefined) {
    const recipe = chosen ?? found.presets.find((preset) => preset.recommended)
    writeFileAtomic(options.output, `${JSON.stringify(recipe?.recipe, null, 2)}\n`)
  }
  if (host.json) return host.printJson(chosen ? { ...found, presets: [chosen] } : found)
  if (found.recognised) printRecognition(host, found.recognised)
  for (const preset of chosen ? [chosen] : found.presets) printPreset(host, preset)
  if (chosen && chosen.proposals.length > 0) printLayers(host, chosen, top)
}

export function register(command: Command): void {
  command
    .argument('<model>', 'the .onnx model, or an .om of the simulated compiler')
    .option('--preset <id>', 'show this one layer by layer')
    .option('-o, --output <file>', 'write the recipe of --preset there (default: of the recommended one)')
    .option('--top <n>', 'layers to list', '40')
  withCommonOptions(command, true).addHelpText('after', EXAMPLES)
  action<PresetsOptions>(command, presets)
}
