// Handlers of models.lint.
import path from 'node:path'
import { AppError } from '../../../contract/errors/index.ts'
import { lintModelFile } from '../../pipeline/index.ts'
import type { Services } from '../engine.ts'
import { existingPath } from '../paths.ts'
import type { Handlers } from '../router.ts'

type Names = 'models.lint'

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

export function interopHandlers(services: Services): Pick<Handlers, Names> {
  return {
    'models.lint': ({ soc, inputShapes, ...named }) =>
      lintModelFile({ modelPath: onnxFile(services, named), soc, inputShapes }),
  }
}
