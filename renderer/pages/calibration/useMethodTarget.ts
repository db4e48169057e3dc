// The recipe that a method from a calibration goes into: the one that was calibrated, another, or a new one.
import { computed, ref, type ComputedRef, type Ref } from 'vue'
import { useI18n } from 'vue-i18n'
import type { CalibrationHeader, MethodResult, TensorReport } from '../../../contract/calibration.ts'
import type { Recipe } from '../../../contract/recipe.ts'
import type { CalibrationRow } from '../../../contract/rpc/index.ts'
import { calibrateJobRequestSchema, type RecipeRow } from '../../../contract/workspace.ts'
import { useQuery } from '../../composables/useQuery.ts'
import { rpc } from '../../rpc/index.ts'
import { useJobs } from '../../stores/jobs.ts'
import { useLibrary } from '../../stores/library.ts'
import { useNotices } from '../../stores/notices.ts'
import type { LayerNames } from '../quantize/patterns.ts'
import { layerActivation, withLayerActivation } from '../quantize/recipe.ts'
import { layersOfTensor, overrideFor, usesMethod } from './report.ts'
import { useMethodName } from './useMethodName.ts'

export interface MethodTarget {
  /** Empty: a new recipe, made of the calibrated one. */
  targetId: Ref<string>
  target: ComputedRef<RecipeRow | null>
  layersOf: (tensor: TensorReport) => LayerNames[]
  /** Whether the recipe already gives every layer of the tensor this method. */
  uses: (tensor: TensorReport, method: MethodResult) => boolean
  /** Writes the method into the recipe; the notice offers the way back. */
  apply: (tensor: TensorReport, method: MethodResult) => Promise<void>
}

export function useMethodTarget(calibration: CalibrationRow, header: CalibrationHeader): MethodTarget {
  const { t } = useI18n()
  const library = useLibrary()
  const notices = useNotices()
  const jobs = useJobs()
  const methodName = useMethodName()
  const request = calibrateJobRequestSchema.safeParse(
    jobs.jobs.find((job) => job.id === calibration.id)?.request,
  )
  const calibrated = library.recipes.find((item) => item.id === request.data?.recipeId)
  const targetId = ref(calibrated?.id ?? '')
  const target = computed(() => library.recipes.find((item) => item.id === targetId.value) ?? null)
  const recipe = computed<Recipe>(() => target.value?.recipe ?? header.recipe)

  // Layers of the model tell module paths; a model that was removed meanwhile leaves the names of the report.
  const { data: known } = useQuery(async (signal) =>
    library.models.some((model) => model.id === calibration.modelId)
      ? (await rpc.invoke('models.layers', { id: calibration.modelId }, { signal })).layers
      : [],
  )
  const layersOf = (tensor: TensorReport): LayerNames[] => layersOfTensor(tensor, known.value ?? [])
  const uses = (tensor: TensorReport, method: MethodResult): boolean =>
    layersOf(tensor).every((layer) => usesMethod(layerActivation(recipe.value, layer), method))

  async function save(row: RecipeRow | null, next: Recipe): Promise<RecipeRow> {
    const saved = await rpc.invoke('recipes.save', {
      projectId: calibration.projectId,
      ...(row && { id: row.id }),
      name: row?.name ?? t('calibration.methods.newName', { name: calibration.recipeName }),
      recipe: next,
      origin: 'edited',
    })
    await library.loadEntity('recipe')
    return saved
  }

  async function takeBack(before: RecipeRow | null, saved: RecipeRow): Promise<void> {
    if (before) await save(before, before.recipe)
    else {
      await rpc.invoke('recipes.delete', { id: saved.id })
      await library.loadEntity('recipe')
      targetId.value = ''
    }
  }

  async function apply(tensor: TensorReport, method: MethodResult): Promise<void> {
    const before = target.value
    const layers = layersOf(tensor)
    const settings = overrideFor(method, tensor.symmetric)
    const saved = await save(before, withLayerActivation(recipe.value, layers, settings))
    targetId.value = saved.id
    notices.success(
      t('calibration.methods.applied', {
        method: methodName(method),
        layer: layers[0]?.modulePath ?? layers[0]?.name ?? tensor.tensor,
        recipe: saved.name,
      }),
      { label: t('common.actions.undo'), run: () => takeBack(before, saved).catch(notices.fail) },
    )
  }

  return { targetId, target, layersOf, uses, apply }
}
