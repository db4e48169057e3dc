// Recipes in the window: what a recipe does to a model, and AMCT configurations out.
import { AppError, toErrorShape } from '../../contract/errors/index.ts'
import type { RecipeForm } from '../../contract/interop.ts'
import { defaultRecipe, type Recipe } from '../../contract/recipe.ts'
import type { RecipeCheck } from '../../contract/rpc/index.ts'
import type { DatasetRow, ModelRow } from '../../contract/workspace.ts'
import type { Model } from '../onnx/index.ts'
import { type AmctText, writeRecipe } from '../quantization/index.ts'
import { selectLayers } from '../quantization/selection.ts'
import { openRow } from './library.ts'

/** A recipe with more unknown names than this was written for another model. */
const MAX_PROBLEMS = 100

type ListName = 'skip_layers' | 'skip_op_types' | 'op_types' | 'fp16_layers' | 'overrides'

/** The recipe without one entry of one list. */
function without(recipe: Recipe, list: ListName, name: string): Recipe {
  if (list === 'overrides')
    return { ...recipe, overrides: recipe.overrides.filter((entry) => entry.layer !== name) }
  if (list === 'op_types')
    return { ...recipe, op_types: recipe.op_types.filter((entry) => entry.op_type !== name) }
  return { ...recipe, [list]: recipe[list].filter((entry) => entry !== name) }
}

/** What the recipe would do; names that match nothing become problems, and the rest is shown all the same. */
export function checkRecipe(model: Model, recipe: Recipe): RecipeCheck {
  const problems: RecipeCheck['problems'] = []
  let present = recipe
  for (;;) {
    try {
      return { ...decisions(model, present), problems }
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'E_LAYER_UNKNOWN') throw error
      problems.push(toErrorShape(error))
      const { list, layer } = error.details
      present = without(present, list as ListName, String(layer))
      if (problems.length >= MAX_PROBLEMS) present = { ...defaultRecipe, ...pickMethods(recipe) }
    }
  }
}

function pickMethods(recipe: Recipe): Pick<Recipe, 'activation' | 'weight'> {
  return { activation: recipe.activation, weight: recipe.weight }
}

function decisions(model: Model, recipe: Recipe): Pick<RecipeCheck, 'layers' | 'counts'> {
  const { chosen, weightOnly, pools, kept, candidates } = selectLayers(model, recipe)
  const layersWithWeights = [...chosen, ...weightOnly].map(
    ({ anatomy, name, precision, fallback }) =>
      [model.graph.nodes[anatomy.nodeIndex], { name, precision, fallback: fallback ?? null }] as const,
  )
  const pooled = pools.map(
    ({ nodeIndex, name }) =>
      [model.graph.nodes[nodeIndex], { name, precision: 'int8' as const, fallback: null }] as const,
  )
  const quantized = new Map([...layersWithWeights, ...pooled])
  const layers = candidates.map((candidate) => {
    const report = kept.get(candidate.node)
    const integer = quantized.get(candidate.node)
    return {
      name: integer?.name ?? report?.name ?? candidate.name,
      opType: candidate.node.opType,
      quantized: integer !== undefined,
      reason: report?.reason ?? null,
      precision: integer?.precision ?? report?.precision ?? ('float' as const),
      fallback: integer?.fallback ?? null,
    }
  })
  return { layers, counts: { quantized: quantized.size, kept: kept.size } }
}

/** A recipe in one of AMCT's forms. @throws E_RECIPE_NEEDS_MODEL, E_LAYER_UNKNOWN */
export function exportRecipe(
  recipe: Recipe,
  form: RecipeForm,
  model: ModelRow | undefined,
  dataset: DatasetRow | undefined,
): AmctText {
  // Only AMCT's own forms speak of layers one by one.
  const resolved = form === 'amct_json' || form === 'amct_cfg'
  return writeRecipe(recipe, form, {
    model: model && resolved ? openRow(model) : undefined,
    modelPath: model?.path,
    inputShapes: fixedShapes(model),
    calibrationFolder: dataset?.path,
    samples: dataset?.samples,
  })
}

/** Shapes of inputs whose sizes are all known. */
function fixedShapes(model: ModelRow | undefined): Record<string, number[]> {
  return Object.fromEntries(
    (model?.inputs ?? []).flatMap(({ name, dims }) => {
      const known = dims.filter((size) => typeof size === 'number')
      return known.length === dims.length ? [[name, known] as const] : []
    }),
  )
}
