// Entry of the engine process: opens the workspace, starts the job queue, answers the host over the parent port.
// Plain Node; started by child_process.fork or, in Electron, by utilityProcess.fork.
import { parseArgs } from 'node:util'
import { toErrorShape } from '../../contract/errors/index.ts'
import { createLogger } from '../common/log.ts'
import { workspaceFolder } from '../workspace/index.ts'
import { startEngine, type Engine } from './engine.ts'
import type { FromEngine, ToEngine } from './port.ts'
import type { Connection } from './router.ts'

/** Both kinds of parent as one: what is received, and how to answer. */
interface ParentPort {
  send(message: FromEngine): void
  onMessage(listener: (message: ToEngine) => void): void
}

interface ElectronParentPort {
  postMessage(message: unknown): void
  on(event: 'message', listener: (event: { data: unknown }) => void): void
}

function parentPort(): ParentPort {
  const electron = (process as unknown as { parentPort?: ElectronParentPort }).parentPort
  if (electron) {
    return {
      send: (message) => electron.postMessage(message),
      onMessage: (listener) => electron.on('message', (event) => listener(event.data as ToEngine)),
    }
  }
  if (!process.send) throw new Error('the engine process must be started by a host')
  return {
    send: (message) => {
      if (process.connected) process.send?.(message, undefined, {}, () => undefined)
    },
    onMessage: (listener) => process.on('message', (message) => listener(message as ToEngine)),
  }
}

const logger = createLogger('info', (level, message) =>
  process.stderr.write(`${new Date().toISOString()} ${level.toUpperCase()} ${message}\n`),
)

async function main(): Promise<void> {
  const port = parentPort()
  const { values } = parseArgs({ options: { workspace: { type: 'string' } }, strict: false })
  const folder = workspaceFolder(typeof values['workspace'] === 'string' ? values['workspace'] : undefined)
  let engine: Engine
  try {
    engine = await startEngine({ workspace: folder, logger })
  } catch (error) {
    const shape = toErrorShape(error)
    logger.error(`${shape.code}: ${shape.message}`)
    port.send({ refused: shape })
    // Let the message out before the process ends.
    setTimeout(() => process.exit(3), 100)
    return
  }
  serve(port, engine)
  port.send({ ready: true })
}

function serve(port: ParentPort, engine: Engine): void {
  const connections = new Map<number, Connection>()
  let ending = false
  const end = async (code: number): Promise<void> => {
    if (ending) return
    ending = true
    for (const connection of connections.values()) connection.close()
    await engine.close()
    process.exit(code)
  }
  port.onMessage((message) => {
    if ('shutdown' in message) void end(0)
    else if ('closed' in message) {
      connections.get(message.connection)?.close()
      connections.delete(message.connection)
    } else {
      const id = message.connection
      let connection = connections.get(id)
      if (!connection) {
        connection = engine.router.connect((reply) => port.send({ connection: id, message: reply }))
        connections.set(id, connection)
      }
      connection.receive(message.message)
    }
  })
  // The host is gone: finish in good order.
  process.on('disconnect', () => void end(0))
  process.on('SIGTERM', () => void end(0))
  // The terminal's Ctrl+C goes to the whole group; the host decides.
  process.on('SIGINT', () => undefined)
}

process.on('uncaughtException', (error) => {
  logger.error(error.stack ?? error.message)
  process.exit(70)
})
void main()
