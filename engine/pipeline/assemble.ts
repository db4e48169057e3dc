// A comparison from what the steps left, however they were run: in one go, or as the cached stages of a job.
import path from 'node:path'
import { HARNESS_VERSION, type BenchmarkResult } from '../../contract/benchmark.ts'
import {
  COMPARISON_SCHEMA,
  comparisonSchema,
  type Comparison,
  type ComparisonSection,
} from '../../contract/comparison.ts'
import type { CostValidation } from '../../contract/cost.ts'
import type { QualityReport } from '../../contract/evaluation.ts'
import type { QuantizationResult } from '../../contract/quantization.ts'
import type { Recipe } from '../../contract/recipe.ts'
import { hashData } from '../common/hashing.ts'

export interface AssemblyInput {
  modelPath: string
  /** Of the ONNX model, external data included in `bytes`. */
  source: { sha256: string; bytes: number; note: string | null }
  calibrationFolder: string
  evaluation: { folder: string; sampleNames: string[]; sameAsCalibration: boolean }
  recipe: Recipe
  tool: { name: string; version: string }
  /** Concrete shapes of one run, by input. */
  shapes: Record<string, number[]>
  quantization: Pick<QuantizationResult, 'layers' | 'dataset'>
  section: ComparisonSection
  baseline: BenchmarkResult
  costValidation: CostValidation | undefined
  hostCpu: ComparisonSection | null
  /** Generated results, when there was a quality task. */
  generated?: QualityReport | null
}

/** Layers quantized, and layers of a kind that could be. */
export function layerCounts(quantization: Pick<QuantizationResult, 'layers'>): {
  quantized: number
  candidates: number
} {
  const quantized = quantization.layers.filter((layer) => layer.quantized).length
  return { quantized, candidates: quantization.layers.length }
}

function notesOf({ quantization, source, section }: AssemblyInput): string[] {
  const counts = layerCounts(quantization)
  return [
    `INT8: ${counts.quantized} of ${counts.candidates} quantizable layers are quantized.`,
    ...(source.note === null ? [] : [source.note]),
    ...(section.label === 'simulated'
      ? ['Simulated latencies are deterministic: no interval, because there is no noise to estimate.']
      : []),
  ]
}

export function assembleComparison(input: AssemblyInput): Comparison {
  const { section, baseline, costValidation, quantization, source } = input
  const { scenario } = baseline
  const identity = {
    harness: HARNESS_VERSION,
    tool: input.tool,
    model: source.sha256,
    recipe: input.recipe,
    calibration: quantization.dataset.sha256,
    evaluation: input.evaluation.sampleNames,
    device: section.device,
    scenario,
    inputs: baseline.inputsHash,
  }
  return comparisonSchema.parse({
    schema: COMPARISON_SCHEMA,
    created_at: new Date().toISOString(),
    tool: { ...input.tool, harness_version: HARNESS_VERSION },
    config_hash: hashData(identity),
    ...section,
    model: {
      path: input.modelPath,
      sha256: source.sha256,
      size_bytes: source.bytes,
      inputs: Object.entries(input.shapes).map(([name, dims]) => ({ name, dims })),
    },
    calibration: {
      folder: path.resolve(input.calibrationFolder),
      samples: quantization.dataset.samples,
      sha256: quantization.dataset.sha256,
    },
    evaluation: {
      folder: path.resolve(input.evaluation.folder),
      sample_names: input.evaluation.sampleNames,
      same_as_calibration: input.evaluation.sameAsCalibration,
    },
    recipe: input.recipe,
    cost_model: costValidation
      ? {
          status: costValidation.status,
          factor: costValidation.band.factor,
          share: costValidation.band.share,
          text: costValidation.text,
        }
      : null,
    host_cpu: input.hostCpu,
    generated: input.generated ?? null,
    gates: [],
    notes: notesOf(input),
  } satisfies Comparison)
}
