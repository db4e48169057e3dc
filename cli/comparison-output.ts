// A comparison on a terminal: verdicts, tables and conditions of the report.
import type { Comparison } from '../contract/comparison.ts'
import { summaryBlocks } from '../engine/report/index.ts'
import { blockLines } from './runtime/blocks.ts'
import type { Paint } from './runtime/terminal.ts'

/** All lines of a comparison. */
export function comparisonLines(comparison: Comparison, paint: Paint): string[] {
  const lines = summaryBlocks(comparison, 'en').flatMap((block) => blockLines(block, paint))
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines
}
