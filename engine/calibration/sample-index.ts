// index.json beside calibration data: what each sample is, written by whoever recorded it (docs/calibration.md).
import { readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'

const MAX_BYTES = 16 * 1024 * 1024

const sampleIndexSchema = z.object({
  samples: z.array(
    z.object({
      caption: z.string().optional(),
      /** Which side of classifier-free guidance the sample was recorded on, in any words. */
      branch: z.string().optional().catch(undefined),
      timestep: z.number().optional().catch(undefined),
      inputs: z.record(
        z.string(),
        z.object({
          /** Relative to the folder. */
          file: z.string(),
          shape: z.array(z.number().int().nonnegative()).optional(),
          dtype: z.string().optional(),
        }),
      ),
    }),
  ),
})
export type SampleIndex = z.infer<typeof sampleIndexSchema>

/** The folder's index.json; null when there is none in this form: somebody else's file says nothing to us. */
export function readSampleIndex(folder: string): SampleIndex | null {
  const file = path.join(folder, 'index.json')
  const facts = statSync(file, { throwIfNoEntry: false })
  if (!facts?.isFile() || facts.size > MAX_BYTES) return null
  try {
    return sampleIndexSchema.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    return null
  }
}
