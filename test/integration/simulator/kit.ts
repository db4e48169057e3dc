// Builds the simulator and C programs against it, and runs them.
import { spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { SIMULATOR, buildNative, findCompiler, run } from '../../../scripts/build-native.mjs'

export const BUILD = path.join(SIMULATOR, 'build')
const CLIENTS = path.join(SIMULATOR, 'test', 'client')

export function temporaryFolder(): string {
  return mkdtempSync(path.join(os.tmpdir(), 'aqw-simulator-'))
}

/** The compiler; these tests make no sense without one. */
export function compilerCommand(): string {
  const compiler = findCompiler()
  if (!compiler) throw new Error('these tests need a C++ compiler')
  return compiler.command
}

export async function ensureLibrary(): Promise<void> {
  const outcome = await buildNative({ quiet: true })
  if (outcome.status !== 'built' && outcome.status !== 'current') throw new Error(outcome.message)
}

/** Compiles a C source the way an application's makefile would; `libraries` are names for `-l`. */
export async function compileC(source: string, program: string, libraries: readonly string[]): Promise<void> {
  const result = await run(compilerCommand(), [
    '-x',
    'c',
    '-std=c99',
    '-D_GNU_SOURCE',
    '-Wall',
    '-Wextra',
    '-Werror',
    `-I${path.join(SIMULATOR, 'include')}`,
    source,
    '-o',
    program,
    `-L${BUILD}`,
    ...libraries.map((name) => `-l${name}`),
    `-Wl,-rpath,${BUILD}`,
    '-lpthread',
  ])
  if (!result.ok) throw new Error(result.stderr)
}

/** Compiles one of native/simulator/test/client/*.c into a folder; returns the program. */
export async function compileClient(name: string, folder: string, libraries = ['ascendcl']): Promise<string> {
  const program = path.join(folder, name)
  await compileC(path.join(CLIENTS, `${name}.c`), program, libraries)
  return program
}

export interface Outcome {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

export function runProgram(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { ...process.env, ASCENDSIM_SOC: 'Ascend310P3', ...env } })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk) => (stdout += chunk))
    child.stderr.on('data', (chunk) => (stderr += chunk))
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
}
