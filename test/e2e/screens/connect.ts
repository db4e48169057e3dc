// The window's own RPC client in Node, to prepare a served workspace for screenshots.
import { createRpcClient, type RpcClient } from '../../../contract/rpc/client.ts'
import { socketTransport, type SocketLike } from '../../../renderer/rpc/transports.ts'

/** Connects to the address that `aqw serve` printed. */
export function connect(pageUrl: string): { rpc: RpcClient; close: () => void } {
  const address = new URL('rpc', pageUrl)
  address.protocol = 'ws:'
  address.search = new URL(pageUrl).search
  let socket: WebSocket | null = null
  let closed = false
  const transport = socketTransport({
    open: () => {
      socket = new WebSocket(address)
      return socket as unknown as SocketLike
    },
    later: (callback, ms) => setTimeout(() => !closed && callback(), ms).unref(),
  })
  const close = (): void => {
    closed = true
    socket?.close()
  }
  return { rpc: createRpcClient(transport), close }
}
