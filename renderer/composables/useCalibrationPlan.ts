// The next calibration of a project: sensible choices made for the person, changeable, with its command and its start.
import { computed, reactive, watch, type ComputedRef } from 'vue'
import { useI18n } from 'vue-i18n'
import { calibrateCommandLine } from '../../contract/rpc/index.ts'
import type { CalibrateJobRequest, DatasetRow, Job, ModelRow, RecipeRow } from '../../contract/workspace.ts'
import { sampleFields, type SampleSelection } from '../format/samples.ts'
import { rpc } from '../rpc/index.ts'
import { useJobs } from '../stores/jobs.ts'
import { useLibrary } from '../stores/library.ts'
import { useSession } from '../stores/session.ts'
import { useFittingData } from './useFittingData.ts'

export interface CalibrationChoice {
  modelId: string | null
  datasetId: string | null
  /** null: the default recipe. */
  recipeId: string | null
  samples: number | null
  selection: SampleSelection
}

export interface CalibrationPlan {
  choice: CalibrationChoice
  model: ComputedRef<ModelRow | null>
  models: ComputedRef<ModelRow[]>
  dataset: ComputedRef<DatasetRow | null>
  recipe: ComputedRef<RecipeRow | null>
  /** Why it cannot start, in the current language; null when it can. */
  problem: ComputedRef<string | null>
  activeJob: ComputedRef<Job | null>
  command: ComputedRef<string>
  start: () => Promise<Job>
}

export function useCalibrationPlan(projectId: string): CalibrationPlan {
  const { t } = useI18n()
  const library = useLibrary()
  const jobs = useJobs()
  const session = useSession()
  const { models, fittingData } = useFittingData()
  const choice = reactive<CalibrationChoice>({
    modelId: null,
    datasetId: null,
    recipeId: library.recipes[0]?.id ?? null,
    samples: null,
    selection: 'first',
  })

  const model = computed(() => models.value.find((item) => item.id === choice.modelId) ?? null)
  const dataset = computed(() => library.datasets.find((item) => item.id === choice.datasetId) ?? null)
  const recipe = computed(() => library.recipes.find((item) => item.id === choice.recipeId) ?? null)

  watch(
    [models, () => library.datasets, () => library.recipes],
    () => {
      if (!model.value) choice.modelId = models.value[0]?.id ?? null
      if (!dataset.value) choice.datasetId = fittingData(model.value)?.id ?? null
      if (choice.recipeId && !recipe.value) choice.recipeId = library.recipes[0]?.id ?? null
    },
    { immediate: true },
  )
  // A count belongs to its data.
  watch(
    () => choice.datasetId,
    () => (choice.samples = null),
  )

  const activeJob = computed(() => jobs.activeOf(projectId, 'calibrate'))
  const problem = computed(() => {
    if (!session.connected) return t('shell.reasons.disconnected')
    if (!model.value) return t('project.overview.needModel')
    if (model.value.missing) return t('common.missingFile', { path: model.value.path })
    if (!dataset.value) return t('project.overview.needData')
    if (dataset.value.missing) return t('common.missingFile', { path: dataset.value.path })
    return null
  })

  const request = computed<CalibrateJobRequest | null>(() => {
    if (!model.value || !dataset.value) return null
    return {
      modelId: model.value.id,
      datasetId: dataset.value.id,
      ...(recipe.value && { recipeId: recipe.value.id }),
      ...sampleFields(choice.samples, choice.selection),
    }
  })

  const command = computed(() => {
    if (!request.value || !model.value || !dataset.value) return ''
    const { calibrationSamples, selection } = request.value
    return calibrateCommandLine({
      modelPath: model.value.sourcePath,
      calibrationPath: dataset.value.sourcePath,
      recipePath: recipe.value
        ? `${recipe.value.name.replaceAll(/[^\p{L}\p{N}_-]+/gu, '-')}.json`
        : undefined,
      calibrationSamples,
      selection,
      outputPath: 'calibration.html',
    })
  })

  async function start(): Promise<Job> {
    if (!request.value || problem.value) throw new Error(problem.value ?? 'nothing to calibrate')
    return await rpc.invoke('jobs.start', { projectId, kind: 'calibrate', request: request.value })
  }

  return { choice, model, models, dataset, recipe, problem, activeJob, command, start }
}
