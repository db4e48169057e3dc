// The deploy check in the window: tones of severities and the SoCs to choose from. Pure.
import type { DeviceDescription } from '../../../contract/device.ts'
import type { LintSeverity } from '../../../contract/lint.ts'

export function severityTone(severity: LintSeverity): 'bad' | 'warn' | 'plain' {
  const tones = { error: 'bad', warning: 'warn', info: 'plain' } as const
  return tones[severity]
}

/** Every SoC once, in alphabetical order. */
export function socChoices(devices: readonly Pick<DeviceDescription, 'soc'>[]): string[] {
  const names = devices.flatMap(({ soc }) => (soc === null ? [] : [soc]))
  return [...new Set(names)].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
}
