// The desktop application as a process: built main.js and preload.cjs on the Electron stand-in, seen over DevTools.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { chromium, type Page } from 'playwright-core'
import { MAIN_FILE, ROOT } from '../support/build.ts'
import { collectOutput, until } from '../support/serve.ts'
import { Complaints, engineReady } from '../support/window.ts'
import type { DriverMessage } from './stand-in.ts'

/** A call the application made into Electron. */
export interface ShellCall {
  name: string
  args: unknown[]
}

export interface Desktop {
  page: Page
  complaints: Complaints
  pid: number
  /** Calls into Electron so far, oldest first. */
  calls: ShellCall[]
  tell: (message: DriverMessage) => void
  /** Waits for a call that fits. */
  called: (name: string, fits?: (args: unknown[]) => boolean) => Promise<ShellCall>
  /** Waits for the process to end by itself; returns its exit code. */
  ended: () => Promise<number | null>
  output: () => string
  [Symbol.asyncDispose]: () => Promise<void>
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

export interface DesktopOptions {
  /** Holds workspace and browser profile. */
  folder: string
  /** Command line of the application, such as a file to open. */
  args?: readonly string[]
}

/** Starts the application and attaches to its window. */
export async function openDesktop({ folder, args = [] }: DesktopOptions): Promise<Desktop> {
  const port = await freePort()
  mkdirSync(path.join(folder, 'user data'), { recursive: true })
  const child = fork(MAIN_FILE, args, {
    cwd: ROOT,
    execPath: process.execPath,
    execArgv: ['--import', path.join(import.meta.dirname, 'register.mjs')],
    env: {
      ...process.env,
      AQW_WORKSPACE: path.join(folder, 'workspace'),
      STAND_IN_USER_DATA: path.join(folder, 'user data'),
      STAND_IN_CDP_PORT: String(port),
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const output = collectOutput(child)
  const calls: ShellCall[] = []
  let ready = false
  child.on('message', (message: { shellCall?: ShellCall; ready?: unknown }) => {
    if (message.shellCall) calls.push(message.shellCall)
    if (message.ready) ready = true
  })
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null
  try {
    await until(() => ready || isOver(), `the window opens\n${output()}`, 60_000)
    if (isOver()) throw new Error(`the application ended with ${child.exitCode}:\n${output()}`)
    const browser = await chromium.connectOverCDP(`http://127.0.0.1:${port}`)
    const page = browser.contexts().flatMap((context) => context.pages())[0]
    if (!page) throw new Error('the application shows no page')
    const complaints = new Complaints()
    complaints.watch(page)
    await engineReady(page)
    return {
      page,
      complaints,
      pid: child.pid ?? 0,
      calls,
      output,
      tell: (message) => void child.send(message),
      called: async (name, fits = () => true) => {
        const find = (): ShellCall | undefined => calls.find((call) => call.name === name && fits(call.args))
        await until(() => find() !== undefined || isOver(), `${name} is called`)
        const call = find()
        if (!call)
          throw new Error(`the application ended with ${child.exitCode} before ${name}:\n${output()}`)
        return call
      },
      ended: async () => {
        if (!isOver()) await once(child, 'exit')
        return child.exitCode
      },
      [Symbol.asyncDispose]: async () => {
        if (isOver()) return
        child.kill('SIGKILL')
        await once(child, 'exit')
      },
    }
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
}
