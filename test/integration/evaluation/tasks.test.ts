// Quality tasks on real models: published figures of the samples, interruption, a planted defect, recorded trajectories and
// a folder in diffusers layout.
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { MetricKey, QualityReport } from '../../../contract/evaluation.ts'
import { openDataset, modelInputs } from '../../../engine/calibration/index.ts'
import { evaluateTask, readTask, type SideRequest } from '../../../engine/evaluation/tasks/index.ts'
import {
  DataType,
  makeNode,
  makeTensor,
  openModel,
  saveModel,
  tensorToFloat32,
} from '../../../engine/onnx/index.ts'
import { makeGraph, makeModel, valueInfo } from '../../fixtures/onnx-build.ts'

const samples = (name: string): string =>
  new URL(`../../../resources/samples/${name}`, import.meta.url).pathname
const folder = mkdtempSync(path.join(tmpdir(), 'aqw-evaluation-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const onCpu = (label: string, role: SideRequest['role'], modelPath: string): SideRequest => ({
  label,
  role,
  modelPath,
  device: 'cpu',
})

function metric(report: QualityReport, side: number, key: MetricKey) {
  const found = report.sides[side]!.metrics.find((one) => one.key === key)
  if (!found) throw new Error(`no ${key}`)
  return found
}

/** A report without what time changes. */
function timeless(report: QualityReport) {
  return { ...report, created_at: '', sides: report.sides.map((side) => ({ ...side, seconds: 0 })) }
}

/** A copy of a model with one weight rounded to three bits. */
function withDefect(model: string, weight: string, file: string): string {
  const source = openModel(model)
  const tensor = source.graph.initializers.get(weight)
  if (!tensor) throw new Error(weight)
  const values = tensorToFloat32(tensor)
  const step = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) / 3
  const rounded = values.map((value) => Math.round(value / step) * step)
  source.graph.initializers.set(weight, makeTensor(weight, DataType.FLOAT, tensor.dims, rounded))
  const target = path.join(folder, file)
  saveModel(source, target)
  return target
}

describe('the sample language model', () => {
  const task = readTask(samples('tiny-lm'))
  const reference = onCpu('FP32', 'reference', samples('tiny-lm/lm.onnx'))

  it('has the perplexity measured with PyTorch, to five digits', async () => {
    const request = {
      task,
      sides: [reference],
      seed: 0,
      outputFolder: path.join(folder, 'lm'),
      resume: false,
    }
    const report = await evaluateTask(request)
    const published = JSON.parse(readFileSync(samples('tiny-lm/eval.json'), 'utf8')) as {
      fp32_perplexity: number
      fp32_loss_nats: number
    }
    expect(metric(report, 0, 'perplexity').value).toBeCloseTo(published.fp32_perplexity, 5)
    expect(metric(report, 0, 'loss').value).toBeCloseTo(published.fp32_loss_nats, 5)
    expect(metric(report, 0, 'loss').samples).toBe(64 * 128)
  })

  it('interrupted and resumed, it gives the same report; another seed or model is refused', async () => {
    const broken = withDefect(
      samples('tiny-lm/lm.onnx'),
      'model.layers.2.mlp.down_proj.weight',
      'lm-defect.onnx',
    )
    const sides = [reference, onCpu('3 bits', 'candidate', broken)]
    const request = { task, sides, seed: 0, count: 5, resume: true }
    const whole = await evaluateTask({ ...request, outputFolder: path.join(folder, 'whole') })

    const outputFolder = path.join(folder, 'parts')
    const controller = new AbortController()
    const stopping = evaluateTask(
      { ...request, outputFolder },
      {
        signal: controller.signal,
        onProgress: ({ done }) => {
          if (done === 3) controller.abort()
        },
      },
    )
    await expect(stopping).rejects.toMatchObject({ code: 'E_CANCELLED' })
    expect(existsSync(path.join(outputFolder, 'quality.json'))).toBe(false)
    await expect(evaluateTask({ ...request, seed: 1, outputFolder })).rejects.toMatchObject({
      code: 'E_EVALUATION_MISMATCH',
      details: { what: 'seed' },
    })
    const seen: number[] = []
    const resumed = await evaluateTask(
      { ...request, outputFolder },
      { onProgress: ({ done }) => seen.push(done) },
    )
    expect(timeless(resumed)).toEqual(timeless(whole))
    expect(existsSync(path.join(outputFolder, 'checkpoint'))).toBe(false)

    expect(metric(whole, 1, 'kl_divergence').value).toBeGreaterThan(0.001)
    expect(metric(whole, 1, 'top1_agreement').value).toBeLessThan(1)
    expect(metric(whole, 1, 'perplexity').value).toBeGreaterThan(metric(whole, 0, 'perplexity').value!)
  })
})

describe('the sample diffusion model', () => {
  const model = samples('sprite-diffusion/unet.onnx')
  const opened = readTask(samples('sprite-diffusion'))
  if (opened.task.kind !== 'diffusion') throw new Error('not a diffusion task')
  const task = { ...opened, task: { ...opened.task, sampler: { ...opened.task.sampler, steps: 4 } } }

  it('a planted defect is seen by every metric that compares pictures; the model itself has none', async () => {
    const weight = 'unet.up_blocks.3.resnets.2.conv_shortcut.weight'
    const broken = withDefect(model, weight, 'unet-defect.onnx')
    const outputFolder = path.join(folder, 'sprites')
    const report = await evaluateTask({
      task,
      sides: [
        onCpu('FP32', 'reference', model),
        onCpu('same', 'baseline', model),
        onCpu('3 bits', 'candidate', broken),
      ],
      seed: 0,
      count: 4,
      outputFolder,
      resume: false,
      record: { folder: path.join(folder, 'trajectories'), samplesPerPicture: 2 },
    })
    // Equal pictures: no finite dB, so nothing to average; SSIM and cosine are exactly one.
    expect(report.sides[1]!.metrics.some(({ key }) => key === 'sqnr' || key === 'psnr')).toBe(false)
    expect(metric(report, 1, 'ssim').value).toBeCloseTo(1, 12)
    expect(metric(report, 1, 'fid_delta').value).toBe(0)
    expect(metric(report, 1, 'lpips').value).toBe(0)

    expect(metric(report, 2, 'sqnr').value).toBeLessThan(40)
    expect(metric(report, 2, 'psnr').value).toBeLessThan(45)
    expect(metric(report, 2, 'ssim').value).toBeLessThan(0.999)
    expect(metric(report, 2, 'lpips').value).toBeGreaterThan(1e-4)
    expect(metric(report, 2, 'latent_drift').value).toBeLessThan(60)
    expect(metric(report, 2, 'fid_delta').value).not.toBe(0)
    expect(metric(report, 2, 'fid').needed_samples).toBe(256)
    const [first] = report.sides[2]!.samples
    expect(first!.steps!.map(({ at }) => at)).toEqual([751, 501, 251, 1])
    expect(existsSync(path.join(outputFolder, first!.file!))).toBe(true)
    expect(report.notes.join()).toMatch(/fid: 4 samples, 256/)
  })

  it('recorded trajectories are calibration data with time steps', () => {
    const spec = { folder: path.join(folder, 'trajectories'), selection: 'timesteps', count: 4 } as const
    const dataset = openDataset(spec, modelInputs(openModel(model)))
    expect(dataset.count).toBe(4)
    const steps = Array.from({ length: 4 }, (_, index) => Number(dataset.load(index)['timestep']!.data[0]))
    expect(new Set(steps).size).toBe(4)
    for (const step of steps) expect([1, 251, 501, 751]).toContain(step)
  })
})

describe('the same task twice', () => {
  const opened = readTask(samples('sprite-diffusion'))
  if (opened.task.kind !== 'diffusion') throw new Error('not a diffusion task')
  const task = { ...opened, task: { ...opened.task, sampler: { ...opened.task.sampler, steps: 2 } } }
  const model = samples('sprite-diffusion/unet.onnx')
  const sides = [onCpu('参考', 'reference', model), onCpu('候选', 'candidate', model)]
  const run = (name: string, signal?: AbortSignal, onProgress?: (progress: { done: number }) => void) =>
    evaluateTask(
      {
        task,
        sides,
        seed: 5,
        count: 3,
        outputFolder: path.join(folder, name),
        resume: true,
        record: { folder: path.join(folder, `${name}-calibration`), samplesPerPicture: 2 },
      },
      { ...(signal && { signal }), ...(onProgress && { onProgress }) },
    )
  /** Every file below a folder with its bytes. */
  const filesOf = (name: string): Record<string, string> =>
    Object.fromEntries(
      readdirSync(path.join(folder, name), { recursive: true, encoding: 'utf8' })
        .filter((file) => /\.(png|bin)$|index\.json$/.test(file))
        .map((file) => [file, readFileSync(path.join(folder, name, file)).toString('base64')]),
    )

  it('gives the same pictures, metrics and recordings bit for bit, also when it was interrupted', async () => {
    const once = await run('once')
    const controller = new AbortController()
    const interrupted = run('again', controller.signal, ({ done }) => {
      if (done === 2) controller.abort()
    })
    await expect(interrupted).rejects.toMatchObject({ code: 'E_CANCELLED' })
    // A picture that was lost meanwhile is made again.
    rmSync(path.join(folder, 'again', '候选', '00001.png'))
    const again = await run('again')
    expect(timeless(again)).toEqual(timeless(once))
    expect(Object.keys(filesOf('once'))).toHaveLength(6)
    expect(filesOf('again')).toEqual(filesOf('once'))
    // Two steps of three pictures: sample, time step and text states of each, and the index.
    expect(Object.keys(filesOf('once-calibration'))).toHaveLength(19)
    expect(filesOf('again-calibration')).toEqual(filesOf('once-calibration'))
  })

  it('is cancelled between two steps of a picture', async () => {
    const controller = new AbortController()
    const long = { ...task, task: { ...task.task, sampler: { ...task.task.sampler, steps: 1000 } } }
    const request = { sides, seed: 0, count: 1, outputFolder: path.join(folder, 'long'), resume: false }
    const onProgress = (): void => void setTimeout(() => controller.abort(), 300)
    const running = evaluateTask({ task: long, ...request }, { signal: controller.signal, onProgress })
    await expect(running).rejects.toMatchObject({ code: 'E_CANCELLED' })
    expect(existsSync(path.join(folder, 'long', '参考', '00000.png'))).toBe(false)
  })
})

describe('a folder in diffusers layout', () => {
  it('is a task without a task file', async () => {
    const root = path.join(folder, 'tiny-pipeline')
    for (const part of ['unet', 'text_encoder', 'vae_decoder', 'scheduler', 'tokenizer'])
      mkdirSync(path.join(root, part), { recursive: true })
    cpSync(samples('sprite-diffusion/schedule.json'), path.join(root, 'scheduler/scheduler_config.json'))
    writeFileSync(path.join(root, 'vae_decoder/config.json'), JSON.stringify({ scaling_factor: 0.5 }))
    const vocab = Object.fromEntries(['[UNK]', 'a', 'of', 'the'].map((word, id) => [word, id]))
    writeFileSync(
      path.join(root, 'tokenizer/tokenizer.json'),
      JSON.stringify({
        added_tokens: [],
        normalizer: null,
        pre_tokenizer: { type: 'Whitespace' },
        post_processor: null,
        decoder: null,
        model: {
          type: 'WordPiece',
          unk_token: '[UNK]',
          continuing_subword_prefix: '##',
          max_input_chars_per_word: 100,
          vocab,
        },
      }),
    )
    // A denoiser that adds the mean of the text states to a share of the sample; a decoder that drops a channel.
    const { FLOAT, INT64 } = DataType
    saveModel(
      makeModel(
        makeGraph({
          inputs: [
            valueInfo('sample', FLOAT, ['b', 2, 16, 16]),
            valueInfo('timestep', INT64, ['b']),
            valueInfo('encoder_hidden_states', FLOAT, ['b', 77, 1]),
          ],
          outputs: [{ name: 'out_sample' }],
          initializers: new Map([
            ['share', makeTensor('share', FLOAT, [], Float32Array.of(0.5))],
            ['shape', makeTensor('shape', INT64, [4], BigInt64Array.of(-1n, 1n, 1n, 1n))],
          ]),
          nodes: [
            makeNode({
              opType: 'ReduceMean',
              name: 'm',
              inputs: ['encoder_hidden_states'],
              outputs: ['mean'],
              attributes: { axes: [1, 2], keepdims: 1 },
            }),
            makeNode({ opType: 'Reshape', name: 'r', inputs: ['mean', 'shape'], outputs: ['text'] }),
            makeNode({ opType: 'Mul', name: 's', inputs: ['sample', 'share'], outputs: ['half'] }),
            makeNode({ opType: 'Add', name: 'a', inputs: ['half', 'text'], outputs: ['out_sample'] }),
          ],
        }),
      ),
      path.join(root, 'unet/model.onnx'),
    )
    saveModel(
      makeModel(
        makeGraph({
          inputs: [valueInfo('input_ids', INT64, ['b', 77])],
          outputs: [{ name: 'last_hidden_state' }],
          initializers: new Map([['axes', makeTensor('axes', INT64, [1], BigInt64Array.of(2n))]]),
          nodes: [
            makeNode({
              opType: 'Cast',
              name: 'c',
              inputs: ['input_ids'],
              outputs: ['f'],
              attributes: { to: FLOAT },
            }),
            makeNode({
              opType: 'Unsqueeze',
              name: 'u',
              inputs: ['f', 'axes'],
              outputs: ['last_hidden_state'],
            }),
          ],
        }),
      ),
      path.join(root, 'text_encoder/model.onnx'),
    )
    saveModel(
      makeModel(
        makeGraph({
          inputs: [valueInfo('latent_sample', FLOAT, ['b', 2, 16, 16])],
          outputs: [{ name: 'sample' }],
          nodes: [
            makeNode({
              opType: 'ReduceMean',
              name: 'm',
              inputs: ['latent_sample'],
              outputs: ['grey'],
              attributes: { axes: [1], keepdims: 1 },
            }),
            makeNode({
              opType: 'Concat',
              name: 'k',
              inputs: ['grey', 'grey', 'grey'],
              outputs: ['sample'],
              attributes: { axis: 1 },
            }),
          ],
        }),
      ),
      path.join(root, 'vae_decoder/model.onnx'),
    )
    const task = readTask(root)
    if (task.task.kind !== 'diffusion') throw new Error('not a diffusion task')
    expect(task.task.denoiser.shape).toEqual([2, 16, 16])
    expect(task.task.vae_decoder?.scaling_factor).toBe(0.5)
    expect(task.task.text_encoders[0]?.tokenizer).toMatchObject({ pad: 49_407 })
    expect(task.task.zero_empty_prompt).toBe(false)
    // Stable Diffusion 2 pads with another token than the end; SDXL wants zeros for the empty prompt.
    const config = path.join(root, 'tokenizer/special_tokens_map.json')
    writeFileSync(config, JSON.stringify({ pad_token: { content: 'of' } }))
    const index = path.join(root, 'model_index.json')
    writeFileSync(index, JSON.stringify({ force_zeros_for_empty_prompt: true }))
    const other = readTask(root).task
    expect(other).toMatchObject({ zero_empty_prompt: true, text_encoders: [{ tokenizer: { pad: 2 } }] })
    const scheduler = path.join(root, 'scheduler/scheduler_config.json')
    const usual = readFileSync(scheduler)
    writeFileSync(scheduler, JSON.stringify({ _class_name: 'FlowMatchEulerDiscreteScheduler' }))
    expect(() => readTask(root)).toThrow(/_class_name: schedulers of flow matching/)
    writeFileSync(scheduler, usual)
    for (const file of [config, index]) rmSync(file)
    const unet = path.join(root, 'unet/model.onnx')
    const sides = [onCpu('FP32', 'reference', unet), onCpu('same', 'candidate', unet)]
    const report = await evaluateTask({
      task,
      sides,
      seed: 0,
      count: 3,
      outputFolder: path.join(folder, 'tiny'),
      resume: false,
    })
    expect(report.sides[0]!.samples.map(({ prompt }) => prompt)[0]).toMatch(/astronaut/)
    expect(metric(report, 1, 'cosine').value).toBeCloseTo(1, 12)
  })

  it('says what is missing', () => {
    const root = path.join(folder, 'half-pipeline')
    mkdirSync(root)
    expect(() => readTask(root)).toThrow(/unet\/model\.onnx/)
  })
})
