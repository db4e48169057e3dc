// `npm run bench [-- NAME...] [--json FILE]`: runs the cases of test/bench and prints one table of figures.
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { writeFileAtomic } from '../engine/common/files.ts'
import { formatFigure } from '../engine/common/units.ts'

/** One figure. `ok` is absent when there is no target. */
interface Metric {
  name: string
  value: number
  unit: string
  target?: string
  ok?: boolean
}

interface BenchModule {
  run(wanted?: readonly string[]): Promise<Metric[]>
}

const FOLDER = path.resolve(import.meta.dirname, '../test/bench')

function isBenchModule(module: unknown): module is BenchModule {
  return typeof module === 'object' && module !== null && 'run' in module && typeof module.run === 'function'
}

/** Names select by area (`sim`), metric (`sim.ffi_call`), or the start of a metric name. */
function selected(name: string, wanted: readonly string[]): boolean {
  return wanted.length === 0 || wanted.some((entry) => name === entry || name.startsWith(`${entry}.`))
}

function print(metrics: readonly Metric[]): void {
  const rows = metrics.map((metric) => [
    metric.name,
    formatFigure(metric.value),
    metric.unit,
    metric.target ?? '',
    metric.ok === undefined ? '' : metric.ok ? 'ok' : 'MISSED',
  ])
  const table = [['name', 'value', 'unit', 'target', ''], ...rows]
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)))
  for (const row of table) {
    const cells = row.map((cell, column) =>
      column === 1 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
    )
    console.log(cells.join('  ').trimEnd())
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: 'string' } } })
  const files = readdirSync(FOLDER)
    .filter((file) => file.endsWith('.bench.ts'))
    .sort()
  const areas = new Set(positionals.map((name) => name.split('.')[0]))
  const chosen = files.filter((file) => areas.size === 0 || areas.has(file.slice(0, -'.bench.ts'.length)))
  const metrics: Metric[] = []
  let failures = 0
  // A name may belong to a file that is not called like its area: fall back to all files.
  for (const file of chosen.length > 0 ? chosen : files) {
    const module: unknown = await import(pathToFileURL(path.join(FOLDER, file)).href)
    if (!isBenchModule(module)) {
      console.error(`${file}: exports no run()`)
      failures++
      continue
    }
    process.stderr.write(`${file} ...\n`)
    try {
      metrics.push(...(await module.run(positionals)).filter((metric) => selected(metric.name, positionals)))
    } catch (error) {
      console.error(`${file}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
      failures++
    }
  }
  if (metrics.length === 0) {
    console.error(
      positionals.length > 0 ? `No metric is called ${positionals.join(', ')}` : 'No metric was measured',
    )
    return 1
  }
  print(metrics)
  if (values.json !== undefined) writeFileAtomic(values.json, `${JSON.stringify({ metrics }, null, 2)}\n`)
  return failures > 0 || metrics.some((metric) => metric.ok === false) ? 1 : 0
}

process.exitCode = await main()
