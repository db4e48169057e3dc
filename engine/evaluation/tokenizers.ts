// From text to token ids: one word one token, or a tokenizer.json of the Hugging Face tokenizers.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { Tokenizer } from '@huggingface/tokenizers'
import { z } from 'zod'
import type { TokenizerSpec } from '../../contract/evaluation-task.ts'
import { AppError } from '../../contract/errors/index.ts'
import { reasonOf } from '../common/hashing.ts'

/** A prompt as ids of fixed length. */
export type Encoder = (text: string) => number[]

const MAXIMUM_FILE_BYTES = 256 * 1024 * 1024

const wordsSchema = z.object({
  vocabulary: z.record(z.string(), z.number().int().nonnegative()),
  tokenizer: z.object({
    length: z.number().int().min(2).max(8192),
    pad: z.number().int().nonnegative(),
    bos: z.number().int().nonnegative(),
    eos: z.number().int().nonnegative(),
  }),
})

function failure(file: string, text: string, reason: unknown): AppError {
  return new AppError('E_TOKENIZER', { path: file, text: text.slice(0, 100), reason: String(reason) })
}

export function readJsonFile(file: string): unknown {
  try {
    const bytes = readFileSync(file)
    if (bytes.length > MAXIMUM_FILE_BYTES) throw new Error(`the file has ${bytes.length} bytes`)
    return JSON.parse(bytes.toString('utf8'))
  } catch (error) {
    throw new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) }, { cause: error })
  }
}

function wordEncoder(file: string): Encoder {
  const parsed = wordsSchema.safeParse(readJsonFile(file))
  if (!parsed.success) throw failure(file, '', 'no "vocabulary" and "tokenizer" {length, pad, bos, eos}')
  const { vocabulary, tokenizer } = parsed.data
  const known = new Map(Object.entries(vocabulary))
  return (text) => {
    const words = text.split(' ').filter((word) => word !== '')
    const ids = words.map((word) => {
      const id = known.get(word)
      if (id === undefined) throw failure(file, text, `"${word}" is not in its vocabulary`)
      return id
    })
    const all = [tokenizer.bos, ...ids, tokenizer.eos]
    if (all.length > tokenizer.length)
      throw failure(file, text, `${all.length} tokens, at most ${tokenizer.length}`)
    return [...all, ...Array<number>(tokenizer.length - all.length).fill(tokenizer.pad)]
  }
}

/** The tokenizer of a tokenizer.json, with its tokenizer_config.json beside it where there is one. */
export function openTokenizer(file: string): Tokenizer {
  const config = path.join(path.dirname(file), 'tokenizer_config.json')
  let settings: object = {}
  try {
    settings = readJsonFile(config) as object
  } catch (error) {
    // A tokenizer works without its configuration.
    if (!(error instanceof AppError)) throw error
  }
  try {
    return new Tokenizer(readJsonFile(file) as object, settings)
  } catch (error) {
    if (error instanceof AppError) throw error
    throw failure(file, '', reasonOf(error))
  }
}

function jsonEncoder(file: string, spec: Extract<TokenizerSpec, { kind: 'tokenizer_json' }>): Encoder {
  const tokenizer = openTokenizer(file)
  return (text) => {
    const { ids } = tokenizer.encode(text)
    const kept = ids.slice(0, spec.length)
    if (ids.length > spec.length && spec.eos !== undefined) kept[spec.length - 1] = spec.eos
    return [...kept, ...Array<number>(spec.length - kept.length).fill(spec.pad)]
  }
}

/** @throws E_FILE_READ, E_TOKENIZER */
export function promptEncoder(spec: TokenizerSpec): Encoder {
  return spec.kind === 'words' ? wordEncoder(spec.file) : jsonEncoder(spec.file, spec)
}
