// Peak memory is a program's own: what the process that started it once held does not count.
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import process from 'node:process'
import { expect, test } from 'vitest'

const MIB = 1024 * 1024
const modulePath = path.resolve(import.meta.dirname, '../../../engine/common/memory.ts')

test.runIf(process.platform === 'linux')(
  'a small program started by a large one reports its own size',
  () => {
    const load = `const { peakResidentBytes } = await import(${JSON.stringify(modulePath)})`
    const child = `${load}; console.log(peakResidentBytes())`
    const parent = `
    ${load}
    const { execFileSync } = await import('node:child_process')
    const held = Buffer.alloc(${400 * MIB}, 1)
    const answer = execFileSync(process.execPath, ['--input-type=module', '-e', ${JSON.stringify(child)}], { encoding: 'utf8' })
    console.log(JSON.stringify({ own: peakResidentBytes(), child: Number(answer), held: held.length }))`
    const text = execFileSync(process.execPath, ['--input-type=module', '-e', parent], { encoding: 'utf8' })
    const { own, child: small } = JSON.parse(text) as { own: number; child: number }
    expect(own).toBeGreaterThan(400 * MIB)
    expect(small).toBeLessThan(200 * MIB)
    expect(small).toBeGreaterThan(10 * MIB)
  },
)
