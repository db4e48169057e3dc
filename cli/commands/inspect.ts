// `aqw inspect MODEL`: inputs, outputs, operators and sizes of an ONNX or .om file, without loading weights.
import type { Command } from 'commander'
import type { ModelSummary, TensorSummary } from '../../contract/model.ts'
import type { OmSummary, OmTensor } from '../../contract/om.ts'
import { formatBytes, formatCount } from '../../engine/common/units.ts'
import { modelFile, parseInteger } from '../runtime/arguments.ts'
import type { Host } from '../runtime/host.ts'
import { action, withCommonOptions } from '../runtime/program.ts'
import { keyValues, textTable } from '../runtime/table.ts'

interface InspectOptions {
  top: string
}

const EXAMPLES = `
Examples:
  aqw inspect unet.onnx
  aqw inspect unet_fp16.om --json`

function shapeText(dims: readonly (number | string | null)[] | null): string {
  return dims === null ? '[?]' : `[${dims.map((dim) => dim ?? '?').join(',')}]`
}

function onnxTensor(tensor: TensorSummary): string {
  return `${tensor.name} ${tensor.dataType}${shapeText(tensor.dims)}`
}

function omTensor(tensor: OmTensor): string {
  return `${tensor.name} ${tensor.dataType}${shapeText(tensor.dims)} ${tensor.format}`
}

function listed(title: string, entries: readonly string[]): (readonly [string, string])[] {
  return entries.map((entry, index) => [index === 0 ? title : '', entry])
}

function printOnnx(host: Host, summary: ModelSummary, top: number): void {
  const opsets = summary.opsets.map(
    ({ domain, version }) => `${domain === '' ? 'ai.onnx' : domain} ${version}`,
  )
  const producer = `${summary.producer.name} ${summary.producer.version}`.trim()
  const pairs: (readonly [string, string])[] = [
    ['model', `ONNX, IR version ${summary.irVersion}, opset ${opsets.join(', ')}`],
    ...(producer === '' ? [] : [['producer', producer] as const]),
    ...listed(
      'files',
      summary.files.map((file) => `${file.path} (${formatBytes(file.bytes)})`),
    ),
    ...listed('inputs', summary.inputs.map(onnxTensor)),
    ...listed('outputs', summary.outputs.map(onnxTensor)),
    ['nodes', String(summary.nodes)],
    [
      'parameters',
      `${formatCount(summary.parameters)} in ${summary.weights} weights, ${formatBytes(summary.weightBytes)}`,
    ],
  ]
  for (const line of keyValues(pairs)) host.print(line)
  printOperators(
    host,
    summary.operators.map(({ opType, domain, count }) => [
      domain === '' ? opType : `${domain}.${opType}`,
      count,
    ]),
    top,
  )
  const layers = summary.layers.slice(0, top)
  if (layers.length === 0) return
  host.print()
  const columns = [
    { title: 'largest layers' },
    { title: 'operator' },
    { title: 'type' },
    { title: 'weights', align: 'right' as const },
  ]
  const rows = layers.map((layer) => [
    layer.modulePath ?? layer.name,
    layer.opType,
    layer.dataTypes.join(', '),
    formatBytes(layer.bytes),
  ])
  for (const line of textTable(columns, rows)) host.print(line)
}

function printOperators(host: Host, operators: readonly (readonly [string, number])[], top: number): void {
  if (operators.length === 0) return
  host.print()
  const columns = [{ title: 'operator' }, { title: 'count', align: 'right' as const }]
  const rows = operators.slice(0, top).map(([name, count]) => [name, String(count)])
  for (const line of textTable(columns, rows)) host.print(line)
  if (operators.length > top) host.print(`and ${operators.length - top} more kinds`)
}

function compilerText(summary: OmSummary): string {
  const origin = summary.simulated ? 'simulated compiler' : 'atc'
  return summary.compiler === null ? origin : `${summary.compiler} (${origin})`
}

function printOm(host: Host, summary: OmSummary, top: number): void {
  const { manifest, sizes } = summary
  const validation = manifest?.validation
  const pairs: (readonly [string, string])[] = [
    ['model', `${summary.name} (${summary.kind}), ${formatBytes(summary.bytes)}`],
    ['compiled for', summary.soc ?? 'unknown SoC'],
    ['compiler', compilerText(summary)],
    ...(manifest ? [['precision', manifest.precision] as const] : []),
    ...(summary.sourceModel === null ? [] : [['source', summary.sourceModel] as const]),
    ...(summary.commandLine === null ? [] : [['command line', summary.commandLine] as const]),
    ...listed('inputs', summary.inputs.map(omTensor)),
    ...listed('outputs', summary.outputs.map(omTensor)),
    ...(summary.gears
      ? [['gears', `${summary.gears.kind}: ${JSON.stringify(summary.gears.values)}`] as const]
      : []),
    ['ops', String(summary.ops.total)],
    ...(sizes.weights === null ? [] : [['weights', formatBytes(sizes.weights)] as const]),
    ...listed(
      'weight types',
      sizes.weightTypes.map(({ dataType, count, bytes }) => `${dataType}: ${count}, ${formatBytes(bytes)}`),
    ),
    ...(sizes.memory === null ? [] : [['working memory', formatBytes(sizes.memory)] as const]),
    ...(validation
      ? [
          [
            'latency model',
            `${validation.status}, x/÷ ${validation.band.factor}: ${validation.text}`,
          ] as const,
        ]
      : []),
  ]
  for (const line of keyValues(pairs)) host.print(line)
  for (const note of summary.notes) host.print(`note: ${note}`)
  printOperators(
    host,
    summary.ops.types.map(({ type, count }) => [type, count]),
    top,
  )
}

async function inspect(host: Host, options: InspectOptions, args: string[]): Promise<void> {
  const file = modelFile(args[0] ?? '', ['.onnx', '.om'])
  const top = parseInteger('--top', options.top, 0, 100_000)
  if (file.toLowerCase().endsWith('.om')) {
    const { inspectOm } = await import('../../engine/compile/index.ts')
    const summary = inspectOm(file)
    if (host.json) host.printJson(summary)
    else printOm(host, summary, top)
    return
  }
  const { openModel, summarizeModel } = await import('../../engine/onnx/index.ts')
  const summary = summarizeModel(openModel(file))
  if (host.json) host.printJson(summary)
  else printOnnx(host, summary, top)
}

export function register(command: Command): void {
  command.argument('<model>', 'an .onnx or .om file').option('--top <n>', 'rows per table', '12')
  withCommonOptions(command, true).addHelpText('after', EXAMPLES)
  action(command, inspect)
}
