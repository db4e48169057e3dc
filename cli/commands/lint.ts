// `aqw lint MODEL`: constraints of ATC that a model breaks, before atc is run.
import type { Command } from 'commander'
import { type LintFinding, type LintSeverity, lintText } from '../../contract/lint.ts'
import { modelFile, parseInputShapes } from '../runtime/arguments.ts'
import { EXIT, type Host, systemLocale } from '../runtime/host.ts'
import { action, withCommonOptions } from '../runtime/program.ts'
import type { Style } from '../runtime/terminal.ts'

interface LintOptions {
  soc?: string
  inputShape?: string
}

const EXAMPLES = `
Exit code 1 when there are errors, 0 when there are only warnings and notes.
Examples:
  aqw lint unet_int8_deploy_model.onnx
  aqw lint unet_int8_deploy_model.onnx --soc Ascend310B4 --input-shape "sample_input_tensor:1,4,64,64" --json`

const STYLES: Record<LintSeverity, Style> = { error: 'red', warning: 'yellow', info: 'dim' }

function printFinding(host: Host, finding: LintFinding): void {
  const { message, hint } = lintText(finding, systemLocale(process.env))
  host.print(`${host.paint(STYLES[finding.severity], finding.severity)}: ${message}`)
  host.print(`  ${hint} ${host.paint('dim', `[${finding.code}]`)}`)
  if (finding.more > 0) host.print(`  and ${finding.more} more of these`)
}

/** A word of a command line as a shell takes it. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

async function lint(host: Host, options: LintOptions, args: string[]): Promise<void> {
  const modelPath = modelFile(args[0] ?? '', ['.onnx'])
  const { lintModelFile } = await import('../../engine/pipeline/index.ts')
  const report = lintModelFile({
    modelPath,
    soc: options.soc,
    ...(options.inputShape !== undefined && {
      inputShapes: parseInputShapes('--input-shape', options.inputShape, true),
    }),
  })
  if (host.json) host.printJson(report)
  else {
    for (const finding of report.findings) printFinding(host, finding)
    const { error, warning, info } = report.counts
    host.print(`${error} errors, ${warning} warnings, ${info} notes`)
    host.print(report.command.map(shellWord).join(' '))
  }
  if (report.counts.error > 0) process.exitCode = EXIT.failed
}

export function register(command: Command): void {
  command
    .argument('<model>', 'an .onnx file meant for atc')
    .option('--soc <name>', 'SoC to compile for (default: Ascend310P3)')
    .option('--input-shape <shapes>', 'shapes of open inputs; -1 where they shall stay open')
  withCommonOptions(command, true).addHelpText('after', EXAMPLES)
  action<LintOptions>(command, lint)
}
