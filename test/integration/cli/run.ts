// Starts the launchers as a user would, in a folder of the test's own.
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

export const ROOT = path.resolve(import.meta.dirname, '../../..')
export const BIN = path.join(ROOT, 'bin')
export const SAMPLE = path.join(ROOT, 'resources/samples/sprite-diffusion')

export interface Outcome {
  code: number | null
  stdout: string
  stderr: string
}

export interface RunOptions {
  cwd: string
  env?: Record<string, string>
  /** Called with the child once it runs. */
  started?: (kill: (signal: NodeJS.Signals) => void) => void
}

/** The environment of a plain shell: what npm and vitest add (colour, node paths) would hide mistakes. */
export function plainEnvironment(extra: Record<string, string> = {}): Record<string, string> {
  const { HOME = '/', TMPDIR } = process.env
  return {
    HOME,
    LANG: 'C.UTF-8',
    PATH: `${BIN}:/usr/local/bin:/usr/bin:/bin`,
    ...(TMPDIR === undefined ? {} : { TMPDIR }),
    ...extra,
  }
}

/** Runs a program to its end. */
export function run(program: string, args: readonly string[], options: RunOptions): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: plainEnvironment(options.env),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
    options.started?.((signal) => child.kill(signal))
  })
}

/** Runs `bin/<name>` by its name, through PATH. */
export function tool(name: string, args: readonly string[], options: RunOptions): Promise<Outcome> {
  return run('/usr/bin/env', [name, ...args], options)
}

/** A folder that is removed when the test ends. */
export class Folder {
  readonly path = mkdtempSync(path.join(os.tmpdir(), 'aqw cli '))

  file(...parts: string[]): string {
    return path.join(this.path, ...parts)
  }

  /** All names inside, hidden ones too, sorted. */
  list(): string[] {
    return readdirSync(this.path, { recursive: true }).map(String).sort()
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}
