// Numbers as the window shows them: units, decimals, signs. Pure; every figure in a column gets the same decimals.

const MIB = 1024 * 1024

/** Decimals that keep about four significant digits for the largest magnitude of a column. */
export function decimalsFor(values: readonly (number | null | undefined)[], significant = 4): number {
  let largest = 0
  for (const value of values) {
    if (value !== null && value !== undefined && Number.isFinite(value))
      largest = Math.max(largest, Math.abs(value))
  }
  if (largest === 0) return 0
  const whole = Math.floor(Math.log10(largest)) + 1
  return Math.min(4, Math.max(0, significant - Math.max(whole, 1)))
}

/** Decimals that keep the smallest magnitude of a column readable too: for figures of very different devices. */
export function finestDecimals(values: readonly (number | null | undefined)[], significant = 3): number {
  return Math.max(0, ...values.filter((value) => value).map((value) => decimalsFor([value], significant)))
}

/** Making a formatter costs far more than using it: a scrolling table shows hundreds of numbers per frame. */
const formatters = new Map<number, Intl.NumberFormat>()

function formatterOf(decimals: number): Intl.NumberFormat {
  let formatter = formatters.get(decimals)
  if (!formatter) {
    formatter = new Intl.NumberFormat('en-US', {
      minimumFractionDigits: decimals,
      maximumFractionDigits: decimals,
    })
    formatters.set(decimals, formatter)
  }
  return formatter
}

/** Fixed decimals with thousands separated by a comma; an en dash for nothing. */
export function formatNumber(value: number | null | undefined, decimals = 0): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–'
  const text = formatterOf(decimals).format(value)
  return /^-[0.,]+$/.test(text) ? text.slice(1) : text
}

/** Bytes as MiB (the product's size unit). */
export function mebibytes(bytes: number): number {
  return bytes / MIB
}

/** Bytes with the unit that keeps the figure readable: B, KiB, MiB, GiB. */
export function formatBytes(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined || !Number.isFinite(bytes)) return '–'
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${formatNumber(value, unit === 0 ? 0 : decimalsFor([value], 3))} ${units[unit]}`
}

/** Relative change of a candidate to its baseline: `-38 %`, with one decimal below 10 %. */
export function formatChange(ratio: number | null | undefined): string {
  if (ratio === null || ratio === undefined || !Number.isFinite(ratio)) return '–'
  const percent = (ratio - 1) * 100
  return `${formatSigned(percent, Math.abs(percent) < 10 ? 1 : 0)} %`
}

/** A number with its sign written, a plain zero without one. */
export function formatSigned(value: number, decimals: number): string {
  const text = formatNumber(value, decimals)
  return value > 0 && !/^[0.,]+$/.test(text) ? `+${text}` : text
}

/** `1.62x`. */
export function formatRatio(ratio: number): string {
  return `${formatNumber(ratio, ratio >= 10 ? 1 : 2)}x`
}

/** Fraction 0..1 as percent. */
export function formatPercent(fraction: number | null | undefined, decimals = 0): string {
  if (fraction === null || fraction === undefined || !Number.isFinite(fraction)) return '–'
  return `${formatNumber(fraction * 100, decimals)} %`
}

/** Milliseconds as a duration a person reads: 850 ms, 12.4 s, 3 min 05 s, 2 h 10 min. */
export function formatDuration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms) || ms < 0) return '–'
  if (ms < 1000) return `${Math.round(ms)} ms`
  const seconds = ms / 1000
  if (seconds < 59.95) return `${formatNumber(seconds, 1)} s`
  const total = Math.round(seconds)
  if (total < 3600) return `${Math.floor(total / 60)} min ${String(total % 60).padStart(2, '0')} s`
  const minutes = Math.round(total / 60)
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`
}

/** Tensor dimensions: `1×4×64×64`; unknown ones keep their name or `?`; a scalar has none. */
export function formatDims(dims: readonly (number | string | null)[] | null | undefined): string {
  if (!dims) return '?'
  if (dims.length === 0) return 'scalar'
  return dims.map((dim) => (dim === null || dim === '' ? '?' : String(dim))).join('×')
}

/** A large count with its short unit: 860.2 M, 12.4 k. */
export function formatCount(count: number | null | undefined): string {
  if (count === null || count === undefined || !Number.isFinite(count)) return '–'
  if (Math.abs(count) < 10_000) return formatNumber(count)
  const units = ['', 'k', 'M', 'G', 'T']
  let value = count
  let unit = 0
  while (Math.abs(value) >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${formatNumber(value, decimalsFor([value], 4))} ${units[unit]}`
}

/** Local date and time without seconds: 2026-11-22 19:54. */
export function formatDateTime(value: string | number | Date): string {
  const date = new Date(value)
  if (Number.isNaN(date.getTime())) return '–'
  const two = (part: number): string => String(part).padStart(2, '0')
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`
}

/** `3 hours ago` in the language of the window. */
export function formatAgo(value: string | number | Date, locale: string, now = Date.now()): string {
  const seconds = (new Date(value).getTime() - now) / 1000
  if (!Number.isFinite(seconds)) return '–'
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' })
  const steps: [Intl.RelativeTimeFormatUnit, number][] = [
    ['day', 86_400],
    ['hour', 3600],
    ['minute', 60],
  ]
  for (const [unit, size] of steps) {
    if (Math.abs(seconds) >= size) return relative.format(Math.round(seconds / size), unit)
  }
  return relative.format(Math.round(Math.min(0, seconds)), 'second')
}

/** Last part of a path on either system. */
export function baseName(path: string): string {
  return path.split(/[\\/]/).filter(Boolean).at(-1) ?? path
}
