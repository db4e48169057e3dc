// The diffusion time step of every calibration sample: from index.json, from an input that carries it, or from the names
// of its files.
import path from 'node:path'
import type { TimestepSource } from '../../contract/calibration.ts'
import type { ModelInput } from '../../contract/quantization.ts'
import type { SampleFiles } from './layout.ts'
import type { SampleIndex } from './sample-index.ts'

export interface SampleSteps {
  source: TimestepSource
  /** One per sample, in order. */
  values: number[]
}

/** Inputs that carry the step: `timestep` (diffusers), `timesteps` (LDM), `t` (DiT), also behind a module path. */
const STEP_INPUT = /^(?:.*[./])?(?:time_?steps?|t)$/i

/** `t951`, `step_0951`, `timestep-951` as a part of a file name. */
const STEP_IN_NAME = /(?:^|[_.-])(?:t|ts|step|time_?step)[_-]?(\d+(?:\.\d+)?)(?=$|[_.-])/i

export function isStepInput(name: string): boolean {
  return STEP_INPUT.test(name)
}

/** What index.json says of each sample, found by any of its files. */
function indexed<T>(
  samples: readonly SampleFiles[],
  folder: string,
  index: SampleIndex | null,
  pick: (entry: SampleIndex['samples'][number]) => T | undefined,
): (T | undefined)[] {
  const byFile = new Map(
    (index?.samples ?? []).flatMap((entry) =>
      Object.values(entry.inputs).map(({ file }) => [path.resolve(folder, file), entry] as const),
    ),
  )
  return samples.map(({ files }) => {
    const entry = [...files.values()].map((file) => byFile.get(file)).find((found) => found !== undefined)
    return entry && pick(entry)
  })
}

/** A name without the part that says which input it is: `00_t5_states.bin` of input `t5_states` -> `00`. */
function ownName(file: string, input: string): string {
  const stem = path.basename(file).replace(/\.\w+$/, '')
  const spelling = [input, input.replace(/[^\w.-]/g, '_')].find((name) => stem.endsWith(`_${name}`))
  return spelling === undefined ? stem : stem.slice(0, -spelling.length - 1)
}

function stepInName({ files }: SampleFiles): number | undefined {
  for (const [input, file] of files) {
    const match = STEP_IN_NAME.exec(ownName(file, input))
    if (match) return Number(match[1])
  }
  return undefined
}

function complete(source: TimestepSource, found: readonly (number | undefined)[]): SampleSteps | undefined {
  const values = found.filter((step) => step !== undefined)
  return values.length === found.length && values.length > 0 ? { source, values } : undefined
}

/**
 * The step of every sample, from the first source that has one for all of them; undefined when none has.
 * @param readStep The step in a sample's data of the given input; undefined when that input is no scalar.
 */
export function findSteps(
  samples: readonly SampleFiles[],
  folder: string,
  inputs: readonly ModelInput[],
  index: SampleIndex | null,
  readStep: (sample: number, input: string) => number | undefined,
): SampleSteps | undefined {
  const fromIndex = complete(
    'index',
    indexed(samples, folder, index, ({ timestep }) => timestep),
  )
  if (fromIndex) return fromIndex
  const input = inputs.find(({ name }) => isStepInput(name))
  if (input && samples.length > 0 && readStep(0, input.name) !== undefined) {
    const fromInput = complete(
      'input',
      samples.map((_, sample) => readStep(sample, input.name)),
    )
    if (fromInput) return fromInput
  }
  return complete('file names', samples.map(stepInName))
}

/** Which side of classifier-free guidance each sample is from, as far as index.json tells; one word for all otherwise. */
export function findBranches(
  samples: readonly SampleFiles[],
  folder: string,
  index: SampleIndex | null,
): string[] {
  const found = indexed(samples, folder, index, ({ branch, caption }) => {
    if (branch !== undefined) return branch
    return caption === undefined ? undefined : caption === '' ? 'without caption' : 'with caption'
  })
  return found.map((branch) => branch ?? '')
}
