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
import type { LayerPrecision, Recipe } from '../../contract/recipe.ts'
import { hashData } from '../common/hashing.ts'

export interface AssemblyInput {
  modelPath: string
  /** Of the ONNX model, external data included in `bytes`. */
  source: { sha256: string; bytes: number; note: string | null }
  calibrationFolder: string
  evaluation: {
    folder: string
    sampleNames: string[]
    sameAsCalibration: boolean
    overlappingSamples: number
  }
  recipe: Recipe
  tool: { name: string; version: string }
  /** Concrete shapes of one run, by input. */
  shapes: Record<string, number[]>
  quantization: Pick<QuantizationResult, 'layers' | 'layersInBranches' | 'dataset'>
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

/** Weights and inputs, both sides named. */
const PRECISION_NAMES: Record<LayerPrecision, string> = {
  int8: 'W8A8',
  w4a8: 'W4A8',
  w8a16: 'W8A16',
  w4a16: 'W4A16',
  fp16: 'FP16',
  float: 'unchanged',
}

/**
 * What the quantized side is called: `INT8` when every quantized layer is W8A8, else the precision of most of them, with
 * `mixed` behind it when there are several. On the host CPU it is a model of its own, and so is its quality.
 */
export function candidateLabel(
  { layers }: Pick<QuantizationResult, 'layers'>,
  device: 'device' | 'host' = 'device',
): string {
  const counts = [
    ...Map.groupBy(
      layers.filter((layer) => layer.quantized),
      (layer) => layer.precision,
    ),
  ].toSorted(([, left], [, right]) => right.length - left.length)
  const [most = 'int8'] = counts.map(([precision]) => precision)
  const name = most === 'int8' ? 'INT8' : PRECISION_NAMES[most]
  const label = counts.length > 1 ? `${name} mixed` : name
  return device === 'host' ? `${label} (host CPU)` : label
}

/** A side's label as a part of a file name. */
export function labelInFileName(label: string): string {
  return label.toLowerCase().replaceAll(' ', '_')
}

/** What the layers became, where it is not INT8 alone, and how many did not get what the recipe asked for. */
function precisionNotes({ layers }: Pick<QuantizationResult, 'layers'>): string[] {
  const quantized = layers.filter((layer) => layer.quantized)
  const counts = [...Map.groupBy(quantized, (layer) => layer.precision)]
  const fallen = layers.filter((layer) => layer.fallback).length
  const floating = layers.filter((layer) => layer.deployFloat).length
  return [
    ...(counts.some(([precision]) => precision !== 'int8')
      ? [
          `Precisions: ${counts.map(([name, group]) => `${group.length} ${PRECISION_NAMES[name]}`).join(', ')}.`,
        ]
      : []),
    ...(fallen > 0 ? [`${fallen} layers asked for INT4 weights cannot have them and are W8A8.`] : []),
    ...(floating > 0
      ? [
          `${floating} weight-only layers are rounded floating point on the device: no gain in size or speed there.`,
        ]
      : []),
  ]
}

function notesOf({ quantization, source, section }: AssemblyInput): string[] {
  const counts = layerCounts(quantization)
  return [
    `${candidateLabel(quantization)}: ${counts.quantized} of ${counts.candidates} quantizable layers are quantized.`,
    ...precisionNotes(quantization),
    ...(quantization.layersInBranches === undefined
      ? []
      : [
          `${quantization.layersInBranches} more layers lie inside branches of If, Loop or Scan: left as they are.`,
        ]),
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
      overlapping_samples: input.evaluation.overlappingSamples,
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
