// `aqw serve`: the window's files over HTTP and the engine over a WebSocket, on this machine only unless told otherwise.
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import path from 'node:path'
import { WebSocketServer, type WebSocket } from 'ws'
import { AppError } from '../../contract/errors/index.ts'
import { clientMessageSchema } from '../../contract/rpc/index.ts'
import { reasonOf } from '../../engine/common/hashing.ts'
import { mediaType, resolveStaticFile, securityHeaders } from '../../engine/host/static-files.ts'
import { EngineSupervisor, type LaunchEngine } from '../../engine/host/supervisor.ts'
import { allowedHosts, createToken, isOwnHost, isOwnOrigin, sameToken, type AccessRules } from './access.ts'

/** Larger than any message of the contract: an upload piece is 1 MiB before base64. */
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024
const MAX_CONNECTIONS = 64
const HEARTBEAT_MS = 30_000
/** A window that does not read is dropped before it takes the memory. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024
/** RFC 6455, 7.4.1. */
const CLOSE_POLICY = 1008
const CLOSE_GOING_AWAY = 1001
const CLOSE_TOO_BIG = 1009
const RPC_PATH = '/rpc'

export interface ServeOptions {
  workspace: string
  host: string
  /** 0 takes a free one. */
  port: number
  /** A random one when left out. */
  token?: string | undefined
  /** Folder of the built window. */
  files: string
  launch?: LaunchEngine | undefined
}

export interface RunningServer {
  /** Address with the token: what a person opens. */
  url: string
  port: number
  token: string
  engine: EngineSupervisor
  close(): Promise<void>
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(new AppError('E_SERVE_PORT', { host, port, reason: reasonOf(error) }, { cause: error })),
    )
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address ? address.port : port)
    })
  })
}

/** @throws E_SERVE_NOT_BUILT, E_SERVE_PORT, and what keeps the engine from starting (E_WORKSPACE_LOCKED, ...) */
export async function startServer(options: ServeOptions): Promise<RunningServer> {
  const index = path.join(options.files, 'index.html')
  if (!(await stat(index).catch(() => undefined))?.isFile())
    throw new AppError('E_SERVE_NOT_BUILT', { path: index })
  const rules: AccessRules = {
    hosts: allowedHosts(options.host),
    port: options.port,
    token: options.token ?? createToken(),
  }
  const server = createServer((request, response) => void answer(request, response, options.files, rules))
  const port = await listen(server, options.host, options.port)
  rules.port = port
  const launch = options.launch ? { launch: options.launch } : {}
  const engine = new EngineSupervisor({ workspace: options.workspace, ...launch })
  const sockets = acceptSockets(server, engine, rules)
  const close = async (): Promise<void> => {
    sockets.close()
    server.close()
    server.closeAllConnections()
    await engine.stop()
  }
  engine.start()
  try {
    await engine.ready()
  } catch (error) {
    await close()
    throw error
  }
  const shown = options.host.includes(':') ? `[${options.host}]` : options.host
  const url = `http://${shown}:${port}/?token=${encodeURIComponent(rules.token)}`
  return { url, port, token: rules.token, engine, close }
}

function refuse(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', ...securityHeaders() })
  response.end(`${text}\n`)
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  files: string,
  rules: AccessRules,
): Promise<void> {
  const { host } = request.headers
  if (!isOwnHost(host, rules)) return refuse(response, 403, 'Forbidden: unknown host name')
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return refuse(response, 405, 'Method not allowed')
  const pathname = (request.url ?? '/').split(/[?#]/, 1)[0] ?? '/'
  const file = await resolveStaticFile(files, pathname)
  if (!file) return refuse(response, 404, 'Not found')
  const { size } = await stat(file)
  // Names of built assets carry their hash; the page itself must be asked for again after an update.
  const isAsset = /[/\\]assets[/\\]/.test(file)
  response.writeHead(200, {
    'content-type': mediaType(file),
    'content-length': size,
    'cache-control': isAsset ? 'public, max-age=31536000, immutable' : 'no-store',
    ...securityHeaders([`ws://${host ?? ''}`]),
  })
  if (request.method === 'HEAD') return void response.end()
  createReadStream(file)
    .on('error', () => response.destroy())
    .pipe(response)
}

interface Sockets {
  close(): void
}

function acceptSockets(server: Server, engine: EngineSupervisor, rules: AccessRules): Sockets {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
  })
  const alive = new WeakSet<WebSocket>()
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy())
    const address = new URL(request.url ?? '/', 'http://host')
    const { host, origin } = request.headers
    if (!isOwnHost(host, rules) || !isOwnOrigin(origin, host)) return endUpgrade(socket, '403 Forbidden')
    if (address.pathname !== RPC_PATH) return endUpgrade(socket, '404 Not Found')
    if (sockets.clients.size >= MAX_CONNECTIONS) return endUpgrade(socket, '503 Service Unavailable')
    const allowed = sameToken(address.searchParams.get('token') ?? '', rules.token)
    sockets.handleUpgrade(request, socket, head, (client) => {
      // A refused upgrade looks like a dead server to a page: the close code tells it apart.
      if (!allowed) return client.close(CLOSE_POLICY, 'wrong token')
      alive.add(client)
      client.on('pong', () => alive.add(client))
      attach(client, engine)
    })
  })
  const heartbeat = setInterval(() => {
    for (const client of sockets.clients) {
      if (!alive.delete(client)) client.terminate()
      else client.ping()
    }
  }, HEARTBEAT_MS)
  return {
    close() {
      clearInterval(heartbeat)
      for (const client of sockets.clients) client.close(CLOSE_GOING_AWAY)
      sockets.close()
    },
  }
}

function endUpgrade(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

/** Forwards envelopes; what fits none is answered by closing, because only a foreign program sends such. */
function attach(client: WebSocket, engine: EngineSupervisor): void {
  const connection = engine.connect((message) => {
    if (client.readyState !== client.OPEN) return
    if (client.bufferedAmount > MAX_WAITING_BYTES) return client.close(CLOSE_TOO_BIG, 'not reading')
    client.send(JSON.stringify(message))
  })
  client.on('message', (data, isBinary) => {
    const parsed = isBinary ? undefined : clientMessageSchema.safeParse(parseJson(String(data)))
    if (parsed?.success) connection.send(parsed.data)
    else client.close(CLOSE_POLICY, 'not a message of this protocol')
  })
  client.on('close', () => connection.close())
  client.on('error', () => client.terminate())
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
