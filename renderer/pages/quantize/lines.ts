// Lines of the layer table: a layer, what the recipe decides for it, and what the engine says will become of it. Pure.
import type { LayerPrecision, Recipe } from '../../../contract/recipe.ts'
import type { LayerFallback } from '../../../contract/quantization.ts'
import type { RecipeCheck } from '../../../contract/rpc/index.ts'
import type { LayerRow } from '../../../contract/workspace.ts'
import { decider, type LayerDecision } from './recipe.ts'

export interface LayerLine {
  layer: LayerRow
  decision: LayerDecision
  quantized: boolean
  /** What it becomes; the decision until the engine has answered. */
  becomes: LayerPrecision
  /** Why it is not quantized. */
  reason: string | null
  /** The precision it was to have and why it cannot. */
  fallback: LayerFallback | null
}

type CheckedLayer = RecipeCheck['layers'][number]

const isInteger = (precision: LayerPrecision): boolean => precision !== 'fp16' && precision !== 'float'

function outcome(
  decision: LayerDecision,
  result: CheckedLayer | undefined,
): Pick<LayerLine, 'quantized' | 'becomes' | 'reason' | 'fallback'> {
  if (!result) {
    const { precision } = decision
    return { quantized: isInteger(precision), becomes: precision, reason: null, fallback: null }
  }
  const { quantized, precision, reason, fallback } = result
  return { quantized, becomes: precision, reason, fallback }
}

export function layerLines(
  recipe: Recipe,
  layers: readonly LayerRow[],
  check: RecipeCheck | null,
): LayerLine[] {
  const decide = decider(recipe)
  const results = new Map(check?.layers.map((entry) => [entry.name, entry]))
  return layers.map((layer) => {
    const decision = decide(layer)
    return { layer, decision, ...outcome(decision, results.get(layer.name)) }
  })
}
