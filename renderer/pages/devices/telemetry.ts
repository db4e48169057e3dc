// Live readings as gauges: only what the device really reports. Pure.
import type { DeviceTelemetry } from '../../../contract/device.ts'

export interface Reading {
  /** Milliseconds since the epoch. */
  at: number
  telemetry: DeviceTelemetry
}

export interface Gauge {
  /** Under devices.telemetry. */
  key: 'memory' | 'utilization' | 'temperature' | 'power'
  unit: 'bytes' | '%' | '°C' | 'W'
  now: number
  /** Upper end of the scale, when there is one. */
  max: number | null
  points: [number, number][]
}

/** Five minutes at one reading per second. */
export const MOST_POINTS = 300

export function gaugesOf(readings: readonly Reading[], memoryBytes: number | null): Gauge[] {
  const latest = readings.at(-1)?.telemetry
  if (!latest) return []
  const gauge = (
    key: Gauge['key'],
    unit: Gauge['unit'],
    pick: (telemetry: DeviceTelemetry) => number | null,
    max: number | null,
  ): Gauge | null => {
    const now = pick(latest)
    if (now === null) return null
    const points: [number, number][] = []
    for (const reading of readings) {
      const value = pick(reading.telemetry)
      if (value !== null) points.push([reading.at, value])
    }
    return { key, unit, now, max, points }
  }
  return [
    gauge(
      'memory',
      'bytes',
      (telemetry) => telemetry.memoryUsedBytes,
      latest.memoryTotalBytes ?? memoryBytes,
    ),
    gauge('utilization', '%', (telemetry) => telemetry.aiCoreUtilizationPercent, 100),
    gauge('temperature', '°C', (telemetry) => telemetry.temperatureCelsius, null),
    gauge('power', 'W', (telemetry) => telemetry.powerWatt, null),
  ].filter((item) => item !== null)
}
