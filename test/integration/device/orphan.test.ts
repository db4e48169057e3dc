// A device process must not outlive the process that opened it, however that one ends.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { temporaryFolder } from './models.ts'

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

it('ends when its parent is killed', async () => {
  const folder = temporaryFolder()
  try {
    const script = path.join(folder, 'parent.ts')
    const entry = path.resolve(import.meta.dirname, '../../../engine/device/index.ts')
    writeFileSync(
      script,
      `import { openDevice } from ${JSON.stringify(entry)}\n` +
        `const session = await openDevice('cpu')\nprocess.stdout.write(String(session.pid))\nsetInterval(() => {}, 1000)\n`,
    )
    const parent = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [text] = (await once(parent.stdout, 'data')) as [Buffer]
    const pid = Number(text.toString())
    expect(isAlive(pid)).toBe(true)
    parent.kill('SIGKILL')
    await once(parent, 'exit')
    for (let turn = 0; turn < 200 && isAlive(pid); turn++) await sleep(25)
    expect(isAlive(pid)).toBe(false)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
