// The comparison as stages: (recover) -> quantize -> compile FP16, compile INT8 -> benchmark -> evaluate. Loaded by the
// worker process. Every stage is keyed by content hashes, so that only what is missing is done again.
import path from 'node:path'
import type { BenchmarkResult } from '../../contract/benchmark.ts'
import type { ComparisonSection, Quality } from '../../contract/comparison.ts'
import { comparisonFigureNames, runGates } from '../../contract/comparison-figures.ts'
import { parseGate } from '../../contract/gates.ts'
import type { CostValidation, Precision } from '../../contract/cost.ts'
import type { QuantizationResult } from '../../contract/quantization.ts'
import { benchmark, type BenchmarkModel } from '../benchmark/index.ts'
import { modelInputs, openDataset, type CalibrationDataset } from '../calibration/index.ts'
import { hashFile } from '../common/hashing.ts'
import { installationReport, openDevice, parseDeviceSelector } from '../device/index.ts'
import { openModel, summarizeModel } from '../onnx/index.ts'
import { assembleComparison, candidateLabel, labelInFileName, layerCounts } from '../pipeline/assemble.ts'
import { compileForDevice } from '../pipeline/index.ts'
import { overlappingSamples } from '../pipeline/overlap.ts'
import { measureQuality, spread, toRunInputs } from '../pipeline/quality.ts'
import { buildSection } from '../pipeline/sections.ts'
import { deployPrecision, quantizeModel } from '../quantization/index.ts'
import { calibrationRequest, type CompareDefinition } from './definitions.ts'
import { generatedReport, generateStage } from './generate-stage.ts'
import { sideFigures, type FigureSource } from './run-figures.ts'
import type { CreatePlan, Plan, Stage, StageInput } from './plan.ts'
import { dataOf, fileOf, isCompiled, modelFiles, plainFile, recoverStage, sourceOf } from './stage-files.ts'

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

interface EvaluateData {
  qualities: Quality[]
  sampleNames: string[]
}

/** One device's measurements, put together. */
interface Measured {
  section: ComparisonSection
  baseline: BenchmarkResult
  sides: Side[]
  results: BenchmarkResult[]
}

type QuantizeData = Pick<QuantizationResult, 'layers' | 'layersInBranches' | 'dataset' | 'sizes' | 'seconds'>

function isCpu(device: string): boolean {
  return parseDeviceSelector(device).kind === 'cpu'
}

/** Results on a clock that is not virtual are measurements: they belong to one job and are never taken for another. */
function isMeasured(device: string): boolean {
  return parseDeviceSelector(device).kind !== 'simulated'
}

class CompareWork {
  readonly #definition: CompareDefinition
  readonly isCpu: boolean

  constructor(definition: CompareDefinition) {
    this.#definition = definition
    this.isCpu = isCpu(definition.device)
  }

  /** Whether anything is measured on the host CPU: that takes a model of its own. */
  get #onHost(): boolean {
    return this.isCpu || this.#definition.hostCpu === true
  }

  get #isRecovered(): boolean {
    return isCompiled(this.#definition.modelPath)
  }

  stages(): Stage[] {
    const { modelPath, modelSha256, device, hostCpu, task, partialFolder } = this.#definition
    const source = this.#isRecovered ? ['recover'] : []
    const compiled = this.isCpu ? [] : ['compile-fp16', 'compile-int8']
    const made = [...source, 'quantize']
    const onHost = hostCpu === true && !this.isCpu
    return [
      ...(this.#isRecovered ? [recoverStage(modelPath, modelSha256)] : []),
      this.#quantize(source),
      ...(this.isCpu ? [] : [this.#compile('fp16', source), this.#compile('int8', ['quantize'])]),
      this.#benchmark('benchmark', device, [...made, ...compiled]),
      this.#evaluate('evaluate', device, [...made, ...compiled]),
      ...(task && partialFolder !== undefined
        ? [
            generateStage({
              task,
              device,
              partialFolder,
              after: [...made, ...compiled],
              source: (results) => this.#source(results),
              sides: (results) => this.#sides(results, device),
            }),
          ]
        : []),
      ...(onHost
        ? [this.#benchmark('benchmark-cpu', 'cpu', made), this.#evaluate('evaluate-cpu', 'cpu', made)]
        : []),
    ]
  }

  #quantize(after: string[]): Stage {
    const { modelSha256, datasetSha256, recipeSha256, calibrationSamples, selection, inputShapes, recipe } =
      this.#definition
    return {
      key: 'quantize',
      version: 3,
      weight: 10,
      after,
      inputs: {
        model: modelSha256,
        dataset: datasetSha256,
        recipe: recipeSha256,
        calibrationSamples,
        selection,
        inputShapes,
        ...(this.#onHost && { hostCpuModel: true }),
      },
      run: async (context) => {
        const modelPath = this.#source(context.results)
        const outputPrefix = path.join(context.folder, path.basename(modelPath, '.onnx'))
        const dataset = calibrationRequest(this.#definition)
        const request = { modelPath, recipe, dataset, outputPrefix, hostCpuModel: this.#onHost }
        const result = await quantizeModel(request, context)
        const { layers, layersInBranches, sizes, seconds, hostCpuPath } = result
        const counts = layerCounts(result)
        context.log('info', `quantized ${counts.quantized} of ${counts.candidates} layers`)
        return {
          data: {
            layers,
            ...(layersInBranches !== undefined && { layersInBranches }),
            dataset: result.dataset,
            sizes,
            seconds,
          } satisfies QuantizeData,
          files: [
            ...modelFiles('deploy', result.deployPath),
            ...modelFiles('fake-quant', result.fakeQuantPath),
            ...(hostCpuPath === undefined ? [] : modelFiles('host-cpu', hostCpuPath)),
            plainFile('quant-json', result.quantJsonPath),
            plainFile('record', result.recordPath),
          ],
        }
      },
    }
  }

  #compile(precision: 'fp16' | 'int8', after: string[]): Stage {
    const { modelSha256, device, inputShapes } = this.#definition
    const compiler = isMeasured(device) ? installationReport().versions : this.#definition.tool.version
    return {
      key: `compile-${precision}`,
      version: 1,
      weight: 4,
      after,
      inputs: { model: modelSha256, device, precision, inputShapes, compiler },
      run: async (context) => {
        const source = this.#source(context.results)
        const modelPath = precision === 'fp16' ? source : fileOf(context.results, 'quantize', 'deploy')
        const made = precision === 'int8' ? dataOf<QuantizeData>(context.results, 'quantize') : undefined
        const label = made ? candidateLabel(made) : 'FP16'
        const name = `${path.basename(source, '.onnx')}_${labelInFileName(label)}.om`
        const outputPath = path.join(context.folder, name)
        const shapes = this.#openShapes(source)
        const computed = made ? deployPrecision(made.layers) : 'fp16'
        const result = await compileForDevice(
          { modelPath, device, precision: computed, outputPath, inputShapes: shapes },
          context,
        )
        const data: CompileData = { costValidation: result.estimate?.validation ?? null }
        return { data, files: [plainFile('om', result.path)] }
      },
    }
  }

  #benchmark(key: string, device: string, after: string[]): Stage {
    const { scenario } = this.#definition
    return {
      key,
      // 2: sides are called by what their layers are.
      version: 2,
      weight: 8,
      after,
      inputs: { device, scenario, ...this.#measurement(device) },
      run: async (context) => {
        await using session = await openDevice(device)
        const { feeds, shapes } = toRunInputs(this.#dataset(context.results).load(0))
        const models: BenchmarkModel[] = []
        for (const side of this.#sides(context.results, device)) {
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

  #evaluate(key: string, device: string, after: string[]): Stage {
    const { calibrationSamples, selection, evaluation } = this.#definition
    const samples = this.#definition.evaluationSamples ?? EVALUATION_SAMPLES
    const held = evaluation && { evaluation: evaluation.sha256 }
    return {
      key,
      version: 1,
      weight: 6,
      after,
      inputs: { device, calibrationSamples, selection, samples, ...held, ...this.#measurement(device) },
      run: async (context) => {
        await using session = await openDevice(device)
        await using host = await openDevice('cpu')
        const dataset = this.#evaluationData(context.results)
        const indices = spread(dataset.count, samples)
        const source = await host.loadModel(this.#source(context.results))
        const runners = []
        for (const side of this.#sides(context.results, device)) {
          if (side.precision === 'fp32') continue
          runners.push({ session, handle: (await session.loadModel(side.path)).handle })
        }
        const reference = { session: host, handle: source.handle }
        const qualities = await measureQuality(reference, runners, dataset, indices, context)
        const sampleNames = indices.map((index) => dataset.sampleName(index))
        return { data: { qualities, sampleNames } satisfies EvaluateData, files: [] }
      },
    }
  }

  finish(results: ReadonlyMap<string, StageInput>) {
    const definition = this.#definition
    const quantization = dataOf<QuantizeData>(results, 'quantize')
    const { sampleNames } = dataOf<EvaluateData>(results, 'evaluate')
    const measured = this.#measuredOn(results, definition.device, 'benchmark', 'evaluate')
    const onHost = results.has('benchmark-cpu')
      ? this.#measuredOn(results, 'cpu', 'benchmark-cpu', 'evaluate-cpu')
      : null
    const { sides } = measured
    const source = this.#source(results)
    const comparison = assembleComparison({
      modelPath: definition.modelPath,
      source: {
        sha256: hashFile(source),
        bytes: summarizeModel(openModel(source)).bytes ?? 0,
        note: results.get('recover') ? dataOf<{ note: string | null }>(results, 'recover').note : null,
      },
      calibrationFolder: definition.datasetPath,
      evaluation: {
        folder: definition.evaluation?.path ?? definition.datasetPath,
        sampleNames,
        sameAsCalibration: this.#sameData(results),
        overlappingSamples: overlappingSamples(this.#evaluationData(results), this.#dataset(results)),
      },
      recipe: definition.recipe,
      tool: definition.tool,
      shapes: toRunInputs(this.#dataset(results).load(0)).shapes,
      quantization,
      section: measured.section,
      baseline: measured.baseline,
      costValidation: sides[0]?.costValidation,
      hostCpu: onHost?.section ?? null,
      generated: generatedReport(results),
    })
    const gates = (definition.gates ?? []).map((text) => parseGate(text, comparisonFigureNames))
    const figures = {
      sides: sides.map((side, index) => sideFigures(this.#figureSource(side, measured.results[index]))),
      layers: quantization.layers.map(({ name, opType, quantized, precision, reason }) => ({
        name,
        opType,
        quantized,
        precision,
        ...(reason ? { reason } : {}),
      })),
    }
    return {
      outcome: {
        comparison: { ...comparison, gates: runGates(comparison, gates) },
        figures,
        layers: quantization.layers,
      },
      artifacts: this.#artifacts(results),
    }
  }

  /** A device's section of the comparison from its two stages. */
  #measuredOn(
    stages: ReadonlyMap<string, StageInput>,
    device: string,
    benchmarkStage: string,
    evaluateStage: string,
  ): Measured {
    const results = dataOf<BenchmarkResult[]>(stages, benchmarkStage)
    const waiting = [...dataOf<EvaluateData>(stages, evaluateStage).qualities]
    const counts = layerCounts(dataOf<QuantizeData>(stages, 'quantize'))
    const sides = this.#sides(stages, device)
    const [baseline, ...candidates] = sides.map((side, index) => {
      const result = results[index]
      if (!result) throw new Error(`no benchmark result for ${side.label}`)
      return {
        label: side.label,
        sha256: hashFile(side.path),
        result,
        quality: side.precision === 'fp32' ? null : (waiting.shift() ?? null),
        quantizedLayers: side.precision === 'int8' ? counts : null,
      }
    })
    if (!baseline) throw new Error('nothing was measured')
    return { section: buildSection(baseline, candidates), baseline: baseline.result, sides, results }
  }

  /** The quality figures come from the data that chose the scales. */
  #sameData(results: ReadonlyMap<string, StageInput>): boolean {
    const { evaluation, datasetSha256 } = this.#definition
    if (!evaluation || evaluation.sha256 === datasetSha256) return true
    return this.#evaluationData(results).digest() === dataOf<QuantizeData>(results, 'quantize').dataset.sha256
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
  #measurement(device: string): Record<string, string> {
    return isMeasured(device) ? { job: this.#definition.jobId } : { runtime: this.#definition.tool.version }
  }

  #source(results: ReadonlyMap<string, StageInput>): string {
    return sourceOf(this.#definition.modelPath, results)
  }

  #sides(results: ReadonlyMap<string, StageInput>, device: string): Side[] {
    if (isCpu(device)) {
      return [
        { label: 'FP32', role: 'baseline', precision: 'fp32', path: this.#source(results) },
        {
          label: candidateLabel(dataOf<QuantizeData>(results, 'quantize'), 'host'),
          role: 'candidate',
          precision: 'int8',
          path: fileOf(results, 'quantize', 'host-cpu'),
        },
      ]
    }
    const side = (label: string, role: Side['role'], precision: 'fp16' | 'int8'): Side => {
      const { costValidation } = dataOf<CompileData>(results, `compile-${precision}`)
      const file = fileOf(results, `compile-${precision}`, 'om')
      return { label, role, precision, path: file, ...(costValidation ? { costValidation } : {}) }
    }
    const candidate = candidateLabel(dataOf<QuantizeData>(results, 'quantize'))
    return [side('FP16', 'baseline', 'fp16'), side(candidate, 'candidate', 'int8')]
  }

  #dataset(results: ReadonlyMap<string, StageInput>): CalibrationDataset {
    return openDataset(calibrationRequest(this.#definition), modelInputs(openModel(this.#source(results))))
  }

  /** All of the held-out data, or the calibration data that was used. */
  #evaluationData(results: ReadonlyMap<string, StageInput>): CalibrationDataset {
    const { evaluation, inputShapes } = this.#definition
    if (!evaluation) return this.#dataset(results)
    const request = { folder: evaluation.path, ...(inputShapes === undefined ? {} : { inputShapes }) }
    return openDataset(request, modelInputs(openModel(this.#source(results))))
  }

  /** Shapes of the inputs that the model leaves open; undefined when it leaves none. */
  #openShapes(source: string): Record<string, number[]> | undefined {
    const inputs = modelInputs(openModel(source))
    const open = inputs.filter((input) => input.dims.includes(null))
    if (open.length === 0) return undefined
    const sample = openDataset(calibrationRequest(this.#definition), inputs).load(0)
    return Object.fromEntries(open.map((input) => [input.name, sample[input.name]?.dims ?? []]))
  }
}

export const createPlan: CreatePlan = (definition): Plan => {
  const work = new CompareWork(definition as CompareDefinition)
  return { stages: work.stages(), finish: (results) => work.finish(results) }
}
