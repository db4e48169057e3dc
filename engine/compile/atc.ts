// Runs the vendor's compiler: argument array, own working folder, log kept on failure, errors turned into ours.
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Precision } from '../../contract/cost.ts'
import { AppError } from '../../contract/errors/index.ts'
import type { OmGears } from '../../contract/om.ts'
import type { WorkContext } from '../../contract/work.ts'
import { checkWritable, makeTemporaryFolder } from '../common/files.ts'
import { parseAtcError } from './atc-output.ts'
import type { CompileRequest } from './compile.ts'

export interface AtcRequest extends CompileRequest {
  /** Path of atc; found on PATH and in the CANN installation otherwise. */
  atcPath?: string
}

export interface AtcResult {
  path: string
  bytes: number
  seconds: number
  commandLine: string[]
}

const HOME_VARIABLES = ['ASCEND_HOME_PATH', 'ASCEND_TOOLKIT_HOME', 'CANN_HOME'] as const
const INSTALL_FOLDERS = [
  '/usr/local/Ascend/ascend-toolkit/latest',
  '/usr/local/Ascend/latest',
  path.join(os.homedir(), 'Ascend', 'ascend-toolkit', 'latest'),
]
const TOOL_FOLDERS = ['bin', 'compiler/bin', 'atc/bin']

/** After a cancel atc gets this long to end by itself. */
const KILL_AFTER_MS = 5000
/** Enough for every error block; a chatty log beyond it only goes to the file. */
const MAX_KEPT_OUTPUT = 4 * 2 ** 20

function isExecutable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return fs.statSync(file).isFile()
  } catch {
    return false
  }
}

/** atc on PATH, then in the folders that CANN's environment names, then in the usual prefixes; null when absent. */
export function findAtc(env: NodeJS.ProcessEnv = process.env): string | null {
  const onPath = (env.PATH ?? '').split(path.delimiter).filter((folder) => folder !== '')
  const homes = [...HOME_VARIABLES.flatMap((name) => env[name] ?? []), ...INSTALL_FOLDERS]
  const folders = [...onPath, ...homes.flatMap((home) => TOOL_FOLDERS.map((tool) => path.join(home, tool)))]
  return folders.map((folder) => path.join(folder, 'atc')).find(isExecutable) ?? null
}

function gearOption(gears: OmGears): string {
  if (gears.kind === 'batch') return `--dynamic_batch_size=${gears.values.join(',')}`
  const option = gears.kind === 'image' ? '--dynamic_image_size' : '--dynamic_dims'
  return `${option}=${gears.values.map((row) => row.join(',')).join(';')}`
}

/** The precision options; a deploy model must not force one (AMCT and ATC documentation). */
function precisionOption(precision: Precision): string[] {
  if (precision === 'int8') return []
  return [`--precision_mode=${precision === 'fp32' ? 'force_fp32' : 'force_fp16'}`]
}

/** Arguments of one run; `output` without the suffix, which atc appends. */
export function atcArguments(request: AtcRequest, output: string): string[] {
  const shapes = Object.entries(request.inputShapes ?? {}).map(([name, dims]) => `${name}:${dims.join(',')}`)
  return [
    `--model=${path.resolve(request.modelPath)}`,
    '--framework=5',
    `--output=${output}`,
    `--soc_version=${request.soc}`,
    '--log=error',
    ...(shapes.length > 0 ? [`--input_shape=${shapes.join(';')}`] : []),
    ...(request.gears?.kind === 'dims' ? ['--input_format=ND'] : []),
    ...(request.gears ? [gearOption(request.gears)] : []),
    ...precisionOption(request.precision),
  ]
}

interface Finished {
  code: number | null
  output: string
}

function run(atc: string, args: string[], folder: string, log: string, ctx: WorkContext): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const logFile = fs.createWriteStream(log)
    // A process group of its own: atc is a shell wrapper around atc.bin, and both have to go on cancel.
    const child = spawn(atc, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    let output = ''
    let lines = 0
    const collect = (chunk: Buffer): void => {
      logFile.write(chunk)
      if (output.length < MAX_KEPT_OUTPUT) output += chunk.toString('utf8')
      lines++
      ctx.onProgress?.({ stage: 'atc', done: lines, total: 0, item: lastLine(chunk) })
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    let timer: NodeJS.Timeout | undefined
    const kill = (signal: NodeJS.Signals): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, signal)
      } catch {
        // It ended in the meantime.
      }
    }
    const abort = (): void => {
      kill('SIGTERM')
      timer = setTimeout(() => kill('SIGKILL'), KILL_AFTER_MS)
    }
    ctx.signal?.addEventListener('abort', abort, { once: true })
    const finish = (settle: () => void): void => {
      clearTimeout(timer)
      ctx.signal?.removeEventListener('abort', abort)
      logFile.end(settle)
    }
    child.on('error', (error) => finish(() => reject(error)))
    child.on('close', (code) => finish(() => resolve({ code, output })))
  })
}

function lastLine(chunk: Buffer): string {
  return chunk.toString('utf8').trimEnd().split('\n').at(-1)?.slice(0, 200) ?? ''
}

/** atc adds the host's name to models that depend on it: `<output>_linux_x86_64.om`. */
function producedFile(folder: string): string | null {
  const files = fs.readdirSync(folder).filter((name) => name.endsWith('.om'))
  return files[0] ? path.join(folder, files[0]) : null
}

function failure(request: AtcRequest, finished: Finished, log: string): AppError {
  const parsed = parseAtcError(finished.output)
  return new AppError('E_ATC_FAILED', {
    path: request.modelPath,
    atcCode: parsed?.code ?? `exit code ${finished.code ?? 'none'}`,
    reason: parsed?.message || 'atc printed no error block',
    cause: parsed?.cause ? `Possible cause: ${parsed.cause}` : '',
    solution: parsed?.solution ?? '',
    log,
  })
}

/**
 * Compiles with the installed atc.
 * @throws E_ATC_NOT_FOUND, E_ATC_FAILED (with atc's code, message, cause, solution and the log file), E_FILE_WRITE,
 *   E_CANCELLED
 */
export async function runAtc(request: AtcRequest, ctx: WorkContext = {}): Promise<AtcResult> {
  const atc = request.atcPath ?? findAtc()
  if (!atc) {
    const looked = `PATH, ${HOME_VARIABLES.join(', ')}, ${INSTALL_FOLDERS[0]}`
    throw new AppError('E_ATC_NOT_FOUND', { looked, soc: request.soc })
  }
  checkWritable(request.outputPath)
  if (ctx.signal?.aborted) throw new AppError('E_CANCELLED')
  const target = path.resolve(request.outputPath)
  // Next to the target: the result is moved by a rename. atc also leaves fusion_result.json and kernel_meta here.
  const folder = makeTemporaryFolder(target)
  const log = path.join(os.tmpdir(), `atc-${path.basename(target, '.om')}-${process.pid}-${Date.now()}.log`)
  const args = atcArguments(request, path.join(folder, path.basename(target, '.om')))
  const started = performance.now()
  try {
    const finished = await run(atc, args, folder, log, ctx).catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw failure(request, { code: null, output: `E19999: ${reason}` }, log)
    })
    if (ctx.signal?.aborted) {
      fs.rmSync(log, { force: true })
      throw new AppError('E_CANCELLED')
    }
    const produced = finished.code === 0 ? producedFile(folder) : null
    if (!produced) throw failure(request, finished, log)
    fs.renameSync(produced, target)
    fs.rmSync(log, { force: true })
    const seconds = (performance.now() - started) / 1000
    return { path: target, bytes: fs.statSync(target).size, seconds, commandLine: [atc, ...args] }
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
}
