// The recipe being edited: history for undo, the saved state it is compared with, and the engine's check of it.
import {
  computed,
  onScopeDispose,
  ref,
  shallowRef,
  watch,
  type ComputedRef,
  type Ref,
  type ShallowRef,
} from 'vue'
import type { RecipeCheck } from '../../../contract/rpc/index.ts'
import { defaultRecipe, type Recipe } from '../../../contract/recipe.ts'
import { toErrorShape } from '../../../contract/errors/index.ts'
import type { ErrorShape } from '../../../contract/result.ts'
import { rpc } from '../../rpc/index.ts'

const HISTORY_LIMIT = 200
const CHECK_DELAY_MS = 250

export interface RecipeEditor {
  recipe: ShallowRef<Recipe>
  dirty: ComputedRef<boolean>
  canUndo: ComputedRef<boolean>
  canRedo: ComputedRef<boolean>
  edit: (next: Recipe) => void
  undo: () => void
  redo: () => void
  /** Takes a recipe as the saved state and forgets the history. */
  adopt: (saved: Recipe, unsaved?: boolean) => void
  /** Takes what became of the recipe that was sent as the saved state; history and later edits stay. */
  settle: (sent: Recipe, saved: Recipe) => void
  check: ShallowRef<RecipeCheck | null>
  checking: Ref<boolean>
  checkError: Ref<ErrorShape | null>
}

export function useRecipeEditor(modelId: Ref<string | null>): RecipeEditor {
  const recipe = shallowRef<Recipe>(defaultRecipe)
  const savedText = ref(JSON.stringify(defaultRecipe))
  const past = shallowRef<Recipe[]>([])
  const future = shallowRef<Recipe[]>([])
  const check = shallowRef<RecipeCheck | null>(null)
  const checking = ref(false)
  const checkError = ref<ErrorShape | null>(null)

  function edit(next: Recipe): void {
    past.value = [...past.value.slice(-HISTORY_LIMIT), recipe.value]
    future.value = []
    recipe.value = next
  }

  function undo(): void {
    const previous = past.value.at(-1)
    if (!previous) return
    past.value = past.value.slice(0, -1)
    future.value = [recipe.value, ...future.value]
    recipe.value = previous
  }

  function redo(): void {
    const [next, ...rest] = future.value
    if (!next) return
    past.value = [...past.value, recipe.value]
    future.value = rest
    recipe.value = next
  }

  function adopt(saved: Recipe, unsaved = false): void {
    recipe.value = saved
    savedText.value = unsaved ? '' : JSON.stringify(saved)
    past.value = []
    future.value = []
  }

  function settle(sent: Recipe, saved: Recipe): void {
    recipe.value = recipe.value === sent ? saved : { ...recipe.value, name: saved.name }
    savedText.value = JSON.stringify(saved)
  }

  let timer: ReturnType<typeof setTimeout> | undefined
  let controller: AbortController | null = null
  async function runCheck(id: string, checked: Recipe): Promise<void> {
    controller?.abort()
    const mine = new AbortController()
    controller = mine
    checking.value = true
    try {
      const answer = await rpc.invoke(
        'recipes.check',
        { modelId: id, recipe: checked },
        { signal: mine.signal },
      )
      if (mine.signal.aborted) return
      check.value = answer
      checkError.value = null
    } catch (thrown) {
      if (!mine.signal.aborted) checkError.value = toErrorShape(thrown)
    } finally {
      if (controller === mine) checking.value = false
    }
  }

  watch(
    [recipe, modelId],
    () => {
      clearTimeout(timer)
      const id = modelId.value
      if (id) timer = setTimeout(() => void runCheck(id, recipe.value), CHECK_DELAY_MS)
      else check.value = null
    },
    { immediate: true },
  )
  onScopeDispose(() => {
    clearTimeout(timer)
    controller?.abort()
  })

  return {
    recipe,
    dirty: computed(() => JSON.stringify(recipe.value) !== savedText.value),
    canUndo: computed(() => past.value.length > 0),
    canRedo: computed(() => future.value.length > 0),
    edit,
    undo,
    redo,
    adopt,
    settle,
    check,
    checking,
    checkError,
  }
}
