// Schemas of neighbouring areas as the channels use them, under one roof.
export { comparisonSchema } from '../comparison.ts'
export { modelSummarySchema } from '../model.ts'
export { omSummarySchema } from '../om.ts'
export { recipeSchema } from '../recipe.ts'
