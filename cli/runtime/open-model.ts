// Opening a model that a command names, whatever holds it.
import path from 'node:path'
import type { Model } from '../../engine/onnx/index.ts'

/** The model of an .onnx file or of a simulated .om. @throws E_ONNX_*, E_OM_* */
export async function openAnyModel(file: string): Promise<Model> {
  if (path.extname(file).toLowerCase() === '.om') {
    const { recoverOnnx } = await import('../../engine/compile/index.ts')
    return recoverOnnx(file)
  }
  const { openModel } = await import('../../engine/onnx/index.ts')
  return openModel(file)
}
