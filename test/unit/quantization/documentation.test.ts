// Every key of a recipe and every reason of a report is documented.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  deployFloatReasonSchema,
  fallbackReasonSchema,
  keptFloatReasonSchema,
} from '../../../contract/quantization.ts'
import { layerPrecisionSchema, recipeSchema, weightMethodSchema } from '../../../contract/recipe.ts'

const DOCS = path.resolve(import.meta.dirname, '../../../docs')
const recipes = readFileSync(path.join(DOCS, 'recipes.md'), 'utf8')
const quantization = readFileSync(path.join(DOCS, 'quantization.md'), 'utf8')

interface JsonSchema {
  properties?: Record<string, JsonSchema>
  items?: JsonSchema
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
  allOf?: JsonSchema[]
}

function keysOf(schema: JsonSchema): string[] {
  const own = Object.entries(schema.properties ?? {}).flatMap(([key, value]) => [key, ...keysOf(value)])
  const inner = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])]
  if (schema.items) inner.push(schema.items)
  return [...new Set([...own, ...inner.flatMap(keysOf)])]
}

function isNamed(text: string, word: string): boolean {
  const prose = text.replaceAll(/^```.*?^```/gms, '')
  return [...prose.matchAll(/`([^`\n]+)`/g)].some(([, code = '']) => code.split(/[.:\s"]+/).includes(word))
}

describe('docs/recipes.md', () => {
  const keys = keysOf(z.toJSONSchema(recipeSchema, { io: 'input', unrepresentable: 'any' }) as JsonSchema)

  it('finds the keys of the schema', () => {
    expect(keys).toEqual(
      expect.arrayContaining(['precision', 'op_types', 'search_step', 'minimum_gain_db', 'block_size']),
    )
  })

  it.each(keys)('names %s', (key) => {
    expect(isNamed(recipes, key)).toBe(true)
  })

  it.each([
    ...layerPrecisionSchema.options,
    ...weightMethodSchema.options,
    ...keptFloatReasonSchema.options,
    ...fallbackReasonSchema.options,
  ])('explains %s', (word) => {
    expect(isNamed(recipes, word)).toBe(true)
  })
})

describe('docs/quantization.md', () => {
  it.each(deployFloatReasonSchema.options)('explains why a deploy model keeps floats: %s', (reason) => {
    expect(isNamed(quantization, reason)).toBe(true)
  })
})
