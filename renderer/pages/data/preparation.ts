// The form of preparing pictures and the settings it stands for. Pure.
import type { PreparationRequest } from '../../../contract/preparation.ts'

export interface PrepareForm {
  mode: 'none' | 'stretch' | 'short_side' | 'fit'
  filter: 'bilinear' | 'nearest'
  height: number
  width: number
  crop: boolean
  cropHeight: number
  cropWidth: number
  channels: 'rgb' | 'bgr' | 'grey' | 'rgba'
  scale: 'unit' | 'bytes'
  /** Numbers as typed, separated by commas. */
  mean: string
  std: string
  layout: 'CHW' | 'HWC'
  dtype: 'float32' | 'float16' | 'uint8'
  /** null: all. */
  count: number | null
  seed: number
}

export const presetNames = ['torchvision', 'imagenet', 'bytes'] as const
export type PresetName = (typeof presetNames)[number]

const BASE: PrepareForm = {
  mode: 'stretch',
  filter: 'bilinear',
  height: 256,
  width: 256,
  crop: false,
  cropHeight: 224,
  cropWidth: 224,
  channels: 'rgb',
  scale: 'unit',
  mean: '0.5',
  std: '0.5',
  layout: 'HWC',
  dtype: 'float32',
  count: null,
  seed: 0,
}

/** Chains that people bring with their models. */
export const presets: Record<PresetName, PrepareForm> = {
  // torchvision: Resize((256, 256)), ToTensor(), Normalize(0.5, 0.5), saved with channels last.
  torchvision: BASE,
  // torchvision: the transforms of its ImageNet classification weights.
  imagenet: {
    ...BASE,
    mode: 'short_side',
    crop: true,
    mean: '0.485, 0.456, 0.406',
    std: '0.229, 0.224, 0.225',
    layout: 'CHW',
  },
  // What a model with the normalization built in (AIPP) takes.
  bytes: { ...BASE, height: 224, width: 224, scale: 'bytes', mean: '0', std: '1', dtype: 'uint8' },
}

/** Settings that a preset does not decide. */
const OWN: ReadonlySet<keyof PrepareForm> = new Set(['count', 'seed'])

/** The preset that a form is equal to; null when it is none. */
export function presetOf(form: PrepareForm): PresetName | null {
  const keys = (Object.keys(BASE) as (keyof PrepareForm)[]).filter((key) => !OWN.has(key))
  return presetNames.find((name) => keys.every((key) => presets[name][key] === form[key])) ?? null
}

/** Numbers of a list such as `0.485, 0.456`; null when it is none. */
export function numbersOf(text: string): number[] | null {
  const parts = text.split(/[\s,;]+/).filter(Boolean)
  const numbers = parts.map(Number)
  return parts.length >= 1 && parts.length <= 4 && numbers.every(Number.isFinite) ? numbers : null
}

export interface FormProblems {
  mean: 'numbers' | null
  std: 'numbers' | 'positive' | null
}

export function formProblems(form: PrepareForm): FormProblems {
  const std = numbersOf(form.std)
  return {
    mean: numbersOf(form.mean) ? null : 'numbers',
    std: std === null ? 'numbers' : std.every((value) => value > 0) ? null : 'positive',
  }
}

/** The settings of a form; null while something in it cannot be read. */
export function settingsOf(form: PrepareForm): PreparationRequest | null {
  const { mean, std } = formProblems(form)
  if (mean !== null || std !== null) return null
  return {
    resize: { mode: form.mode, ...(form.mode !== 'none' && { size: [form.height, form.width] }) },
    filter: form.filter,
    ...(form.crop && { crop: [form.cropHeight, form.cropWidth] }),
    channels: form.channels,
    scale: form.scale === 'unit' ? 1 / 255 : 1,
    mean: numbersOf(form.mean) ?? [0],
    std: numbersOf(form.std) ?? [1],
    layout: form.layout,
    dtype: form.dtype,
    ...(form.count !== null && { count: form.count }),
    seed: form.seed,
  }
}
