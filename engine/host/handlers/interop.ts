// Handlers of models.lint and models.convert.
import { mkdtempSync, rmSync } from 'node:fs'
import path from 'node:path'
import { AppError } from '../../../contract/errors/index.ts'
import type { ChannelOutput } from '../../../contract/rpc/index.ts'
import { openModel } from '../../onnx/index.ts'
import { lintModelFile } from '../../pipeline/index.ts'
import {
  conversionTarget,
  type ConversionTarget,
  convertModelFile,
  type ConvertResult,
} from '../../quantization/convert/index.ts'
import type { Services } from '../engine.ts'
import { importModel } from '../library.ts'
import { existingPath, givenPath } from '../paths.ts'
import type { Handlers } from '../router.ts'

type Names = 'models.lint' | 'models.convert'

interface Named {
  modelId?: string | undefined
  path?: string | undefined
}

/** The .onnx file that a request names. @throws E_WORKSPACE_NOT_FOUND, E_FILE_NOT_FOUND, E_WORKSPACE_FILE_KIND */
function onnxFile({ workspace }: Services, { modelId, path: given }: Named): string {
  const file = modelId === undefined ? existingPath(given ?? '') : workspace.models.get(modelId).path
  if (path.extname(file).toLowerCase() === '.onnx') return file
  throw new AppError('E_WORKSPACE_FILE_KIND', { path: file, expected: 'an .onnx file' })
}

function outcome({ to, saved, notes }: ConvertResult) {
  return { to, path: saved.path, bytes: saved.bytes, notes }
}

/** `unet_fake_quant_model` -> `unet_deploy_model`: named as quantization names its files. */
function convertedName(file: string, to: ConversionTarget): string {
  const stem = path.basename(file, path.extname(file)).replace(/_(deploy|fake_quant)_model$/, '')
  return `${stem}_${to === 'ascend' ? 'deploy' : 'fake_quant'}_model.onnx`
}

/** Models above the limit are used where they are: they need a place of their own. @throws E_ARGUMENT */
function checkCopied(bytes: number, limit: number): void {
  if (bytes <= limit) return
  throw new AppError('E_ARGUMENT', {
    name: 'path',
    reason: `a model of ${bytes} bytes is too large to be kept in the workspace (${limit})`,
    expected: 'a path to write it to',
  })
}

/** Converts into a temporary folder and keeps the result as a model beside its source. */
async function convertIntoProject(
  { workspace }: Services,
  modelId: string,
  modelPath: string,
  wanted: ConversionTarget | undefined,
  signal: AbortSignal,
): Promise<ChannelOutput<'models.convert'>> {
  const { projectId, sourcePath } = workspace.models.get(modelId)
  const folder = mkdtempSync(path.join(workspace.layout.temporary, 'convert-'))
  try {
    const to = wanted ?? conversionTarget(openModel(modelPath))
    const outputPath = path.join(folder, convertedName(modelPath, to))
    const result = convertModelFile({ modelPath, outputPath, to })
    checkCopied(result.saved.bytes, workspace.settings.get().referenceModelBytes)
    const model = await importModel(workspace, { projectId, path: outputPath }, signal, {
      role: to === 'ascend' ? 'deploy' : 'fake-quant',
      parentId: modelId,
      sourcePath,
    })
    return { ...outcome(result), path: model.path, model }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export function interopHandlers(services: Services): Pick<Handlers, Names> {
  return {
    'models.lint': ({ soc, inputShapes, ...named }) =>
      lintModelFile({ modelPath: onnxFile(services, named), soc, inputShapes }),
    'models.convert': ({ modelId, source, to, path: target }, { signal }) => {
      const modelPath = onnxFile(services, { modelId, path: source })
      if (target === undefined) return convertIntoProject(services, modelId ?? '', modelPath, to, signal)
      const result = convertModelFile({ modelPath, outputPath: givenPath(target), to })
      return { ...outcome(result), model: null }
    },
  }
}
