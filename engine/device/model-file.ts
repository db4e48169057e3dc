// Checks of a model file at the door of a device, and the inputs of a probe.
import { accessSync, constants, statSync } from 'node:fs'
import path from 'node:path'
import type { Feeds, TensorSpec } from '../../contract/device.ts'
import { AppError } from '../../contract/errors/index.ts'
import { reasonOf } from '../common/hashing.ts'

/** @throws E_FILE_NOT_FOUND, E_FILE_READ, E_DEVICE_MODEL_FORMAT */
export function requireModelFile(file: string, expected: '.om' | '.onnx', device: string): void {
  const stats = statSync(file, { throwIfNoEntry: false })
  if (!stats) throw new AppError('E_FILE_NOT_FOUND', { path: file, base: process.cwd() })
  if (stats.isDirectory()) throw new AppError('E_FILE_READ', { path: file, reason: 'it is a folder' })
  if (path.extname(file).toLowerCase() !== expected) {
    throw new AppError('E_DEVICE_MODEL_FORMAT', { path: file, expected, device })
  }
  try {
    accessSync(file, constants.R_OK)
  } catch (error) {
    throw new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) }, { cause: error })
  }
}

/** Zeros for every input: a probe asks whether a model runs, not what it computes. */
export function probeInputs(inputs: TensorSpec[]): Feeds {
  return Object.fromEntries(inputs.map((input) => [input.name, new Uint8Array(input.bytes)]))
}
