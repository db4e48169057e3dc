// The window's one RPC client, on the transport that fits where it runs.
import { createRpcClient, type RpcClient } from '../../contract/rpc/client.ts'
import { shell } from './bridge.ts'
import { bridgeTransport, socketTransport, type SocketLike } from './transports.ts'

export { shell } from './bridge.ts'

const TOKEN_KEY = 'aqw.token'

/** The token of `aqw serve` comes in the address once; it is kept for reloads and taken out of the address bar. */
function takeToken(): string {
  const address = new URL(location.href)
  const given = address.searchParams.get('token')
  if (given) {
    sessionStorage.setItem(TOKEN_KEY, given)
    address.searchParams.delete('token')
    history.replaceState(history.state, '', address)
  }
  return given ?? sessionStorage.getItem(TOKEN_KEY) ?? ''
}

let refusedListener: (() => void) | null = null

/** Calls back when the host refused the window's token. */
export function onRefused(listener: () => void): void {
  refusedListener = listener
}

function openSocketTransport(): ReturnType<typeof socketTransport> {
  const token = takeToken()
  const address = new URL('rpc', location.href)
  address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:'
  address.hash = ''
  address.search = token ? `?token=${encodeURIComponent(token)}` : ''
  return socketTransport({
    open: () => new WebSocket(address) as SocketLike,
    later: (callback, ms) => setTimeout(callback, ms),
    onRefused: () => refusedListener?.(),
  })
}

const socket = shell ? null : openSocketTransport()

export const rpc: RpcClient = createRpcClient(socket ?? bridgeTransport(shell!))

/** Reconnects at once; nothing to do in Electron, where the main process watches over the engine. */
export function retryConnection(): void {
  socket?.retryNow()
}
