// The sub-commands of `aqw`, by name, each loaded when called.
import type { Command } from 'commander'
import { createCommand, runProgram } from './runtime/program.ts'
import { productVersion } from './version.ts'

/** What every file in cli/commands exports. */
export interface CommandModule {
  /** Adds options, help and action. */
  register(command: Command): void
}

interface Entry {
  name: string
  summary: string
  load(): Promise<CommandModule>
}

const COMMANDS: readonly Entry[] = [
  {
    name: 'devices',
    summary: 'list the devices that can run a model',
    load: () => import('./commands/devices.ts'),
  },
  {
    name: 'doctor',
    summary: 'say what is installed, what is missing and what to do',
    load: () => import('./commands/doctor.ts'),
  },
  {
    name: 'inspect',
    summary: 'show what is in an ONNX or .om model',
    load: () => import('./commands/inspect.ts'),
  },
  {
    name: 'prepare',
    summary: 'turn a folder of pictures into calibration data',
    load: () => import('./commands/prepare.ts'),
  },
  {
    name: 'quantize',
    summary: 'quantize an ONNX model to INT8 with calibration data',
    load: () => import('./commands/quantize.ts'),
  },
  {
    name: 'recipe',
    summary: "show a recipe, or convert it from and to AMCT's configurations",
    load: () => import('./commands/recipe.ts'),
  },
  {
    name: 'presets',
    summary: 'show the recipes that fit a model, with their reasons',
    load: () => import('./commands/presets.ts'),
  },
  {
    name: 'calibrate',
    summary: 'report on calibration data: ranges, methods, channels, is it enough',
    load: () => import('./commands/calibrate.ts'),
  },
  {
    name: 'convert',
    summary: 'convert a quantized model between QDQ and the form atc takes',
    load: () => import('./commands/convert.ts'),
  },
  {
    name: 'lint',
    summary: 'list what atc would refuse in an ONNX model, and the atc command for it',
    load: () => import('./commands/lint.ts'),
  },
  {
    name: 'compile',
    summary: 'compile an ONNX model for a device',
    load: () => import('./commands/compile.ts'),
  },
  {
    name: 'benchmark',
    summary: 'measure the latency of one or more models on a device',
    load: () => import('./commands/benchmark.ts'),
  },
  {
    name: 'compare',
    summary: 'quantize, compile and measure FP16 against INT8 in one go',
    load: () => import('./commands/compare.ts'),
  },
  {
    name: 'evaluate',
    summary: 'generate with a model and its quantized versions, and judge the results',
    load: () => import('./commands/evaluate.ts'),
  },
  {
    name: 'report',
    summary: 'write a comparison as HTML, PDF, Markdown, CSV or JSON',
    load: () => import('./commands/report.ts'),
  },
  {
    name: 'serve',
    summary: 'open the workbench in a browser',
    load: () => import('./commands/serve.ts'),
  },
  {
    name: 'sample',
    summary: 'generate models to try the tools with',
    load: () => import('./commands/sample.ts'),
  },
]

const FOOTER = `
Exit codes: 0 ok, 1 failed, 2 wrong command line, 130 interrupted.
Examples:
  aqw devices
  aqw sample unet -o unet.onnx --channels 32,64,128,128
  aqw compile --model unet.onnx --precision fp16 --device sim:Ascend310P3 -o unet_fp16.om
  aqw compare --model unet.onnx --calibration calib --device sim:Ascend310P3 --json comparison.json`

/** Runs `aqw` with the given arguments; sets the exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  const program = createCommand('aqw')
    .description(
      'Ascend Quant Workbench: quantize, compile, benchmark and compare ONNX models for Ascend NPUs',
    )
    .version(productVersion(), '-V, --version', 'show the version')
    .addHelpText('after', FOOTER)
  const called = argv.find((argument) => !argument.startsWith('-'))
  for (const entry of COMMANDS) {
    const command = createCommand(entry.name).description(entry.summary)
    program.addCommand(command)
    if (entry.name === called) (await entry.load()).register(command)
  }
  await runProgram(program, argv)
}
