// Reading quality tasks: the file itself, the files it names, and folders in diffusers layout that need no task file.
import { existsSync, readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import {
  type DiffusionTask,
  type Prompt,
  promptSchema,
  scheduleSchema,
  type ScheduleSettings,
  type Task,
  taskSchema,
} from '../../../contract/evaluation-task.ts'
import { AppError } from '../../../contract/errors/index.ts'
import { hashBytes, hashFile } from '../../common/hashing.ts'
import { propertyOf, readJsonFile } from '../tokenizers.ts'
import { taskForFolder } from './folder.ts'

/** A task with every path made absolute. */
export interface OpenedTask {
  task: Task
  /** The task file, or where it would be. */
  path: string
  /** All files the task names, absolute. */
  files: string[]
}

function problemsOf(error: z.ZodError): string[] {
  return error.issues.map((issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`)
}

/** Calls `resolve` for every path of a task and puts its result there. */
function mapPaths(task: Task, resolve: (file: string, what: string) => string): Task {
  const tokenizer = <T extends { file: string }>(spec: T): T => ({
    ...spec,
    file: resolve(spec.file, 'tokenizer'),
  })
  if (task.kind === 'language') {
    const text =
      'file' in task.text
        ? { ...task.text, file: resolve(task.text.file, 'text.file') }
        : {
            text_file: resolve(task.text.text_file, 'text.text_file'),
            tokenizer: resolve(task.text.tokenizer, 'text.tokenizer'),
          }
    return { ...task, model: resolve(task.model, 'model'), text }
  }
  if (task.kind === 'classification') {
    return {
      ...task,
      model: resolve(task.model, 'model'),
      data: resolve(task.data, 'data'),
      ...(task.labels !== undefined && { labels: resolve(task.labels, 'labels') }),
    }
  }
  const { text_encoders, vae_decoder, schedule, prompts, features, captions } = task
  return {
    ...task,
    denoiser: { ...task.denoiser, model: resolve(task.denoiser.model, 'denoiser.model') },
    text_encoders: text_encoders.map((encoder) => ({
      ...encoder,
      model: resolve(encoder.model, 'text_encoders.model'),
      tokenizer: tokenizer(encoder.tokenizer),
    })),
    ...(vae_decoder && {
      vae_decoder: { ...vae_decoder, model: resolve(vae_decoder.model, 'vae_decoder.model') },
    }),
    schedule: typeof schedule === 'string' ? resolve(schedule, 'schedule') : schedule,
    prompts: Array.isArray(prompts) ? prompts : { ...prompts, file: resolve(prompts.file, 'prompts.file') },
    ...(features && {
      features: {
        ...features,
        model: resolve(features.model, 'features.model'),
        ...(features.reference !== undefined && {
          reference: resolve(features.reference, 'features.reference'),
        }),
      },
    }),
    ...(captions && {
      captions: {
        picture: { ...captions.picture, model: resolve(captions.picture.model, 'captions.picture.model') },
        text: {
          ...captions.text,
          model: resolve(captions.text.model, 'captions.text.model'),
          tokenizer: tokenizer(captions.text.tokenizer),
        },
      },
    }),
  }
}

function openTask(task: Task, origin: string, base: string): OpenedTask {
  const files: string[] = []
  const resolved = mapPaths(task, (file, what) => {
    const absolute = path.resolve(base, file)
    if (!existsSync(absolute))
      throw new AppError('E_TASK_FILE', { path: origin, what, file: absolute, reason: 'does not exist' })
    files.push(absolute)
    return absolute
  })
  return { task: resolved, path: origin, files }
}

/** A task file, or a folder: its task.json, else a task made for its diffusers layout. */
export function readTask(file: string): OpenedTask {
  const absolute = path.resolve(file)
  if (!existsSync(absolute)) throw new AppError('E_FILE_NOT_FOUND', { path: file, base: process.cwd() })
  if (!statSync(absolute).isDirectory()) return readTaskFile(absolute)
  const own = path.join(absolute, 'task.json')
  if (existsSync(own)) return readTaskFile(own)
  return openTask(taskForFolder(absolute), path.join(absolute, 'task.json'), absolute)
}

/** @throws E_TASK_INVALID, E_TASK_FILE, E_FILE_READ */
function readTaskFile(absolute: string): OpenedTask {
  const parsed = taskSchema.safeParse(readJsonFile(absolute))
  if (!parsed.success)
    throw new AppError('E_TASK_INVALID', { path: absolute, problems: problemsOf(parsed.error).slice(0, 5) })
  return openTask(parsed.data, absolute, path.dirname(absolute))
}

/** Contents of a file, or of all files of a folder by name: samples of a data set are all of one size. */
function contentHash(file: string, signal?: AbortSignal): string {
  if (!statSync(file).isDirectory()) return hashFile(file, signal)
  const entries = readdirSync(file, { withFileTypes: true }).filter((entry) => entry.isFile())
  const names = entries.map(({ name }) => name).sort()
  return hashBytes(names.map((name) => `${name} ${hashFile(path.join(file, name), signal)}`).join('\n'))
}

/** SHA-256 over the settings and the contents of every file they name. */
export function hashTask({ task, files, path: origin }: OpenedTask, signal?: AbortSignal): string {
  const base = path.dirname(origin)
  const settings = JSON.stringify(mapPaths(task, (file) => path.relative(base, file)))
  return hashBytes([settings, ...files.map((file) => contentHash(file, signal))].join('\n'))
}

/** The noise schedule of a task. @throws E_TASK_INVALID */
export function readSchedule({ schedule }: DiffusionTask): ScheduleSettings {
  if (typeof schedule !== 'string') return schedule
  const parsed = scheduleSchema.safeParse(readJsonFile(schedule))
  if (parsed.success) return parsed.data
  throw new AppError('E_TASK_INVALID', { path: schedule, problems: problemsOf(parsed.error).slice(0, 5) })
}

/** The prompts of a task. @throws E_TASK_INVALID */
export function readPrompts({ prompts }: DiffusionTask): Prompt[] {
  if (Array.isArray(prompts)) return prompts
  const content = readJsonFile(prompts.file)
  const list = prompts.list === undefined ? content : propertyOf(content, prompts.list)
  // A plain list of texts is a list of prompts too.
  const items = Array.isArray(list)
    ? list.map((item: unknown) => (typeof item === 'string' ? { text: item } : item))
    : list
  const parsed = z.array(promptSchema).min(1).safeParse(items)
  if (parsed.success) return parsed.data
  const where = prompts.list === undefined ? prompts.file : `${prompts.file} (${prompts.list})`
  throw new AppError('E_TASK_INVALID', { path: where, problems: problemsOf(parsed.error).slice(0, 5) })
}
