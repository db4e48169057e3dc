// Figures as people read them: bytes, milliseconds, rates, counts, durations. Values stay exact elsewhere.

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** Bytes in binary units, e.g. `8.18 MiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (Math.abs(value) >= 1024 && unit < BINARY.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? value.toFixed(0) : value.toFixed(2)} ${BINARY[unit] ?? 'B'}`
}

/** A figure with about four significant digits and no exponent, e.g. `1234`, `12.35`, `0.01235`. */
export function formatFigure(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  const magnitude = Math.abs(value)
  if (magnitude >= 1000) return value.toFixed(0)
  if (magnitude >= 100) return value.toFixed(1)
  if (magnitude >= 10) return value.toFixed(2)
  if (magnitude >= 1) return value.toFixed(3)
  if (magnitude === 0) return '0'
  return value.toFixed(Math.min(12, 3 - Math.floor(Math.log10(magnitude))))
}

/** A count with a metric suffix, e.g. `859.5 M`. */
export function formatCount(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(2)} G`
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)} M`
  if (count >= 1e4) return `${(count / 1e3).toFixed(1)} k`
  return String(count)
}

/** A duration for a person who waits, e.g. `1:05` or `2:00:07`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const pad = (value: number): string => String(value).padStart(2, '0')
  const hours = Math.floor(whole / 3600)
  const minutes = Math.floor(whole / 60) % 60
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`
}
