// The next comparison of a project: sensible choices made for the person, changeable, with its command and its start.
import { computed, reactive, ref, watch, type ComputedRef, type Ref } from 'vue'
import { useI18n } from 'vue-i18n'
import type { CompareJobRequest, DatasetRow, Job, ModelRow, RecipeRow } from '../../contract/workspace.ts'
import { sampleFields, type SampleSelection } from '../format/samples.ts'
import { gateProblem } from '../format/gates.ts'
import { rpc } from '../rpc/index.ts'
import { useDevices } from '../stores/devices.ts'
import { useJobs } from '../stores/jobs.ts'
import { useLibrary } from '../stores/library.ts'
import { useSession } from '../stores/session.ts'
import { useFittingData } from './useFittingData.ts'

export interface PlanChoice {
  modelId: string | null
  datasetId: string | null
  recipeId: string | null
  device: string | null
  /** `quick`, `standard` and `thorough` are lengths of the measurement; `exact` takes the count below. */
  length: PlanLength
  loopCount: number
  calibrationSamples: number | null
  selection: SampleSelection
  /** Held-out data; null: quality is measured on the calibration data. */
  evaluationDatasetId: string | null
  /** null: as many as the engine takes by itself. */
  evaluationSamples: number | null
  hostCpu: boolean
  /** What every side generates by; null: only the model's own outputs are judged. */
  task: PlanTask | null
  /** Conditions as written; empty ones are not sent. */
  gates: string[]
}

export interface PlanTask {
  path: string
  /** null: as many as the task has. */
  count: number | null
  seed: number
}

export type PlanLength = 'quick' | 'standard' | 'thorough' | 'exact'

/** Percentiles decide the lengths: p90 needs 64 runs, p99 needs 662, p99.9 needs 6,636. */
export const planScenarios: Record<
  Exclude<PlanLength, 'exact'>,
  { minRuns: number; minDurationMs: number }
> = {
  quick: { minRuns: 100, minDurationMs: 1_000 },
  standard: { minRuns: 700, minDurationMs: 3_000 },
  thorough: { minRuns: 6_700, minDurationMs: 10_000 },
}

export interface ComparePlan {
  choice: PlanChoice
  model: ComputedRef<ModelRow | null>
  dataset: ComputedRef<DatasetRow | null>
  recipe: ComputedRef<RecipeRow | null>
  /** The host CPU is the device itself: measuring it besides would say nothing new. */
  onHostCpu: ComputedRef<boolean>
  /** Models that can be quantized. */
  models: ComputedRef<ModelRow[]>
  /** Why it cannot start, in the current language; null when it can. */
  problem: ComputedRef<string | null>
  activeJob: ComputedRef<Job | null>
  command: Ref<string>
  start: () => Promise<Job>
}

export function useComparePlan(projectId: string): ComparePlan {
  const { t } = useI18n()
  const library = useLibrary()
  const devices = useDevices()
  const jobs = useJobs()
  const session = useSession()
  const { models, fittingData } = useFittingData()
  const choice = reactive<PlanChoice>({
    modelId: null,
    datasetId: null,
    recipeId: null,
    device: null,
    length: 'standard',
    loopCount: 100,
    calibrationSamples: null,
    selection: 'first',
    evaluationDatasetId: null,
    evaluationSamples: null,
    hostCpu: false,
    task: null,
    gates: [],
  })

  const model = computed(() => models.value.find((item) => item.id === choice.modelId) ?? null)
  const dataset = computed(() => library.datasets.find((item) => item.id === choice.datasetId) ?? null)
  const recipe = computed(() => library.recipes.find((item) => item.id === choice.recipeId) ?? null)

  watch(
    [models, () => library.datasets, () => library.recipes, () => devices.usable],
    () => {
      if (!model.value) choice.modelId = models.value[0]?.id ?? null
      if (!dataset.value) choice.datasetId = fittingData(model.value)?.id ?? null
      if (choice.recipeId && !recipe.value) choice.recipeId = null
      if (!choice.recipeId) choice.recipeId = library.recipes[0]?.id ?? null
      if (!choice.device) choice.device = devices.preferred(session.settings.defaultDevice)
    },
    { immediate: true },
  )

  const evaluationDataset = computed(
    () => library.datasets.find((item) => item.id === choice.evaluationDatasetId) ?? null,
  )
  const onHostCpu = computed(() => choice.device === 'cpu')
  // A count belongs to its data.
  watch(
    () => choice.datasetId,
    () => (choice.calibrationSamples = null),
  )

  const gates = computed(() => choice.gates.map((gate) => gate.trim()).filter((gate) => gate !== ''))
  const activeJob = computed(() => jobs.activeOf(projectId, 'compare'))
  const problem = computed(() => {
    if (!session.connected) return t('shell.reasons.disconnected')
    if (!model.value) return t('project.overview.needModel')
    if (model.value.missing) return t('common.missingFile', { path: model.value.path })
    if (!dataset.value) return t('project.overview.needData')
    if (dataset.value.missing) return t('common.missingFile', { path: dataset.value.path })
    if (!choice.device) return t('project.overview.needDevice')
    if (evaluationDataset.value?.missing)
      return t('common.missingFile', { path: evaluationDataset.value.path })
    if (gates.value.some((gate) => gateProblem(gate) !== null)) return t('quality.gates.fix')
    return null
  })

  const request = computed<CompareJobRequest | null>(() => {
    if (!model.value || !dataset.value || !choice.device) return null
    const scenario =
      choice.length === 'exact' ? { loopCount: choice.loopCount } : planScenarios[choice.length]
    return {
      modelId: model.value.id,
      datasetId: dataset.value.id,
      ...(recipe.value && { recipeId: recipe.value.id }),
      device: choice.device,
      scenario,
      ...sampleFields(choice.calibrationSamples, choice.selection),
      ...(evaluationDataset.value && { evaluationDatasetId: evaluationDataset.value.id }),
      ...(choice.evaluationSamples !== null && { evaluationSamples: choice.evaluationSamples }),
      ...(choice.hostCpu && !onHostCpu.value && { hostCpu: true }),
      ...(choice.task && {
        task: {
          path: choice.task.path,
          ...(choice.task.count !== null && { count: choice.task.count }),
          seed: choice.task.seed,
        },
      }),
      ...(gates.value.length > 0 && { gates: gates.value }),
    }
  })

  const command = ref('')
  watch(
    request,
    async (current) => {
      if (!current) {
        command.value = ''
        return
      }
      try {
        const answer = await rpc.invoke('commandLine.forCompare', { projectId, request: current })
        if (request.value === current) command.value = answer.command
      } catch {
        // The command line is a courtesy; what is wrong with the request is said when it starts.
        command.value = ''
      }
    },
    { immediate: true },
  )

  async function start(): Promise<Job> {
    if (!request.value || problem.value) throw new Error(problem.value ?? 'nothing to compare')
    return await rpc.invoke('jobs.start', { projectId, kind: 'compare', request: request.value })
  }

  return { choice, model, dataset, recipe, onHostCpu, models, problem, activeJob, command, start }
}
