// Stage results in the workspace: kept when a stage ends, found again by key, laid out as files for the worker.
import path from 'node:path'
import type { KeptFile, StageResult, Workspace } from '../workspace/index.ts'
import { isSafeRelativePath, materializeFiles } from '../workspace/index.ts'
import type { StageFile, StageInput } from './plan.ts'

interface StoredStage {
  data: unknown
  /** File key -> name under the stage. */
  names: Record<string, string>
}

/** Finds the result and gives its files names under `folder`; null when it is unknown or a file of it is gone. */
export async function findStageResult(
  workspace: Workspace,
  key: string,
  folder: string,
): Promise<StageInput | null> {
  const found = workspace.stageResults.find(key)
  if (!found) return null
  for (const file of found.files) {
    if (!(await workspace.objects.has(file.sha256))) {
      workspace.stageResults.delete(key)
      return null
    }
  }
  return layOut(workspace, found, folder)
}

/** Takes over the files a stage wrote and stores its result. @throws E_FILE_READ, E_FILE_WRITE */
export async function keepStageResult(
  workspace: Workspace,
  stage: string,
  key: string,
  output: { data: unknown; files: readonly StageFile[] },
  folder: string,
): Promise<StageInput> {
  const kept: KeptFile[] = []
  const names: Record<string, string> = {}
  for (const file of output.files) {
    if (!isSafeRelativePath(file.name)) throw new Error(`stage ${stage}: file name ${file.name}`)
    const stored = await workspace.objects.adopt(file.path)
    kept.push({ ...stored, relativePath: file.name, referencePath: null })
    names[file.key] = file.name
  }
  const value: StoredStage = { data: output.data, names }
  return layOut(workspace, workspace.stageResults.put(key, stage, value, kept), folder)
}

async function layOut(workspace: Workspace, result: StageResult, folder: string): Promise<StageInput> {
  await materializeFiles(workspace.objects, result.files, folder)
  const { data, names } = result.result as StoredStage
  const files = Object.fromEntries(
    Object.entries(names).map(([key, name]) => [key, path.join(folder, ...name.split('/'))]),
  )
  return { data, files }
}

/** The stored file behind a stage's file key. */
export function storedFile(workspace: Workspace, stageKey: string, fileKey: string): KeptFile | undefined {
  const found = workspace.stageResults.find(stageKey)
  const name = (found?.result as StoredStage | undefined)?.names[fileKey]
  return found?.files.find((file) => file.relativePath === name)
}
