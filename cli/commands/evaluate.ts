// `aqw evaluate`: generate with a model and its compiled versions, and judge what comes out.
import { existsSync } from 'node:fs'
import path from 'node:path'
import { type Command, Option } from 'commander'
import type { SamplerSettings, Task } from '../../contract/evaluation-task.ts'
import { AppError } from '../../contract/errors/index.ts'
import { qualityLines } from '../quality-output.ts'
import { writeFileAtomic } from '../../engine/common/files.ts'
import type { OpenedTask, SideRequest } from '../../engine/evaluation/tasks/index.ts'
import { existingFolder, modelFile, parseInteger } from '../runtime/arguments.ts'
import type { Host } from '../runtime/host.ts'
import { action, withCommonOptions } from '../runtime/program.ts'

interface EvaluateOptions {
  reference?: string
  baseline?: string
  candidate?: string[]
  device?: string
  output?: string
  count?: string
  seed: string
  sampler?: SamplerSettings['method']
  steps?: string
  guidance?: string
  resume?: boolean
  recordCalibration?: string
  recordPerPicture: string
  init?: boolean
}

const EXAMPLES = `
TASK is a task file (docs/evaluation.md), a folder with a task.json, or a folder in diffusers layout (unet/model.onnx,
text_encoder, vae_decoder, scheduler, tokenizer). The task's own model on ONNX Runtime in FP32 is the reference. Other
models are given as [LABEL=]FILE[@DEVICE]: .onnx files run on the host CPU, .om files on --device.
Examples:
  aqw evaluate resources/samples/tiny-lm --candidate INT8=lm_int8_fake_quant_model.onnx -o quality
  aqw evaluate task.json --baseline unet_fp16.om --candidate unet_int8.om --device sim:Ascend310P3 --count 64 -o quality
  aqw evaluate stable-diffusion --init
  aqw evaluate task.json --count 16 --record-calibration calib --record-per-picture 4 -o quality`

/** Label, file and device of one model. */
function sideOf(text: string, role: SideRequest['role'], device: string | undefined): SideRequest {
  const [, label, rest = ''] = /^(?:([^=@/\\]+)=)?(.+)$/.exec(text) ?? []
  const at = rest.lastIndexOf('@')
  const [file, own] = at > 0 ? [rest.slice(0, at), rest.slice(at + 1)] : [rest, undefined]
  modelFile(file, ['.onnx', '.om'])
  const compiled = path.extname(file).toLowerCase() === '.om'
  const target = own ?? (compiled ? device : 'cpu')
  if (target === undefined) {
    throw new AppError('E_ARGUMENT', {
      name: '--device',
      reason: `${file} is compiled and runs on an NPU`,
      expected: 'npu:0, sim:Ascend310P3, ... (see "aqw devices")',
    })
  }
  return { label: label ?? path.basename(file, path.extname(file)), role, modelPath: file, device: target }
}

function sidesOf({ task }: OpenedTask, options: EvaluateOptions): SideRequest[] {
  const own = task.kind === 'diffusion' ? task.denoiser.model : task.model
  const sides = [
    sideOf(`FP32=${options.reference ?? own}`, 'reference', undefined),
    ...(options.baseline === undefined ? [] : [sideOf(options.baseline, 'baseline', options.device)]),
    ...(options.candidate ?? []).map((text) => sideOf(text, 'candidate', options.device)),
  ]
  const labels = sides.map((side) => side.label)
  const twice = labels.find((label, index) => labels.indexOf(label) !== index)
  if (twice === undefined) return sides
  throw new AppError('E_ARGUMENT', {
    name: '--candidate',
    reason: `"${twice}" names two models`,
    expected: 'LABEL=FILE with another label for each',
  })
}

function withSampler(opened: OpenedTask, options: EvaluateOptions): OpenedTask {
  const { sampler: method, steps, guidance } = options
  if (opened.task.kind !== 'diffusion') return opened
  const scale = guidance === undefined ? undefined : Number(guidance)
  if (scale !== undefined && !(scale >= 0 && scale <= 100)) {
    const reason = `"${guidance}" is not usable`
    throw new AppError('E_ARGUMENT', { name: '--guidance', reason, expected: 'a number from 0 to 100' })
  }
  const sampler: SamplerSettings = {
    ...opened.task.sampler,
    ...(method !== undefined && { method }),
    ...(steps !== undefined && { steps: parseInteger('--steps', steps, 1, 1000) }),
    ...(scale !== undefined && { guidance: scale }),
  }
  const task: Task = { ...opened.task, sampler }
  return { ...opened, task }
}

async function writeTask(host: Host, folder: string): Promise<void> {
  const { taskForFolder } = await import('../../engine/evaluation/tasks/index.ts')
  const file = path.join(existingFolder(folder), 'task.json')
  if (existsSync(file)) throw new AppError('E_FILE_WRITE', { path: file, reason: 'it exists already' })
  const task = taskForFolder(folder)
  writeFileAtomic(file, `${JSON.stringify(task, null, 2)}\n`)
  if (host.json) host.printJson(task)
  else host.print(file)
}

async function evaluate(host: Host, options: EvaluateOptions, [source = '']: string[]): Promise<void> {
  if (options.init === true) return writeTask(host, source)
  if (options.output === undefined) {
    const expected = 'a folder for the results'
    throw new AppError('E_ARGUMENT', { name: '--output', reason: 'it is missing', expected })
  }
  const seed = parseInteger('--seed', options.seed, 0, 2 ** 31 - 1)
  const samplesPerPicture = parseInteger('--record-per-picture', options.recordPerPicture, 1, 1000)
  const { evaluateTask, readTask } = await import('../../engine/evaluation/tasks/index.ts')
  const task = withSampler(readTask(source), options)
  const report = await evaluateTask(
    {
      task,
      sides: sidesOf(task, options),
      seed,
      count: options.count === undefined ? undefined : parseInteger('--count', options.count, 1, 1_000_000),
      outputFolder: options.output,
      resume: options.resume === true,
      record:
        options.recordCalibration === undefined
          ? undefined
          : { folder: options.recordCalibration, samplesPerPicture },
    },
    host.ctx,
  )
  if (host.json) host.printJson(report)
  else for (const line of qualityLines(report, host.paint)) host.print(line)
}

export function register(command: Command): void {
  command
    .argument('<task>', 'task file, or folder')
    .option('--reference <file>', "the FP32 model that others are compared with (default: the task's own)")
    .option('--baseline <model>', 'the FP16 model')
    .option('--candidate <model...>', 'a quantized model; may be repeated')
    .option('--device <device>', 'where .om files run: npu:0, sim:Ascend310P3, ...')
    .option('-o, --output <folder>', 'pictures and quality.json go there')
    .option('--count <n>', 'pictures or sequences (default: 256 pictures, all sequences)')
    .option('--seed <n>', "added to every prompt's own seed", '0')
    .addOption(new Option('--sampler <method>', 'how noise is taken away').choices(['ddim', 'dpmsolver++2m']))
    .option('--steps <n>', 'denoising steps')
    .option('--guidance <x>', 'classifier-free guidance; 1 is none')
    .option('--resume', 'go on with what an interrupted run left in the folder')
    .option('--record-calibration <folder>', 'also record what the denoiser is given, as calibration data')
    .option('--record-per-picture <n>', 'denoising steps recorded of each picture', '2')
    .option('--init', 'write a task.json for a folder in diffusers layout, and stop')
  withCommonOptions(command, true).addHelpText('after', EXAMPLES)
  action<EvaluateOptions>(command, evaluate)
}
