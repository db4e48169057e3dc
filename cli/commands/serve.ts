// `aqw serve`: the whole workbench in a browser, for servers without a screen.
import path from 'node:path'
import type { Command } from 'commander'
import { AppError } from '../../contract/errors/index.ts'
import { productRoot } from '../../engine/host/version.ts'
import { workspaceFolder } from '../../engine/workspace/location.ts'
import type { Host } from '../runtime/host.ts'
import { action, withCommonOptions } from '../runtime/program.ts'
import { isLoopback, MIN_TOKEN_LENGTH } from '../serve/access.ts'
import { openBrowser } from '../serve/open-browser.ts'
import { startServer, type RunningServer, type ServeOptions } from '../serve/server.ts'

const DEFAULT_PORT = 8420
const LOOPBACK = '127.0.0.1'

interface Options {
  port?: string
  host?: string
  auth?: string
  open?: boolean
  workspace?: string
}

const EXAMPLES = `
Without --host only this machine is served, and the address holds a random token. --host lets other machines in: the
connection is not encrypted, so use it in a trusted network or through ssh -L 8420:127.0.0.1:8420.
Examples:
  aqw serve --open
  aqw serve --port 9000 --workspace /data/aqw
  aqw serve --host 0.0.0.0 --auth "$AQW_TOKEN"`

function parsePort(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const port = Number(text)
  if (/^\d+$/.test(text) && port <= 65_535) return port
  throw new AppError('E_ARGUMENT', {
    name: '--port',
    reason: `"${text}" is not a port`,
    expected: '0 to 65535',
  })
}

function checkAuth(host: string, auth: string | undefined): void {
  const long = auth !== undefined && auth.length >= MIN_TOKEN_LENGTH
  if (!isLoopback(host) && !long)
    throw new AppError('E_SERVE_AUTH_REQUIRED', { host, length: MIN_TOKEN_LENGTH })
  if (auth !== undefined && !long) {
    const expected = `at least ${MIN_TOKEN_LENGTH} characters`
    throw new AppError('E_ARGUMENT', { name: '--auth', reason: 'too short', expected })
  }
}

/** The port that was asked for; without one the usual port, or a free one when that is taken. */
async function start(options: Omit<ServeOptions, 'port'>, port: number | undefined): Promise<RunningServer> {
  if (port !== undefined) return startServer({ ...options, port })
  try {
    return await startServer({ ...options, port: DEFAULT_PORT })
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'E_SERVE_PORT') throw error
    return startServer({ ...options, port: 0 })
  }
}

async function serve(host: Host, options: Options): Promise<void> {
  const bound = options.host ?? LOOPBACK
  checkAuth(bound, options.auth)
  const port = parsePort(options.port)
  const workspace = workspaceFolder(options.workspace)
  const files = path.join(productRoot, 'out', 'renderer')
  const server = await start({ workspace, host: bound, token: options.auth, files }, port)
  const stopState = server.engine.onState((state) => {
    if (state.state === 'restarting')
      host.log.warning(`the engine ended and is started again (${state.restarts})`)
    if (state.state === 'failed') host.log.error(state.error?.message ?? 'the engine failed')
  })
  try {
    if (host.json) host.printJson({ url: server.url, port: server.port, workspace, pid: process.pid })
    else {
      host.print(`Ascend Quant Workbench: ${server.url}`)
      host.print(`Workspace: ${workspace}`)
      host.print('Ctrl+C stops it. Running jobs can be resumed at the next start.')
    }
    if (options.open && !(await openBrowser(server.url)))
      host.log.info('no browser found here: open the address above')
    await ended(host.signal)
  } finally {
    stopState()
    await server.close()
  }
}

/** Resolves on Ctrl+C or SIGTERM. */
function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
    process.once('SIGTERM', () => resolve())
  })
}

export function register(command: Command): void {
  command
    .option('--port <port>', `port to listen on (default ${DEFAULT_PORT}, 0 takes a free one)`)
    .option('--host <address>', 'address to listen on', LOOPBACK)
    .option(
      '--auth <token>',
      `token that opens the window (needed with --host, ${MIN_TOKEN_LENGTH} characters or more)`,
    )
    .option('--open', 'open it in the browser')
    .option(
      '--workspace <folder>',
      'workspace folder (default: AQW_WORKSPACE or the data folder of the user)',
    )
    .addHelpText('after', EXAMPLES)
  withCommonOptions(command, true)
  action<Options>(command, serve)
}
