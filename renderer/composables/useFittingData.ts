// Models that can be quantized and data that fit them: what a comparison and a calibration choose from.
import { computed, type ComputedRef } from 'vue'
import type { DatasetRow, ModelRow } from '../../contract/workspace.ts'
import { useLibrary } from '../stores/library.ts'

/** `models`: those that can be quantized. `fittingData`: data with the inputs of a model, else the first there are. */
export function useFittingData(): {
  models: ComputedRef<ModelRow[]>
  fittingData: (model: ModelRow | null) => DatasetRow | undefined
} {
  const library = useLibrary()
  const models = computed(() =>
    library.models.filter((model) => model.role === 'original' || model.role === 'fp32'),
  )
  function fittingData(model: ModelRow | null): DatasetRow | undefined {
    const inputs = new Set(model?.inputs.map((input) => input.name))
    const fits = (item: DatasetRow): boolean =>
      item.inputs.length > 0 && item.inputs.every((name) => inputs.has(name))
    return library.datasets.find(fits) ?? library.datasets[0]
  }
  return { models, fittingData }
}
