// The comparison as stages: (recover) -> quantize -> compile FP16, compile INT8 -> benchmark -> evaluate. Loaded by the
// worker process. Every stage is keyed by content hashes, so that only what is missing is done again.
import path from 'node:path'
import type { BenchmarkResult, ScenarioInput } from '../../contract/benchmark.ts'
import type { Quality } from '../../contract/comparison.ts'
import type { CostValidation, Precision } from '../../contract/cost.ts'
import type { DatasetRequest, QuantizationResult } from '../../contract/quantization.ts'
import type { Recipe } from '../../contract/recipe.ts'
import { benchmark, type BenchmarkModel } from '../benchmark/index.ts'
import { modelInputs, openDataset, type CalibrationDataset } from '../calibration/index.ts'
import { hashFile } from '../common/hashing.ts'
import { installationReport, openDevice, parseDeviceSelector } from '../device/index.ts'
import { openModel, summarizeModel } from '../onnx/index.ts'
import { assembleComparison, layerCounts } from '../pipeline/assemble.ts'
import { compileForDevice } from '../pipeline/index.ts'
import { measureQuality, spread, toRunInputs } from '../pipeline/quality.ts'
import { buildSection } from '../pipeline/sections.ts'
import { openSourceModel } from '../pipeline/source-model.ts'
import { quantizeModel } from '../quantization/index.ts'
import { sideFigures, type FigureSource } from './run-figures.ts'
import type { CreatePlan, Plan, Stage, StageFile, StageInput } from './plan.ts'

/** What the engine process hands over: everything resolved to paths, everything that decides the result as a hash. */
export interface CompareDefinition {
  jobId: string
  modelPath: string
  modelSha256: string
  datasetPath: string
  datasetSha256: string
  calibrationSamples?: number | undefined
  inputShapes?: Record<string, number[]> | undefined
  recipe: Recipe
  recipeSha256: string
  device: string
  scenario: ScenarioInput
  tool: { name: string; version: string }
}

/** Samples that the quality figures use, spread evenly over the data; the default of `aqw compare`. */
const EVALUATION_SAMPLES = 32

interface Side {
  label: string
  role: 'baseline' | 'candidate'
  precision: Precision
  path: string
  costValidation?: CostValidation
}

interface CompileData {
  costValidation: CostValidation | null
}

type QuantizeData = Pick<QuantizationResult, 'layers' | 'dataset' | 'sizes' | 'seconds'>

class CompareWork {
  readonly #definition: CompareDefinition
  readonly isCpu: boolean
  /** Results on a clock that is not virtual are measurements: they belong to one job and are never taken for another. */
  readonly #measured: boolean

  constructor(definition: CompareDefinition) {
    this.#definition = definition
    const { kind } = parseDeviceSelector(definition.device)
    this.isCpu = kind === 'cpu'
    this.#measured = kind !== 'simulated'
  }

  get #isRecovered(): boolean {
    return this.#definition.modelPath.toLowerCase().endsWith('.om')
  }

  stages(): Stage[] {
    const source = this.#isRecovered ? ['recover'] : []
    const compiled = this.isCpu ? [] : ['compile-fp16', 'compile-int8']
    return [
      ...(this.#isRecovered ? [this.#recover()] : []),
      this.#quantize(source),
      ...(this.isCpu ? [] : [this.#compile('fp16', source), this.#compile('int8', ['quantize'])]),
      this.#benchmark([...source, 'quantize', ...compiled]),
      this.#evaluate([...source, 'quantize', ...compiled]),
    ]
  }

  #recover(): Stage {
    const { modelPath, modelSha256 } = this.#definition
    return {
      key: 'recover',
      version: 1,
      weight: 1,
      after: [],
      inputs: { model: modelSha256 },
      run: async ({ folder }) => {
        const { path: file, note } = openSourceModel(modelPath, folder)
        return { data: { note }, files: modelFiles('source', file) }
      },
    }
  }

  #quantize(after: string[]): Stage {
    const { modelSha256, datasetSha256, recipeSha256, calibrationSamples, inputShapes, recipe } =
      this.#definition
    return {
      key: 'quantize',
      version: 1,
      weight: 10,
      after,
      inputs: {
        model: modelSha256,
        dataset: datasetSha256,
        recipe: recipeSha256,
        calibrationSamples,
        inputShapes,
      },
      run: async (context) => {
        const modelPath = this.#source(context.results)
        const outputPrefix = path.join(context.folder, path.basename(modelPath, '.onnx'))
        const request = { modelPath, recipe, dataset: this.#datasetRequest(), outputPrefix }
        const result = await quantizeModel(request, context)
        const { layers, dataset, sizes, seconds } = result
        const counts = layerCounts(result)
        context.log('info', `quantized ${counts.quantized} of ${counts.candidates} layers`)
        return {
          data: { layers, dataset, sizes, seconds } satisfies QuantizeData,
          files: [
            ...modelFiles('deploy', result.deployPath),
            ...modelFiles('fake-quant', result.fakeQuantPath),
            plainFile('quant-json', result.quantJsonPath),
            plainFile('record', result.recordPath),
          ],
        }
      },
    }
  }

  #compile(precision: 'fp16' | 'int8', after: string[]): Stage {
    const { modelSha256, device, inputShapes } = this.#definition
    const compiler = this.#measured ? installationReport().versions : this.#definition.tool.version
    return {
      key: `compile-${precision}`,
      version: 1,
      weight: 4,
      after,
      inputs: { model: modelSha256, device, precision, inputShapes, compiler },
      run: async (context) => {
        const source = this.#source(context.results)
        const modelPath = precision === 'fp16' ? source : fileOf(context.results, 'quantize', 'deploy')
        const name = `${path.basename(source, '.onnx')}_${precision}.om`
        const outputPath = path.join(context.folder, name)
        const shapes = this.#openShapes(source)
        const result = await compileForDevice(
          { modelPath, device, precision, outputPath, inputShapes: shapes },
          context,
        )
        const data: CompileData = { costValidation: result.estimate?.validation ?? null }
        return { data, files: [plainFile('om', result.path)] }
      },
    }
  }

  #benchmark(after: string[]): Stage {
    const { device, scenario } = this.#definition
    return {
      key: 'benchmark',
      version: 1,
      weight: 8,
      after,
      inputs: { device, scenario, ...this.#measurement() },
      run: async (context) => {
        await using session = await openDevice(device)
        const { feeds, shapes } = toRunInputs(this.#dataset(context.results).load(0))
        const models: BenchmarkModel[] = []
        for (const side of this.#sides(context.results)) {
          const model = await session.loadModel(side.path)
          const validation = side.costValidation ? { costValidation: side.costValidation } : {}
          models.push({ label: side.label, model, feeds, shapes, ...validation })
        }
        const results = await benchmark(session, models, scenario, context)
        // Where the files lie while the job runs says nothing afterwards.
        const data = results.map((result) => ({
          ...result,
          model: { ...result.model, path: path.basename(result.model.path) },
        }))
        return { data, files: [] }
      },
    }
  }

  #evaluate(after: string[]): Stage {
    const { device, calibrationSamples } = this.#definition
    return {
      key: 'evaluate',
      version: 1,
      weight: 6,
      after,
      inputs: { device, calibrationSamples, samples: EVALUATION_SAMPLES, ...this.#measurement() },
      run: async (context) => {
        await using session = await openDevice(device)
        await using host = await openDevice('cpu')
        const dataset = this.#dataset(context.results)
        const indices = spread(dataset.count, EVALUATION_SAMPLES)
        const source = await host.loadModel(this.#source(context.results))
        const runners = []
        for (const side of this.#sides(context.results)) {
          if (side.precision === 'fp32') continue
          runners.push({ session, handle: (await session.loadModel(side.path)).handle })
        }
        const reference = { session: host, handle: source.handle }
        const qualities = await measureQuality(reference, runners, dataset, indices, context)
        const sampleNames = indices.map((index) => dataset.sampleName(index))
        return { data: { qualities, sampleNames }, files: [] }
      },
    }
  }

  finish(results: ReadonlyMap<string, StageInput>) {
    const definition = this.#definition
    const quantization = dataOf<QuantizeData>(results, 'quantize')
    const measured = dataOf<BenchmarkResult[]>(results, 'benchmark')
    const { qualities, sampleNames } = dataOf<{ qualities: Quality[]; sampleNames: string[] }>(
      results,
      'evaluate',
    )
    const sides = this.#sides(results)
    const counts = layerCounts(quantization)
    const waiting = [...qualities]
    const models = sides.map((side, index) => {
      const result = measured[index]
      if (!result) throw new Error(`no benchmark result for ${side.label}`)
      return {
        label: side.label,
        sha256: hashFile(side.path),
        result,
        quality: side.precision === 'fp32' ? null : (waiting.shift() ?? null),
        quantizedLayers: side.precision === 'int8' ? counts : null,
      }
    })
    const [baseline, ...candidates] = models
    if (!baseline) throw new Error('nothing was measured')
    const source = this.#source(results)
    const comparison = assembleComparison({
      modelPath: definition.modelPath,
      source: {
        sha256: hashFile(source),
        bytes: summarizeModel(openModel(source)).bytes ?? 0,
        note: results.get('recover') ? dataOf<{ note: string | null }>(results, 'recover').note : null,
      },
      calibrationFolder: definition.datasetPath,
      evaluation: { folder: definition.datasetPath, sampleNames, sameAsCalibration: true },
      recipe: definition.recipe,
      tool: definition.tool,
      shapes: toRunInputs(this.#dataset(results).load(0)).shapes,
      quantization,
      section: buildSection(baseline, candidates),
      baseline: baseline.result,
      costValidation: sides[0]?.costValidation,
      hostCpu: null,
    })
    const figures = {
      sides: sides.map((side, index) => sideFigures(this.#figureSource(side, measured[index]))),
      layers: quantization.layers.map(({ name, opType, quantized, precision, reason }) => ({
        name,
        opType,
        quantized,
        precision,
        ...(reason ? { reason } : {}),
      })),
    }
    return {
      outcome: { comparison, figures, layers: quantization.layers },
      artifacts: this.#artifacts(results),
    }
  }

  #figureSource(side: Side, result: BenchmarkResult | undefined): FigureSource {
    return {
      label: side.label,
      role: side.role,
      path: side.path,
      samplesMs: result?.samples.executeMs ?? [],
      bytes: result?.model.bytes ?? 0,
    }
  }

  #artifacts(results: ReadonlyMap<string, StageInput>): { stage: string; key: string; kind: string }[] {
    return [...results].flatMap(([stage, result]) =>
      Object.keys(result.files).map((key) => ({ stage, key, kind: stage === 'quantize' ? key : stage })),
    )
  }

  /** Part of the key that keeps a measurement from standing in for another one. */
  #measurement(): Record<string, string> {
    return this.#measured ? { job: this.#definition.jobId } : { runtime: this.#definition.tool.version }
  }

  #source(results: ReadonlyMap<string, StageInput>): string {
    return this.#isRecovered ? fileOf(results, 'recover', 'source') : this.#definition.modelPath
  }

  #sides(results: ReadonlyMap<string, StageInput>): Side[] {
    if (this.isCpu) {
      return [
        { label: 'FP32', role: 'baseline', precision: 'fp32', path: this.#source(results) },
        {
          label: 'INT8',
          role: 'candidate',
          precision: 'int8',
          path: fileOf(results, 'quantize', 'fake-quant'),
        },
      ]
    }
    const side = (label: string, role: Side['role'], precision: 'fp16' | 'int8'): Side => {
      const { costValidation } = dataOf<CompileData>(results, `compile-${precision}`)
      const file = fileOf(results, `compile-${precision}`, 'om')
      return { label, role, precision, path: file, ...(costValidation ? { costValidation } : {}) }
    }
    return [side('FP16', 'baseline', 'fp16'), side('INT8', 'candidate', 'int8')]
  }

  #datasetRequest(): DatasetRequest {
    const { datasetPath, calibrationSamples, inputShapes } = this.#definition
    return {
      folder: datasetPath,
      ...(calibrationSamples === undefined ? {} : { count: calibrationSamples }),
      ...(inputShapes === undefined ? {} : { inputShapes }),
    }
  }

  #dataset(results: ReadonlyMap<string, StageInput>): CalibrationDataset {
    return openDataset(this.#datasetRequest(), modelInputs(openModel(this.#source(results))))
  }

  /** Shapes of the inputs that the model leaves open; undefined when it leaves none. */
  #openShapes(source: string): Record<string, number[]> | undefined {
    const inputs = modelInputs(openModel(source))
    const open = inputs.filter((input) => input.dims.includes(null))
    if (open.length === 0) return undefined
    const sample = openDataset(this.#datasetRequest(), inputs).load(0)
    return Object.fromEntries(open.map((input) => [input.name, sample[input.name]?.dims ?? []]))
  }
}

function plainFile(key: string, file: string): StageFile {
  return { key, name: path.basename(file), path: file }
}

/** A model with its external data; the parts keep their names, so that the model finds them again. */
function modelFiles(key: string, file: string): StageFile[] {
  const folder = path.dirname(file)
  return summarizeModel(openModel(file)).files.map((entry, index) => ({
    key: index === 0 ? key : `${key}+${index}`,
    name: path.relative(folder, entry.path).split(path.sep).join('/'),
    path: entry.path,
  }))
}

function fileOf(results: ReadonlyMap<string, StageInput>, stage: string, key: string): string {
  const file = results.get(stage)?.files[key]
  if (file === undefined) throw new Error(`stage ${stage} left no ${key}`)
  return file
}

function dataOf<T>(results: ReadonlyMap<string, StageInput>, stage: string): T {
  const result = results.get(stage)
  if (!result) throw new Error(`stage ${stage} left nothing`)
  return result.data as T
}

export const createPlan: CreatePlan = (definition): Plan => {
  const work = new CompareWork(definition as CompareDefinition)
  return { stages: work.stages(), finish: (results) => work.finish(results) }
}
