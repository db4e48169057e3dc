// Results on the way: one file per finished sample, so that a killed evaluation goes on where it was and ends with the same
// report. Numbers are kept as the bits they are.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import { AppError } from '../../../contract/errors/index.ts'
import { sampleResultSchema, type SampleResult } from '../../../contract/evaluation.ts'
import { writeFileAtomic } from '../../common/files.ts'

const FOLDER = 'checkpoint'
const HEADER = 'evaluation.json'

const storedSchema = z.object({
  sides: z.array(
    z.object({
      sample: sampleResultSchema,
      /** float32 vectors by name, base64. */
      vectors: z.record(z.string(), z.string()),
      seconds: z.number(),
    }),
  ),
})

/** What one side made of one sample. */
export interface SideSample {
  sample: SampleResult
  /** Features, embeddings, losses: what the metrics of whole sets are computed of. */
  vectors: Record<string, Float32Array>
  seconds: number
}

function toText(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64')
}

function fromText(text: string): Float32Array {
  const bytes = Buffer.from(text, 'base64')
  const copy = new Float32Array(bytes.byteLength / 4)
  new Uint8Array(copy.buffer).set(bytes)
  return copy
}

/** What the checkpoints belong to; undefined where there are none, or none that can be read. */
function readHeader(file: string): Record<string, string> | undefined {
  try {
    return z.record(z.string(), z.string()).parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    return undefined
  }
}

/** The finished samples of an evaluation in its output folder. */
export class Checkpoints {
  readonly #folder: string
  readonly #outputFolder: string

  /**
   * @param identity Hash of everything that decides the results.
   * @param resume Keeps what is there if it has the same identity. What has another one is refused, or with `if_same`
   * thrown away.
   * @throws E_EVALUATION_MISMATCH, E_FILE_WRITE when the folder of checkpoints holds something else
   */
  constructor(outputFolder: string, identity: Record<string, string>, resume: boolean | 'if_same') {
    this.#folder = path.join(outputFolder, FOLDER)
    this.#outputFolder = outputFolder
    const header = path.join(this.#folder, HEADER)
    this.#checkOurs(header)
    const stored = resume === false ? undefined : readHeader(header)
    if (stored) {
      const what = Object.keys(identity).find((key) => stored[key] !== identity[key])
      if (what === undefined) return
      if (resume === true) throw new AppError('E_EVALUATION_MISMATCH', { path: outputFolder, what })
    }
    rmSync(this.#folder, { recursive: true, force: true })
    mkdirSync(this.#folder, { recursive: true })
    writeFileAtomic(header, `${JSON.stringify(identity, null, 1)}\n`)
  }

  get folder(): string {
    return this.#folder
  }

  /** The folder is about to be removed: not one that somebody else filled. */
  #checkOurs(header: string): void {
    if (!existsSync(this.#folder) || existsSync(header)) return
    if (readdirSync(this.#folder).length === 0) return
    const reason = 'it is not empty and was not written by an evaluation'
    throw new AppError('E_FILE_WRITE', { path: this.#folder, reason })
  }

  #file(index: number): string {
    return path.join(this.#folder, `${String(index).padStart(6, '0')}.json`)
  }

  /** The finished sample, or undefined: a damaged file, or one whose result is gone, counts as unfinished. */
  read(index: number): SideSample[] | undefined {
    const file = this.#file(index)
    if (!existsSync(file)) return undefined
    try {
      const { sides } = storedSchema.parse(JSON.parse(readFileSync(file, 'utf8')))
      const gone = sides.some(
        ({ sample }) => sample.file !== null && !existsSync(path.join(this.#outputFolder, sample.file)),
      )
      if (gone) return undefined
      return sides.map(({ sample, vectors, seconds }) => ({
        sample,
        seconds,
        vectors: Object.fromEntries(Object.entries(vectors).map(([name, text]) => [name, fromText(text)])),
      }))
    } catch {
      return undefined
    }
  }

  write(index: number, sides: readonly SideSample[]): void {
    const stored = sides.map(({ sample, vectors, seconds }) => ({
      sample,
      seconds,
      vectors: Object.fromEntries(Object.entries(vectors).map(([name, vector]) => [name, toText(vector)])),
    }))
    writeFileAtomic(this.#file(index), `${JSON.stringify({ sides: stored })}\n`)
  }

  /** Nothing is needed any more: the report holds it all. */
  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
