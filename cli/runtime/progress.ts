// Progress on stderr: one line that is rewritten, with the time left. Silent when stderr is not a terminal.
import type { Progress } from '../../contract/work.ts'
import { formatDuration } from '../../engine/common/units.ts'

interface ProgressStream {
  isTTY?: boolean
  columns?: number
  write(text: string): unknown
}

const REDRAW_MS = 80
const BAR_WIDTH = 20
/** Before this share of a stage the time left is a guess and not shown. */
const ETA_FROM = 0.02

/** Text of one progress report; `elapsed` is the seconds since the stage began. */
export function progressText(progress: Progress, elapsed: number, columns: number): string {
  const share = progress.total > 0 ? Math.min(1, Math.max(0, progress.done / progress.total)) : 0
  const filled = Math.round(share * BAR_WIDTH)
  const bar = '#'.repeat(filled) + '.'.repeat(BAR_WIDTH - filled)
  const percent = `${Math.floor(share * 100)}%`.padStart(4)
  const eta =
    share >= ETA_FROM && share < 1 ? `  ${formatDuration((elapsed * (1 - share)) / share)} left` : ''
  const item = progress.item === undefined ? '' : `  ${progress.item}`
  const line = `${progress.stage.padEnd(12)} [${bar}] ${percent}${eta}${item}`
  return line.length > columns - 1 ? line.slice(0, Math.max(0, columns - 1)) : line
}

/** Draws progress reports; `clear` before anything else is printed. */
export class ProgressLine {
  readonly #stream: ProgressStream
  readonly #enabled: boolean
  #stage = ''
  #began = 0
  #drawn = 0
  #visible = false

  constructor(stream: ProgressStream, enabled = stream.isTTY === true) {
    this.#stream = stream
    this.#enabled = enabled
  }

  update(progress: Progress): void {
    if (!this.#enabled) return
    const now = performance.now()
    if (progress.stage !== this.#stage) {
      this.#stage = progress.stage
      this.#began = now
      this.#drawn = 0
    }
    if (now - this.#drawn < REDRAW_MS && progress.done < progress.total) return
    this.#drawn = now
    const text = progressText(progress, (now - this.#began) / 1000, this.#stream.columns || 80)
    this.#stream.write(`\r\u001b[K${text}`)
    this.#visible = true
  }

  clear(): void {
    if (this.#visible) this.#stream.write('\r\u001b[K')
    this.#visible = false
  }
}
