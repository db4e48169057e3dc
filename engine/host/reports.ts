// reports.export: the stored runs as a report, to a file or back to the window.
import path from 'node:path'
import { comparisonSchema } from '../../contract/comparison.ts'
import type { ChannelOutput, ChannelRequest } from '../../contract/rpc/index.ts'
import { runFiguresSchema } from '../../contract/run-figures.ts'
import { writeFileAtomic, checkWritable } from '../common/files.ts'
import { renderReport, type ReportEntry } from '../report/index.ts'
import type { Workspace } from '../workspace/index.ts'
import { givenPath } from './paths.ts'

function entryOf(workspace: Workspace, id: string): ReportEntry {
  return {
    comparison: comparisonSchema.parse(workspace.runs.comparison(id)),
    figures: runFiguresSchema.parse(workspace.runs.figures(id)),
    command: workspace.runs.provenance(id).command,
  }
}

/** A file name that every file system takes: `sprite-diffusion-run-3.html`. */
function fileName(workspace: Workspace, runIds: readonly string[], format: string): string {
  const runs = runIds.map((id) => workspace.runs.get(id))
  const project = workspace.projects.get(runs[0]?.projectId ?? '').name
  const slug = project
    .normalize('NFKC')
    .replaceAll(/[^\p{L}\p{N}]+/gu, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 60)
  return `${slug || 'report'}-run-${runs.map((run) => run.number).join('-')}.${format}`
}

/** @throws E_WORKSPACE_NOT_FOUND, E_FILE_WRITE, E_REPORT_NO_BROWSER, E_REPORT_PRINT, E_CANCELLED */
export async function exportReport(
  workspace: Workspace,
  input: ChannelRequest<'reports.export'>,
  signal: AbortSignal,
): Promise<ChannelOutput<'reports.export'>> {
  const target = input.path === undefined ? null : givenPath(input.path)
  if (target !== null) checkWritable(target)
  const entries = input.runIds.map((id) => entryOf(workspace, id))
  const { bytes, mediaType } = await renderReport(entries, input.format, input.locale, signal)
  if (target !== null) writeFileAtomic(target, bytes)
  return {
    path: target,
    fileName: target === null ? fileName(workspace, input.runIds, input.format) : path.basename(target),
    mediaType,
    base64: target === null ? bytes.toString('base64') : null,
  }
}
