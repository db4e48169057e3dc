// Figures of tensors: magnitudes from 1e-6 to 1e4 in one look. Pure.
import { formatNumber } from '../../format/units.ts'

/** A value with so many significant digits, in powers of ten where it is very small or large. */
export function formatFigure(value: number | null, digits = 4): string {
  if (value === null || !Number.isFinite(value)) return '–'
  if (value === 0) return '0'
  const magnitude = Math.floor(Math.log10(Math.abs(value)))
  if (magnitude < -4 || magnitude > 6) return value.toExponential(digits - 1).replace('e+', 'e')
  return formatNumber(value, Math.max(0, digits - 1 - magnitude))
}

/** A share as percent with two significant digits below 1 %. */
export function formatShare(share: number): string {
  if (share === 0) return '0 %'
  const percent = share * 100
  return `${percent >= 10 ? formatNumber(percent, 0) : formatFigure(percent, 2)} %`
}
