// Switching between two pictures: by hand, or by itself with an adjustable period.
import { onScopeDispose, ref, watch, type Ref } from 'vue'

const DEFAULT_PERIOD_SECONDS = 1

/** @param shown whether the blinking picture is on the page; nothing runs while it is not */
export function useBlink(shown: () => boolean): {
  showsSecond: Ref<boolean>
  playing: Ref<boolean>
  /** Seconds that each picture stays. */
  period: Ref<number>
  toggle: () => void
  hold: () => void
} {
  const showsSecond = ref(false)
  // Movement that a person has not asked for is not shown to people who do not want any.
  const playing = ref(!matchMedia('(prefers-reduced-motion: reduce)').matches)
  const period = ref(DEFAULT_PERIOD_SECONDS)
  let timer: ReturnType<typeof setInterval> | undefined

  watch(
    [shown, playing, period],
    () => {
      clearInterval(timer)
      if (shown() && playing.value)
        timer = setInterval(() => (showsSecond.value = !showsSecond.value), period.value * 1000)
    },
    { immediate: true },
  )
  onScopeDispose(() => clearInterval(timer))

  const hold = (): void => void (playing.value = false)
  return {
    showsSecond,
    playing,
    period,
    /** By hand: it then stays until the next press. */
    toggle: () => {
      hold()
      showsSecond.value = !showsSecond.value
    },
    hold,
  }
}
