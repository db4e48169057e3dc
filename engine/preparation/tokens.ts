// Token sequences as calibration data of a language model: windows of ids, one bin each.
import { createHash } from 'node:crypto'
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import { AppError } from '../../contract/errors/index.ts'
import type { WorkContext } from '../../contract/work.ts'
import { reasonOf } from '../common/hashing.ts'
import { besideTarget, checkTarget } from './prepare.ts'

export interface TokenPreparation {
  /** Model input, part of the file names when given. */
  input?: string | undefined
  /** Tokens per sample; what does not fill a window at the end of a sequence is left out. */
  window: number
  /** Property of the JSON file that holds the sequences. */
  list: string
  dtype: 'int64' | 'int32'
  count?: number | undefined
}

export interface PreparedTokens {
  folder: string
  files: number
  shape: [number]
  dtype: TokenPreparation['dtype']
  sha256: string
}

const MAXIMUM_BYTES = 1024 * 1024 * 1024
const sequencesSchema = z.array(z.array(z.number().int().nonnegative())).min(1)

/** @throws E_FILE_READ, E_PREPARE_SETTINGS */
function readSequences(file: string, list: string): number[][] {
  let content: unknown
  try {
    if (statSync(file).size > MAXIMUM_BYTES) throw new Error('it is larger than 1 GiB')
    content = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) }, { cause: error })
  }
  const found = Array.isArray(content) ? content : (content as Record<string, unknown> | null)?.[list]
  const parsed = sequencesSchema.safeParse(found)
  if (parsed.success) return parsed.data
  throw new AppError('E_PREPARE_SETTINGS', {
    problems: [`${file}: "${list}" must be a list of token sequences`],
  })
}

/**
 * Writes one bin per window. The same file and settings give the same bytes.
 * @throws E_PREPARE_SETTINGS, E_PREPARE_COUNT, E_FILE_READ, E_FILE_WRITE, E_CANCELLED; nothing is left behind then
 */
export function prepareTokens(
  source: string,
  target: string,
  settings: TokenPreparation,
  ctx: WorkContext = {},
): PreparedTokens {
  checkTarget(target)
  const { window, count, dtype, input } = settings
  const windows = readSequences(source, settings.list).flatMap((tokens) =>
    Array.from({ length: Math.floor(tokens.length / window) }, (_, index) =>
      tokens.slice(index * window, (index + 1) * window),
    ),
  )
  if (windows.length === 0 || (count ?? 0) > windows.length)
    throw new AppError('E_PREPARE_COUNT', { path: source, wanted: count ?? 1, available: windows.length })
  const temporary = besideTarget(target)
  try {
    const digest = createHash('sha256')
    const used = windows.slice(0, count)
    for (const [index, tokens] of used.entries()) {
      if (ctx.signal?.aborted) throw new AppError('E_CANCELLED')
      const values = dtype === 'int64' ? BigInt64Array.from(tokens, BigInt) : Int32Array.from(tokens)
      const bytes = new Uint8Array(values.buffer)
      digest.update(bytes)
      const suffix = input === undefined ? '' : `_${input.replace(/[^\w.-]/g, '_')}`
      writeFileSync(path.join(temporary, `${String(index).padStart(5, '0')}${suffix}.bin`), bytes)
    }
    rmSync(target, { recursive: true, force: true })
    renameSync(temporary, target)
    return {
      folder: path.resolve(target),
      files: used.length,
      shape: [window],
      dtype,
      sha256: digest.digest('hex'),
    }
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true })
    if (error instanceof AppError) throw error
    throw new AppError('E_FILE_WRITE', { path: target, reason: reasonOf(error) }, { cause: error })
  }
}
