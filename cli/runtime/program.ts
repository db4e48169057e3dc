// Commander with our exit codes: 0 for help and version, 2 for a wrong command line, and errors in our own form.
import { Command, CommanderError } from 'commander'
import { AppError } from '../../contract/errors/index.ts'
import { EXIT, outliveReaders, reportFailure, runCommand, type Host, type HostOptions } from './host.ts'

/** A command whose parse errors become E_USAGE. */
export function createCommand(name: string): Command {
  return new Command(name)
    .exitOverride()
    .showSuggestionAfterError(true)
    .helpOption('-h, --help', 'show this help')
    .configureOutput({ outputError: () => undefined })
}

/** Options every sub-command has. */
export function withCommonOptions(command: Command, json: boolean): Command {
  if (json) command.option('--json', 'print the result as JSON')
  return command.option('--log-level <level>', 'debug, info, warning or error', 'info')
}

/** The function commander calls: `work` with a host and the parsed options. */
export function action<T extends object>(
  command: Command,
  work: (host: Host, options: T, args: string[]) => Promise<void>,
): Command {
  return command.action(async (...received: unknown[]) => {
    const options = command.opts<T & { json?: unknown; logLevel?: string; log_level?: string }>()
    const args = received.flat().filter((value): value is string => typeof value === 'string')
    const hostOptions: HostOptions = {
      json: options.json === true,
      logLevel: options.logLevel ?? options.log_level,
    }
    await runCommand(fullName(command), hostOptions, (host) => work(host, options, args))
  })
}

function fullName(command: Command): string {
  return command.parent ? `${fullName(command.parent)} ${command.name()}` : command.name()
}

/** The sub-command that the arguments call, e.g. `aqw sample unet`. */
function calledCommand(program: Command, argv: readonly string[]): Command {
  const [name, ...rest] = argv.filter((argument) => !argument.startsWith('-'))
  const called = program.commands.find((command) => command.name() === name)
  return called ? calledCommand(called, rest) : program
}

/** Parses and runs; sets the exit code. */
export async function runProgram(program: Command, argv: readonly string[]): Promise<void> {
  outliveReaders()
  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      reportFailure(program.name(), error, false)
      return
    }
    if (error.exitCode === 0) return
    if (error.code === 'commander.help') {
      process.exitCode = EXIT.usage
      return
    }
    const reason = error.message.replace(/^error: /, '').replaceAll('\n', ' ')
    const command = fullName(calledCommand(program, argv))
    reportFailure(command, new AppError('E_USAGE', { reason, command }), argv.includes('--json'))
  }
}
