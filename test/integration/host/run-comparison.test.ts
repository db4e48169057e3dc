// Runs side by side: what may be compared, what may not, and what the figures then are.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { comparisonSchema, type Comparison } from '../../../contract/comparison.ts'
import { compareRuns } from '../../../engine/host/run-comparison.ts'
import { Workspace } from '../../../engine/workspace/index.ts'
import { exampleRun } from '../../fixtures/example-run.ts'
import { exampleComparison } from '../../unit/report/example.ts'

let root: string
let workspace: Workspace
let projectId: string
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'runs-'))
  workspace = new Workspace(root)
  projectId = workspace.projects.create({ name: 'p' }).id
})
afterEach(() => {
  workspace.close()
  rmSync(root, { recursive: true, force: true })
})

async function add(change: (comparison: Comparison) => void, samplesMs: number[][] = []): Promise<string> {
  const comparison = structuredClone(exampleComparison)
  change(comparison)
  const sides = [comparison.baseline, ...comparison.candidates].map((side, index) => ({
    label: side.label,
    role: index === 0 ? ('baseline' as const) : ('candidate' as const),
    samplesMs: samplesMs[index] ?? [],
    kernels: [],
    kernelsFrom: null,
    sizes: [],
  }))
  const figures = { sides, layers: [] }
  const run = { ...exampleRun(projectId), comparison: comparisonSchema.parse(comparison), figures }
  return (await workspace.addRun({ ...run, files: [] })).id
}

const unchanged = (): void => undefined

describe('compareRuns', () => {
  it('gives one column per model of every run, figures against the first', async () => {
    const ids = [await add(unchanged), await add((comparison) => (comparison.candidates[0]!.size_bytes *= 2))]
    const { columns, rows, guard } = compareRuns(workspace, ids)
    expect(guard).toEqual([])
    expect(columns.map((column) => [column.runNumber, column.role])).toEqual([
      [1, 'baseline'],
      [1, 'candidate'],
      [2, 'baseline'],
      [2, 'candidate'],
    ])
    const size = rows.find((row) => row.key === 'size_bytes')
    const { baseline, candidates } = exampleComparison
    const int8 = candidates[0]!.size_bytes
    expect(size?.values).toEqual([baseline.size_bytes, int8, baseline.size_bytes, 2 * int8])
    expect(size?.deltas[3]?.ratio).toBeCloseTo((2 * int8) / baseline.size_bytes, 12)
  })

  it('forbids latencies of different devices, says which conditions differ, and still compares sizes', async () => {
    const other = await add((comparison) => {
      comparison.device.id = 'sim:Ascend910B4'
      comparison.device.soc = 'Ascend910B4'
      comparison.conditions.batch = 4
    })
    const { guard, rows } = compareRuns(workspace, [await add(unchanged), other])
    expect(guard.map((entry) => [entry.field, entry.values, entry.severity])).toEqual([
      ['device', ['sim:Ascend310P3', 'sim:Ascend910B4'], 'blocks'],
      ['soc', ['Ascend310P3', 'Ascend910B4'], 'blocks'],
      ['batch', ['1', '4'], 'blocks'],
    ])
    const deltas = (key: string) => rows.find((row) => row.key === key)?.deltas.map((delta) => delta !== null)
    expect(deltas('latency.mean')).toEqual([false, true, false, false])
    expect(deltas('size_bytes')).toEqual([false, true, true, true])
  })

  it('bootstraps the ratio of measured runs from their samples', async () => {
    const measured = (comparison: Comparison): void => {
      comparison.label = 'measured'
    }
    const around = (center: number): number[] =>
      Array.from({ length: 300 }, (_, index) => center + ((index * 37) % 11) / 100)
    const ids = [await add(measured, [around(10), around(6)]), await add(measured, [around(10), around(5)])]
    const row = compareRuns(workspace, ids).rows.find((entry) => entry.key === 'latency.mean')
    expect(row?.deltas[2]).toMatchObject({ method: 'bootstrap', noDifference: true })
    const faster = row?.deltas[3]
    expect(faster?.ratio).toBeCloseTo(5.05 / 10.05, 2)
    expect(faster?.high).toBeLessThan(1)
  })

  it('shows the configuration with a mark on what differs', async () => {
    const ids = [await add(unchanged), await add((comparison) => (comparison.conditions.loop_count = 50))]
    const { config } = compareRuns(workspace, ids)
    expect(config.filter((entry) => entry.differs)).toEqual([
      { path: 'conditions.loop_count', values: [exampleComparison.conditions.loop_count, 50], differs: true },
    ])
    expect(config.length).toBeGreaterThan(10)
  })
})
