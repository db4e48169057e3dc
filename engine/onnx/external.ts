// External data: finding the file of a tensor, and refusing everything outside the folder of the model.
import { closeSync, realpathSync } from 'node:fs'
import path from 'node:path'
import { AppError } from '../../contract/errors/index.ts'
import type { Tensor, TensorData } from './model.ts'
import { openRegularFile } from './source.ts'
import { tensorByteLength } from './tensors.ts'

interface ExternalFile {
  path: string
  size: number
  stamp: string
}

/** True when a location can only mean a file below the folder it is relative to, on every platform. */
export function isInsideLocation(location: string): boolean {
  if (location === '' || location.includes('\0')) return false
  if (path.posix.isAbsolute(location) || path.win32.isAbsolute(location) || /^[a-z]:/i.test(location))
    return false
  return !location.split(/[/\\]/).includes('..')
}

/** The external data files of one model, each checked once. */
export class ExternalFiles {
  private readonly modelPath: string
  private readonly folder: string | null
  private readonly known = new Map<string, ExternalFile>()

  /** @param folder where locations are relative to; null: the model has no folder and external data is refused */
  constructor(modelPath: string, folder: string | null) {
    this.modelPath = modelPath
    this.folder = folder
  }

  /** Reference to the external data of a tensor, given its external_data entries. */
  resolve(tensor: Tensor, entries: ReadonlyMap<string, string>): TensorData {
    const location = entries.get('location')
    if (location === undefined) throw this.entryError(tensor, 'there is no location')
    const file = this.file(tensor, location)
    const expected = tensorByteLength(tensor.dataType, tensor.dims)
    const offset = this.integer(tensor, entries, 'offset') ?? 0
    const length = this.integer(tensor, entries, 'length') ?? expected
    if (offset + length > file.size) {
      throw new AppError('E_ONNX_EXTERNAL_RANGE', {
        path: this.modelPath,
        tensor: tensor.name,
        file: file.path,
        offset,
        end: offset + length,
        size: file.size,
      })
    }
    return { kind: 'file', path: file.path, offset, length, stamp: file.stamp }
  }

  private integer(tensor: Tensor, entries: ReadonlyMap<string, string>, key: string): number | undefined {
    const text = entries.get(key)
    if (text === undefined) return undefined
    const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN
    if (!Number.isSafeInteger(value)) throw this.entryError(tensor, `${key} is "${text.slice(0, 40)}"`)
    return value
  }

  private entryError(tensor: Tensor, reason: string): AppError {
    return new AppError('E_ONNX_EXTERNAL_ENTRY', { path: this.modelPath, tensor: tensor.name, reason })
  }

  private file(tensor: Tensor, location: string): ExternalFile {
    const cached = this.known.get(location)
    if (cached) return cached
    if (this.folder === null) throw this.entryError(tensor, 'a model in memory cannot have external data')
    if (!isInsideLocation(location)) throw this.outside(tensor, location, this.folder)
    const file = this.open(tensor, location, this.folder)
    this.known.set(location, file)
    return file
  }

  private outside(tensor: Tensor, location: string, folder: string): AppError {
    return new AppError('E_ONNX_EXTERNAL_OUTSIDE', {
      path: this.modelPath,
      tensor: tensor.name,
      location,
      folder,
    })
  }

  private open(tensor: Tensor, location: string, folder: string): ExternalFile {
    const wanted = path.join(folder, location)
    let real: string
    try {
      real = realpathSync(wanted)
    } catch (cause) {
      throw new AppError(
        'E_ONNX_EXTERNAL_MISSING',
        { path: this.modelPath, tensor: tensor.name, location, file: wanted },
        { cause },
      )
    }
    const relative = path.relative(realpathSync(folder), real)
    if (relative.split(path.sep)[0] === '..' || path.isAbsolute(relative))
      throw this.outside(tensor, location, folder)
    const { descriptor, size, stamp } = openRegularFile(real)
    closeSync(descriptor)
    return { path: real, size, stamp }
  }
}
