// Figures of the workspace with 10,000 runs: list, filter, sort, compare; and of the RPC around them.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { RunFilter, RunSort } from '../../contract/rpc/index.ts'
import { compareRuns } from '../../engine/host/run-comparison.ts'
import { Workspace } from '../../engine/workspace/index.ts'
import { exampleComparison } from '../unit/report/example.ts'
import { exampleRun } from '../fixtures/example-run.ts'

interface Metric {
  name: string
  value: number
  unit: string
  target?: string
  ok?: boolean
}

const RUNS = 10_000
const REPEATS = 15
const LIMIT_MS = 50

/** Median time of the repeats, after one that fills the caches. */
function median(work: () => void): number {
  work()
  const times = Array.from({ length: REPEATS }, () => {
    const start = performance.now()
    work()
    return performance.now() - start
  })
  return times.sort((left, right) => left - right)[REPEATS >> 1] ?? 0
}

function metric(name: string, value: number): Metric {
  return { name: `workspace.${name}`, value, unit: 'ms', target: `<= ${LIMIT_MS}`, ok: value <= LIMIT_MS }
}

function fill(workspace: Workspace, projectId: string): string[] {
  const ids: string[] = []
  workspace.transaction(() => {
    for (let index = 0; index < RUNS; index++) {
      const run = exampleRun(projectId, index)
      ids.push(workspace.runs.insert({ ...run, comparison: exampleComparison }).id)
    }
  })
  return ids
}

export async function run(): Promise<Metric[]> {
  const root = mkdtempSync(path.join(tmpdir(), 'workspace-bench-'))
  const workspace = new Workspace(root)
  try {
    const projectId = workspace.projects.create({ name: 'bench' }).id
    const start = performance.now()
    const ids = fill(workspace, projectId)
    const insert = (performance.now() - start) / RUNS
    const list = (filter?: RunFilter, sort?: RunSort, offset = 0) =>
      median(() => {
        const { runs } = workspace.runs.list({ projectId, filter, sort, offset, limit: 50 })
        if (runs.length === 0) throw new Error('nothing was found')
      })
    return [
      metric('list_10000', list()),
      metric('list_last_page', list(undefined, undefined, RUNS - 50)),
      metric('filter_text', list({ text: 'u-net 77' })),
      metric('filter_device_valid', list({ deviceKind: 'simulated', valid: true })),
      metric('sort_latency', list(undefined, { by: 'latency', descending: false })),
      metric(
        'filter_and_sort',
        list({ text: 'convolutions', valid: true }, { by: 'ratio', descending: true }),
      ),
      metric(
        'compare_6',
        median(() => compareRuns(workspace, ids.slice(100, 106))),
      ),
      metric(
        'projects_list',
        median(() => workspace.projects.list()),
      ),
      { name: 'workspace.insert', value: insert, unit: 'ms' },
    ]
  } finally {
    workspace.close()
    rmSync(root, { recursive: true, force: true })
  }
}
