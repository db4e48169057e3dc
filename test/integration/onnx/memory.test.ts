// Rewriting one node of a large model must not load its weights.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openModel } from '../../../engine/onnx/index.ts'
import { makeLargeModel, rewriteInProcess } from '../../fixtures/onnx-large.ts'

const WEIGHT_BYTES = 600 * 1024 * 1024
/** Far below the weights; Node itself takes about 60 MiB. */
const LIMIT_MIB = 200

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'onnx-memory-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

it.each(['inline', 'external'] as const)('rewrites a model of 600 MiB (%s) in little memory', (where) => {
  const source = makeLargeModel(folder, WEIGHT_BYTES, where)
  const target = path.join(folder, 'rewritten.onnx')
  const rewrite = rewriteInProcess(source, target)
  expect(rewrite.bytes).toBeGreaterThan(WEIGHT_BYTES * 0.99)
  expect(rewrite.peakRssMiB).toBeLessThan(LIMIT_MIB)
  expect(openModel(target).graph.nodes[0]!.name).toBe('use0_rewritten')
})

it('addresses external data beyond 4 GiB', () => {
  const model = openModel(makeLargeModel(folder, 5 * 1024 ** 3, 'external'))
  const last = [...model.graph.initializers.values()].at(-1)!
  expect(last.data).toMatchObject({ kind: 'file', offset: 15 * 320 * 1024 ** 2, length: 320 * 1024 ** 2 })
})
