// From text to token ids: one word one token, or a tokenizer.json of the Hugging Face tokenizers.
import { existsSync, readFileSync, statSync } from 'node:fs'
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

/** @throws E_FILE_READ, also for files too large to be a task's */
export function readJsonFile(file: string): unknown {
  try {
    // Looked at before it is read: a path may name anything.
    const { size } = statSync(file)
    if (size > MAXIMUM_FILE_BYTES)
      throw new Error(`it has ${size} bytes, at most ${MAXIMUM_FILE_BYTES} are read as JSON`)
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) }, { cause: error })
  }
}

/** A property of anything read from JSON; undefined where there is none. */
export function propertyOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
}

/** A list, or the property of that name of an object. */
export function namedList(content: unknown, name: string | undefined): unknown {
  return Array.isArray(content) || name === undefined ? content : propertyOf(content, name)
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

/**
 * The tokenizer of a tokenizer.json, with its tokenizer_config.json beside it where there is one; or of CLIP's vocab.json with
 * merges.txt, which is all that many diffusers folders have.
 * @throws E_FILE_READ, E_TOKENIZER
 */
export function openTokenizer(file: string): Tokenizer {
  const config = path.join(path.dirname(file), 'tokenizer_config.json')
  const settings = existsSync(config) ? readJsonFile(config) : {}
  const content = path.basename(file) === 'vocab.json' ? clipTokenizer(file) : readJsonFile(file)
  try {
    return new Tokenizer(content as object, settings as object)
  } catch (error) {
    throw failure(file, '', reasonOf(error))
  }
}

const vocabularySchema = z.record(z.string(), z.number().int().nonnegative())
const CLIP_START = '<|startoftext|>'
const CLIP_END = '<|endoftext|>'

/** CLIP's tokenizer as transformers writes it into a tokenizer.json (convert_slow_tokenizer.py, CLIPConverter). */
function clipTokenizer(file: string): object {
  const merges = path.join(path.dirname(file), 'merges.txt')
  const parsed = vocabularySchema.safeParse(readJsonFile(file))
  const [start, end] = [parsed.data?.[CLIP_START], parsed.data?.[CLIP_END]]
  if (!parsed.success || start === undefined || end === undefined)
    throw failure(file, '', `it is no CLIP vocabulary with ${CLIP_START} and ${CLIP_END}`)
  const special = { special: true, single_word: false, lstrip: false, rstrip: false, normalized: false }
  return {
    version: '1.0',
    added_tokens: [
      { id: start, content: CLIP_START, ...special },
      { id: end, content: CLIP_END, ...special },
    ],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'NFC' },
        { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' },
        { type: 'Lowercase' },
      ],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        {
          type: 'Split',
          pattern: { Regex: "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+" },
          behavior: 'Removed',
          invert: true,
        },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: {
      type: 'RobertaProcessing',
      sep: [CLIP_END, end],
      cls: [CLIP_START, start],
      trim_offsets: false,
      add_prefix_space: false,
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: CLIP_END,
      continuing_subword_prefix: '',
      end_of_word_suffix: '</w>',
      fuse_unk: false,
      vocab: parsed.data,
      merges: readMerges(merges),
    },
  }
}

function readMerges(file: string): string[] {
  try {
    if (statSync(file).size > MAXIMUM_FILE_BYTES) throw new Error('it is too large')
    const lines = readFileSync(file, 'utf8').split(/\r?\n/)
    return lines.filter((line) => line !== '' && !line.startsWith('#version'))
  } catch (error) {
    throw new AppError('E_FILE_READ', { path: file, reason: reasonOf(error) }, { cause: error })
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
