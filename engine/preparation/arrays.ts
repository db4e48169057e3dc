// Arrays of numpy as calibration data: a .npy with samples along its first dimension, or an .npz with one such array per input.
// Written one .npy per sample and input, so that the element type is checked again when the data are read.
import { createHash } from 'node:crypto'
import { createReadStream, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Readable } from 'node:stream'
import yauzl, { type ZipFile } from 'yauzl'
import { AppError } from '../../contract/errors/index.ts'
import type { WorkContext } from '../../contract/work.ts'
import { type NpyHeader, parseNpyHeader } from '../common/npy.ts'
import { reasonOf } from '../common/hashing.ts'
import { choosePictures } from './pictures.ts'
import { besideTarget, checkTarget } from './prepare.ts'

export interface ArrayPreparation {
  /** Model input of a single array; the arrays of an .npz with several have names of their own. */
  input?: string | undefined
  count?: number | undefined
  seed: number
}

export interface PreparedArrays {
  folder: string
  files: number
  samples: number
  arrays: { name: string; dtype: string; shape: number[] }[]
  sha256: string
}

const MAXIMUM_ARRAYS = 64
const MAXIMUM_SAMPLE_BYTES = 1024 ** 3
const MAXIMUM_SAMPLES = 1_000_000
/** The longest header a .npy may have here, with its magic. */
const HEADER_BYTES = 66_000
const NUMBERS = /^[fiu]([1248])$|^b(1)$/

function refuse(source: string, name: string, reason: string, cause?: unknown): AppError {
  const where = name === '' ? source : `${source}, ${name}`
  return new AppError('E_PREPARE_SETTINGS', { problems: [`${where}: ${reason}`] }, { cause })
}

interface Layout {
  header: NpyHeader
  samples: number
  shape: number[]
  bytes: number
}

function layoutOf(source: string, name: string, start: Uint8Array): Layout {
  const header = parseNpyHeader(start)
  if (typeof header === 'string') throw refuse(source, name, header)
  const match = NUMBERS.exec(header.type)
  const size = Number(match?.[1] ?? match?.[2])
  if (!match) throw refuse(source, name, `it holds ${header.type}, not numbers`)
  const [samples = 0, ...shape] = header.dims
  if (samples < 1 || samples > MAXIMUM_SAMPLES)
    throw refuse(source, name, `its shape [${header.dims.join(', ')}] has no samples in front`)
  const bytes = shape.reduce((product, dim) => product * dim, size)
  if (!(bytes > 0 && bytes <= MAXIMUM_SAMPLE_BYTES))
    throw refuse(source, name, `a sample of [${shape.join(', ')}] has ${bytes} bytes`)
  return { header, samples, shape, bytes }
}

/** The samples of an array in order; no more than one is in memory. */
async function* samplesOf(
  source: string,
  name: string,
  stream: Readable,
): AsyncGenerator<{ layout: Layout; index: number; data: Buffer }> {
  let [held, bytes]: [Buffer[], number] = [[], 0]
  let layout: Layout | undefined
  let index = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    held.push(chunk)
    bytes += chunk.length
    if (!layout && bytes < HEADER_BYTES) continue
    if (layout && bytes < layout.bytes) continue
    let whole = Buffer.concat(held)
    if (!layout) {
      layout = layoutOf(source, name, whole)
      whole = whole.subarray(layout.header.dataOffset)
    }
    for (; whole.length >= layout.bytes && index < layout.samples; index++) {
      yield { layout, index, data: whole.subarray(0, layout.bytes) }
      whole = whole.subarray(layout.bytes)
    }
    held = [whole]
    bytes = whole.length
  }
  let rest = Buffer.concat(held)
  if (!layout) {
    layout = layoutOf(source, name, rest)
    rest = rest.subarray(layout.header.dataOffset)
  }
  for (; rest.length >= layout.bytes && index < layout.samples; index++) {
    yield { layout, index, data: rest.subarray(0, layout.bytes) }
    rest = rest.subarray(layout.bytes)
  }
  if (index < layout.samples)
    throw refuse(source, name, `it ends after ${index} of ${layout.samples} samples`)
}

/** Arrays of a file by name; that of a .npy is ''. */
async function* arraysOf(source: string): AsyncGenerator<{ name: string; open: () => Promise<Readable> }> {
  if (!/\.npz$/i.test(source)) {
    yield { name: '', open: () => Promise.resolve(createReadStream(source)) }
    return
  }
  const zip: ZipFile = await yauzl.openPromise(source, { autoClose: false })
  try {
    if (zip.entryCount > MAXIMUM_ARRAYS) throw refuse(source, '', `it holds ${zip.entryCount} arrays`)
    for await (const entry of zip.eachEntry()) {
      const name = entry.fileName.replace(/\.npy$/i, '')
      yield { name, open: () => zip.openReadStreamPromise(entry) }
    }
  } finally {
    zip.close()
  }
}

/** A .npy of one sample (format version 1.0, data at a multiple of 64 bytes). */
function npyOf({ header, shape }: Layout, data: Uint8Array): Buffer {
  const order = /1$/.test(header.type) ? '|' : '<'
  const dims = `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`
  const text = `{'descr': '${order}${header.type}', 'fortran_order': False, 'shape': ${dims}, }`
  const padded = text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)
  const start = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 0, 0])
  start.writeUInt16LE(padded.length + 1, 8)
  return Buffer.concat([start, Buffer.from(`${padded}\n`, 'latin1'), data])
}

/**
 * Splits arrays into samples. The same file and settings give the same bytes.
 * @throws E_PREPARE_SETTINGS, E_PREPARE_COUNT, E_FILE_READ, E_FILE_WRITE, E_CANCELLED; nothing is left behind then
 */
export async function prepareArrays(
  source: string,
  target: string,
  settings: ArrayPreparation,
  ctx: WorkContext = {},
): Promise<PreparedArrays> {
  checkTarget(target)
  if (!statSync(source).isFile()) throw refuse(source, '', 'it is no file')
  const temporary = besideTarget(target)
  try {
    const result = await writeArrays(source, temporary, settings, ctx)
    rmSync(target, { recursive: true, force: true })
    renameSync(temporary, target)
    return { ...result, folder: path.resolve(target) }
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true })
    if (error instanceof AppError) throw error
    throw new AppError('E_FILE_READ', { path: source, reason: reasonOf(error) }, { cause: error })
  }
}

async function writeArrays(
  source: string,
  folder: string,
  { input, count, seed }: ArrayPreparation,
  { signal, onProgress }: WorkContext,
): Promise<Omit<PreparedArrays, 'folder'>> {
  const digest = createHash('sha256')
  const arrays: PreparedArrays['arrays'] = []
  let [samples, files]: [number, number] = [0, 0]
  let places = new Map<string, number>()
  const single = !/\.npz$/i.test(source) || (await isSingle(source))
  for await (const { name, open } of arraysOf(source)) {
    const suffix = (single ? input : name)?.replace(/[^\w.-]/g, '_')
    for await (const { layout, index, data } of samplesOf(source, name, await open())) {
      if (signal?.aborted) throw new AppError('E_CANCELLED')
      if (index === 0) {
        if (arrays.length > 0 && layout.samples !== samples)
          throw refuse(source, name, `it has ${layout.samples} samples, the arrays before ${samples}`)
        samples = layout.samples
        const all = Array.from({ length: samples }, (_, place) => String(place))
        places = new Map(choosePictures(all, source, { count, seed }).map((place, to) => [place, to]))
        arrays.push({ name, dtype: layout.header.type, shape: layout.shape })
      }
      const place = places.get(String(index))
      if (place === undefined) continue
      const item = name === '' ? path.basename(source) : name
      onProgress?.({ stage: 'prepare', done: place, total: places.size, item })
      digest.update(data)
      const id = String(place).padStart(5, '0')
      writeFileSync(
        path.join(folder, `${id}${suffix === undefined ? '' : `_${suffix}`}.npy`),
        npyOf(layout, data),
      )
      files++
    }
  }
  if (files === 0) throw refuse(source, '', 'it holds no arrays')
  return { files, samples: places.size, arrays, sha256: digest.digest('hex') }
}

async function isSingle(source: string): Promise<boolean> {
  const zip: ZipFile = await yauzl.openPromise(source, { autoClose: false })
  const { entryCount } = zip
  zip.close()
  return entryCount === 1
}
