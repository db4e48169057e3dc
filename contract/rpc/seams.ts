// Schemas of neighbouring areas as the channels use them, under one roof.
import { z } from 'zod'

export { omSummarySchema } from '../om.ts'
export { recipeSchema } from '../recipe.ts'

export const modelSummarySchema = z.record(z.string(), z.unknown())
export const comparisonSchema = z.record(z.string(), z.unknown())
