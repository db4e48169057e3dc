// `aqw serve` from outside: what it serves, whom it refuses, and that a window outlives a crash of the engine.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { startServer, type RunningServer } from '../../../cli/serve/server.ts'
import type { EngineState } from '../../../contract/rpc/index.ts'
import { connect } from '../../fixtures/rpc-socket.ts'

const run = promisify(execFile)

let root: string
let server: RunningServer

beforeAll(async () => {
  root = mkdtempSync(path.join(tmpdir(), 'serve-'))
  const files = path.join(root, 'files')
  mkdirSync(path.join(files, 'assets'), { recursive: true })
  writeFileSync(path.join(files, 'index.html'), '<!doctype html><title>window</title>')
  writeFileSync(path.join(files, 'assets', 'app-1a2b.js'), 'export {}')
  writeFileSync(path.join(files, '.hidden'), 'secret')
  writeFileSync(path.join(root, 'outside.txt'), 'secret')
  symlinkSync(path.join(root, 'outside.txt'), path.join(files, 'link.txt'))
  server = await startServer({ workspace: path.join(root, 'w'), host: '127.0.0.1', port: 0, files })
})
afterAll(async () => {
  await server.close()
  rmSync(root, { recursive: true, force: true })
})

interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: string
}

/** A request with the path exactly as given: fetch would normalize it. */
function get(target: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request(
      { host: '127.0.0.1', port: server.port, path: target, method, headers },
      (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (text: string) => (body += text))
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        )
      },
    )
    call.on('error', reject).end()
  })
}

/** How an attempt to open the RPC socket ends: `open`, the HTTP status, or the close code. */
function attempt(target: string, headers: Record<string, string>): Promise<string> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}${target}`, { headers })
    socket.on('unexpected-response', (_request, response) => resolve(`http ${response.statusCode ?? 0}`))
    socket.on('message', () => {
      resolve('open')
      socket.close()
    })
    socket.on('close', (code) => resolve(`close ${code}`))
    socket.on('error', () => undefined)
  })
}

describe('files', () => {
  it('come with their type and the security headers', async () => {
    const page = await get('/?token=anything')
    expect(page).toMatchObject({ status: 200, body: '<!doctype html><title>window</title>' })
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8')
    const policy = String(page.headers['content-security-policy'])
    for (const part of [
      "default-src 'self'",
      "script-src 'self'",
      "object-src 'none'",
      "frame-ancestors 'none'",
    ]) {
      expect(policy).toContain(part)
    }
    expect(policy).not.toContain('unsafe-eval')
    expect(page.headers['x-content-type-options']).toBe('nosniff')
    expect(page.headers['cache-control']).toBe('no-store')
    expect((await get('/assets/app-1a2b.js')).headers['cache-control']).toContain('immutable')
  })

  it.each([
    '/../outside.txt',
    '/%2e%2e/outside.txt',
    '/assets/..%2f..%2foutside.txt',
    '/..%5coutside.txt',
    '/link.txt',
    '/.hidden',
    '/assets',
    '/%00',
    '/%zz',
    '//etc/passwd',
    '/nothing.js',
  ])('are not served for %s', async (target) => {
    const answer = await get(target)
    expect(answer.status).toBe(404)
    expect(answer.body).not.toContain('secret')
  })

  it('are refused under a foreign host name (DNS rebinding) and for other methods', async () => {
    for (const host of [
      'evil.example',
      `evil.example:${server.port}`,
      '127.0.0.1:1',
      '127.0.0.1.evil.example',
    ]) {
      expect((await get('/', { host })).status).toBe(403)
    }
    expect((await get('/', {}, 'POST')).status).toBe(405)
  })
})

describe('the socket', () => {
  const own = (): string => `http://127.0.0.1:${server.port}`
  const good = (): string => `/rpc?token=${server.token}`

  it('opens for our own page with the token', async () => {
    expect(await attempt(good(), { origin: own() })).toBe('open')
  })

  it('refuses a missing or wrong token with a policy close', async () => {
    expect(await attempt('/rpc', { origin: own() })).toBe('close 1008')
    expect(await attempt('/rpc?token=', { origin: own() })).toBe('close 1008')
    expect(await attempt(`${good()}x`, { origin: own() })).toBe('close 1008')
  })

  it('refuses pages of other origins and foreign host names, token or not', async () => {
    expect(await attempt(good(), { origin: 'http://evil.example' })).toBe('http 403')
    expect(await attempt(good(), { origin: 'null' })).toBe('http 403')
    expect(await attempt(good(), { origin: `http://localhost:${server.port}` })).toBe('http 403')
    expect(await attempt(good(), { origin: 'http://evil.example', host: 'evil.example' })).toBe('http 403')
  })

  it('exists under one path only', async () => {
    expect(await attempt(`/other?token=${server.token}`, { origin: own() })).toBe('http 404')
  })

  it('closes on what is no message, without harm to others', async () => {
    const other = connect(server.url)
    for (const text of ['not json', '{"x":1}', '[]', `{"id":1,"channel":"${'x'.repeat(200)}"}`]) {
      const { socket } = connect(server.url)
      const closed = new Promise<number>((resolve) => socket.on('close', resolve))
      socket.on('open', () => socket.send(text))
      expect(await closed).toBe(1008)
    }
    expect((await other.rpc.invoke('app.info', {})).workspace).toBe(path.join(root, 'w'))
    other.close()
  })

  it('survives garbage on the wire', async () => {
    await new Promise<void>((resolve) => {
      const raw = connectTcp(server.port, '127.0.0.1', () =>
        raw.end('GET /rpc HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\xff\xfe'),
      )
      raw
        .on('close', () => resolve())
        .on('error', () => undefined)
        .resume()
    })
    expect((await get('/')).status).toBe(200)
  })
})

describe('a crash of the engine', () => {
  it('is told to the window, which goes on where it was', async () => {
    const { rpc, close } = connect(server.url)
    const project = await rpc.invoke('projects.create', { name: 'kept' })
    const seen: string[] = []
    rpc.subscribe('library.changed', {}, (event) => seen.push(event.action))
    const states: (EngineState['state'] | 'disconnected')[] = []
    rpc.onState((state) => states.push(state === 'disconnected' ? state : state.state))
    process.kill(server.engine.pid ?? 0, 'SIGKILL')
    await new Promise<void>((resolve) => {
      const stop = rpc.onState((state) => {
        if (state === 'disconnected' || state.state !== 'restarting') return
        queueMicrotask(() => stop())
        resolve()
      })
    })
    const { projects } = await rpc.invoke('projects.list', {})
    expect(projects.map((entry) => entry.id)).toContain(project.id)
    expect(states).toEqual(['ready', 'restarting', 'ready'])
    await rpc.invoke('projects.update', { id: project.id, name: 'renamed' })
    await expect.poll(() => seen).toContain('changed')
    close()
  })
})

describe('uploads', () => {
  const upload = { uploadId: '01890a5d-ac96-774b-bcce-b302099a8057', totalBytes: 6 }
  const base64 = (text: string): string => Buffer.from(text).toString('base64')

  it('arrive in pieces', async () => {
    const { rpc, close } = connect(server.url)
    const first = { ...upload, name: 'folder/a.bin', offset: 0, data: base64('abc') }
    expect(await rpc.invoke('files.upload', first)).toMatchObject({
      receivedBytes: 3,
      complete: false,
      path: null,
    })
    const second = await rpc.invoke('files.upload', { ...first, offset: 3, data: base64('def') })
    expect(second.complete).toBe(true)
    expect(second.path).toBe(path.join(second.folder, 'folder', 'a.bin'))
    close()
  })

  it('cannot leave their folder, skip bytes or exceed what was announced', async () => {
    const { rpc, close } = connect(server.url)
    for (const name of ['../x', '/etc/x', 'a/../../x', '.profile', 'a\\b']) {
      const piece = { ...upload, name, offset: 0, data: base64('abc') }
      await expect(rpc.invoke('files.upload', piece)).rejects.toMatchObject({ code: 'E_UPLOAD' })
    }
    const piece = { ...upload, name: 'b.bin', offset: 0, data: base64('abc') }
    await expect(rpc.invoke('files.upload', { ...piece, offset: 2 })).rejects.toMatchObject({
      code: 'E_UPLOAD',
    })
    await expect(rpc.invoke('files.upload', { ...piece, totalBytes: 2 })).rejects.toMatchObject({
      code: 'E_UPLOAD',
    })
    close()
  })
})

describe('the command', () => {
  const aqw = (...args: string[]) =>
    run(process.execPath, ['cli/aqw.ts', 'serve', ...args], { cwd: path.resolve('.') }).then(
      () => ({ code: 0, stderr: '' }),
      (error: { code: number; stderr: string }) => error,
    )

  it('refuses other machines without a token, and short tokens', async () => {
    const open = await aqw('--host', '0.0.0.0', '--workspace', path.join(root, 'x'))
    expect(open).toMatchObject({ code: 1, stderr: expect.stringContaining('E_SERVE_AUTH_REQUIRED') })
    const short = await aqw('--host', '0.0.0.0', '--auth', 'short', '--workspace', path.join(root, 'x'))
    expect(short.stderr).toContain('E_SERVE_AUTH_REQUIRED')
  })

  it('names who has the workspace open', async () => {
    const files = path.join(root, 'files')
    const second = startServer({ workspace: path.join(root, 'w'), host: '127.0.0.1', port: 0, files })
    await expect(second).rejects.toMatchObject({
      code: 'E_WORKSPACE_LOCKED',
      details: { pid: server.engine.pid },
    })
  })

  it('says how to build the window when it is not built', async () => {
    const second = startServer({ workspace: path.join(root, 'y'), host: '127.0.0.1', port: 0, files: root })
    await expect(second).rejects.toMatchObject({ code: 'E_SERVE_NOT_BUILT', hint: 'Run: npm run build' })
  })
})
