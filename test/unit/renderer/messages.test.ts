// Both languages have the same keys and the same placeholders, and no text is empty.
import { describe, expect, it } from 'vitest'
import { errorCatalog } from '../../../contract/errors/index.ts'
import { layerRoleSchema, presetFamilySchema } from '../../../contract/presets.ts'
import { fallbackReasonSchema, keptFloatReasonSchema } from '../../../contract/quantization.ts'
import { activationMethodSchema, layerPrecisionSchema, weightMethodSchema } from '../../../contract/recipe.ts'
import { clockSchema } from '../../../contract/device.ts'
import { incomparabilitySchema } from '../../../contract/benchmark.ts'
import { jobStageSchema, jobStateSchema, modelRowSchema } from '../../../contract/workspace.ts'
import { messages } from '../../../renderer/i18n/messages.ts'

function flatten(texts: object, prefix = ''): Map<string, string> {
  const flat = new Map<string, string>()
  for (const [key, value] of Object.entries(texts) as [string, string | object][]) {
    if (typeof value === 'string') flat.set(prefix + key, value)
    else for (const [name, text] of flatten(value, `${prefix}${key}.`)) flat.set(name, text)
  }
  return flat
}

const en = flatten(messages.en)
const zh = flatten(messages.zh)
const placeholders = (text: string): string[] => (text.match(/\{\w+\}/g) ?? []).toSorted()

describe('texts of the window', () => {
  it('have the same keys in English and Chinese', () => {
    expect([...zh.keys()].toSorted()).toEqual([...en.keys()].toSorted())
    expect(en.size).toBeGreaterThan(400)
  })

  it('have the same placeholders in both languages', () => {
    for (const [key, text] of en) expect(placeholders(zh.get(key) ?? ''), key).toEqual(placeholders(text))
  })

  it('are never empty', () => {
    for (const texts of [en, zh]) for (const [key, text] of texts) expect(text.trim(), key).not.toBe('')
  })

  it('are Chinese where a sentence is expected', () => {
    const untranslated = [...zh].filter(
      ([key, text]) => text === en.get(key) && /[a-z]{4,} [a-z]{3,}/.test(text),
    )
    expect(untranslated).toEqual([])
  })

  it('hold nothing that vue-i18n reads as syntax', () => {
    // A | separates plural forms, @: links to another text.
    for (const texts of [en, zh]) {
      for (const [key, text] of texts) expect(/\||@[:.]/.test(text), `${key}: ${text}`).toBe(false)
    }
  })

  it('name every state that the contract knows', () => {
    const wanted = [
      ...jobStateSchema.options.map((state) => `common.jobState.${state}`),
      ...jobStageSchema.shape.state.options.map((state) => `common.stageState.${state}`),
      ...modelRowSchema.shape.role.options.map((role) => `models.role.${role}`),
      ...keptFloatReasonSchema.options.map((reason) => `quantize.reason.${reason}`),
      ...fallbackReasonSchema.options.map((reason) => `quantize.fallback.${reason}`),
      ...presetFamilySchema.options.map((family) => `quantize.presets.family.${family}`),
      ...layerRoleSchema.options.map((role) => `recipe.role.${role}`),
      ...layerPrecisionSchema.options.map((precision) => `recipe.precisionMeaning.${precision}`),
      ...activationMethodSchema.options.map((method) => `recipe.method.${method}.hint`),
      ...weightMethodSchema.options.map((method) => `recipe.weightMethod.${method}.hint`),
      ...clockSchema.options.map((clock) => `compare.clock.${clock.replaceAll(' ', '-')}`),
      ...incomparabilitySchema.shape.field.options.map((field) => `compare.guard.field.${field}`),
    ]
    expect(wanted.filter((key) => !en.has(key))).toEqual([])
  })
})

describe('error texts', () => {
  it('have the same placeholders in both languages', () => {
    for (const [code, text] of Object.entries(errorCatalog)) {
      expect(new Set(placeholders(text.zh.message)), code).toEqual(new Set(placeholders(text.en.message)))
    }
  })
})
