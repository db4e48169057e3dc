// `aqw serve` as a process, the way a person starts it.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { ROOT } from './build.ts'

export interface Served {
  /** Address with the token. */
  url: string
  workspace: string
  process: ChildProcess
  /** Everything it printed so far. */
  output: () => string
  /** SIGTERM, and waits for the end. Returns the exit code. */
  stop: () => Promise<number | null>
  [Symbol.asyncDispose]: () => Promise<void>
}

const START_TIMEOUT_MS = 60_000

/** Resolves with the first match of `pattern` in what the process prints. */
export function waitForOutput(child: ChildProcess, output: () => string, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`${why} before ${pattern}:\n${output()}`))
    const timer = setTimeout(() => fail('timeout'), START_TIMEOUT_MS)
    const look = (): void => {
      const found = pattern.exec(output())?.[0]
      if (found === undefined) return
      clearTimeout(timer)
      resolve(found)
    }
    child.stdout?.on('data', look)
    child.stderr?.on('data', look)
    child.once('exit', (code) => {
      clearTimeout(timer)
      fail(`exit code ${code}`)
    })
    look()
  })
}

/** Collects what a process prints. */
export function collectOutput(child: ChildProcess): () => string {
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8')
    stream?.on('data', (piece: string) => (text += piece))
  }
  return () => text
}

/** Starts `aqw serve` on a free port. */
export async function serve(workspace: string, extra: readonly string[] = []): Promise<Served> {
  const args = [path.join(ROOT, 'cli/aqw.ts'), 'serve', '--port', '0', '--workspace', workspace, ...extra]
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
  const output = collectOutput(child)
  const stop = async (): Promise<number | null> => {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
    child.kill('SIGTERM')
    await once(child, 'exit')
    return child.exitCode
  }
  try {
    const url = await waitForOutput(child, output, /http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]+/)
    return {
      url,
      workspace,
      process: child,
      output,
      stop,
      [Symbol.asyncDispose]: async () => void (await stop()),
    }
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
}

/** Process id of the engine that holds a workspace, as its lock says. */
export function enginePid(workspace: string): number {
  const holder = JSON.parse(readFileSync(path.join(workspace, 'workspace.lock.json'), 'utf8')) as {
    pid: number
  }
  return holder.pid
}

/** Whether a process exists; one that has ended but was not waited for does not count. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** Process ids of the direct and indirect children of a process. */
export function descendants(pid: number): number[] {
  let children: number[]
  try {
    children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(/\s+/)
      .filter(Boolean)
      .map(Number)
  } catch {
    return []
  }
  return children.flatMap((child) => [child, ...descendants(child)])
}

/** Waits until a condition holds. @throws Error when it does not within `timeoutMs` */
export async function until(condition: () => boolean, what: string, timeoutMs = 20_000): Promise<void> {
  const end = Date.now() + timeoutMs
  while (!condition()) {
    if (Date.now() > end) throw new Error(`timeout: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
