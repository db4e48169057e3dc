// Lines of the layer table: a layer, what the recipe decides for it, and what the engine says will become of it. Pure.
import type { LayerPrecision, Recipe } from '../../../contract/recipe.ts'
import type { LayerFallback } from '../../../contract/quantization.ts'
import type { RecipeCheck } from '../../../contract/rpc/index.ts'
import type { LayerRow } from '../../../contract/workspace.ts'
import { decider, type LayerDecision } from './recipe.ts'

export interface LayerLine {
  layer: LayerRow
  decision: LayerDecision
  /** The rule that decided, as the engine names it, else as the recipe reads here. */
  rule: string | null
  quantized: boolean
  /** What it becomes; the decision until the engine has answered. */
  becomes: LayerPrecision
  /** Why it is not quantized. */
  reason: string | null
  /** The precision it was to have and why it cannot. */
  fallback: { wanted: LayerPrecision; reason: string } | null
}

/** What the engine may say besides: the precision it gives, why not the wanted one, the rule that decided. */
type CheckedLayer = RecipeCheck['layers'][number] & {
  precision?: LayerPrecision | null
  fallback?: LayerFallback | null
  rule?: string | null
}

const isInteger = (precision: LayerPrecision): boolean => precision !== 'fp16' && precision !== 'float'

function outcome(
  decision: LayerDecision,
  result: CheckedLayer | undefined,
): Pick<LayerLine, 'quantized' | 'becomes' | 'reason' | 'fallback'> {
  if (!result) {
    const { precision } = decision
    return { quantized: isInteger(precision), becomes: precision, reason: null, fallback: null }
  }
  const { quantized, reason } = result
  const wanted = isInteger(decision.precision) ? decision.precision : 'int8'
  const kept = decision.precision === 'fp16' ? 'fp16' : 'float'
  return {
    quantized,
    becomes: result.precision ?? (quantized ? wanted : kept),
    reason,
    fallback: result.fallback ?? null,
  }
}

export function layerLines(
  recipe: Recipe,
  layers: readonly LayerRow[],
  check: RecipeCheck | null,
): LayerLine[] {
  const decide = decider(recipe)
  const results = new Map<string, CheckedLayer>(check?.layers.map((entry) => [entry.name, entry]))
  return layers.map((layer) => {
    const decision = decide(layer)
    const result = results.get(layer.name)
    return { layer, decision, rule: result?.rule ?? decision.pattern, ...outcome(decision, result) }
  })
}
