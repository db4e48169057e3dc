// Parsers of option values; each refuses with what it got and what it expects.
import path from 'node:path'
import { existsSync, statSync } from 'node:fs'
import { AppError } from '../../contract/errors/index.ts'

function refuse(name: string, reason: string, expected: string): never {
  throw new AppError('E_ARGUMENT', { name, reason, expected })
}

/** A decimal integer within bounds. @throws E_ARGUMENT */
export function parseInteger(name: string, text: string, minimum: number, maximum: number): number {
  const value = /^[+-]?\d+$/.test(text.trim()) ? Number(text) : NaN
  if (!Number.isInteger(value) || value < minimum || value > maximum) {
    refuse(name, `"${text}" is not usable`, `an integer from ${minimum} to ${maximum}`)
  }
  return value
}

/** `a,b,c` as integers. @throws E_ARGUMENT */
export function parseIntegers(name: string, text: string, minimum: number, maximum: number): number[] {
  return text.split(',').map((part) => parseInteger(name, part, minimum, maximum))
}

/**
 * `input:1,4,64,64;other:1,77,768` as atc and amct write it: the last colon separates name from shape, because names may
 * hold colons. @throws E_ARGUMENT
 */
export function parseInputShapes(name: string, text: string, open = false): Record<string, number[]> {
  const expected = 'NAME:D,D,D with several inputs separated by ";", e.g. "sample_input_tensor:1,4,64,64"'
  const shapes: Record<string, number[]> = {}
  for (const part of text.split(';')) {
    const entry = part.trim()
    if (entry === '') continue
    const colon = entry.lastIndexOf(':')
    if (colon <= 0) refuse(name, `"${entry}" has no NAME: in front of its shape`, expected)
    const input = entry.slice(0, colon)
    const dims = entry.slice(colon + 1).split(',')
    if (Object.hasOwn(shapes, input)) refuse(name, `input "${input}" is given twice`, expected)
    shapes[input] = dims.map((dim) => {
      if (open && dim.trim() === '-1') return -1
      if (!/^\s*\d{1,9}\s*$/.test(dim)) refuse(name, `"${dim}" in "${entry}" is not a size`, expected)
      return Number(dim)
    })
  }
  if (Object.keys(shapes).length === 0) refuse(name, 'it is empty', expected)
  return shapes
}

/** An existing file. @throws E_FILE_NOT_FOUND, E_FILE_READ */
export function existingFile(file: string): string {
  if (!existsSync(file)) throw new AppError('E_FILE_NOT_FOUND', { path: file, base: process.cwd() })
  if (statSync(file).isDirectory())
    throw new AppError('E_FILE_READ', { path: file, reason: 'it is a folder' })
  return file
}

/** An existing folder. @throws E_FOLDER_NOT_FOUND */
export function existingFolder(folder: string): string {
  if (!existsSync(folder) || !statSync(folder).isDirectory()) {
    throw new AppError('E_FOLDER_NOT_FOUND', { path: folder, base: process.cwd() })
  }
  return folder
}

/** A file with one of the extensions, e.g. `['.onnx', '.om']`. @throws E_FILE_NOT_FOUND, E_MODEL_KIND */
export function modelFile(file: string, extensions: readonly string[]): string {
  existingFile(file)
  if (!extensions.includes(path.extname(file).toLowerCase())) {
    throw new AppError('E_MODEL_KIND', { path: file, expected: extensions.join(' or ') })
  }
  return file
}
