// The guard: two results are set against each other only when nothing but the model differs.
import type { BenchmarkResult, Incomparability } from '../../contract/benchmark.ts'

type Field = Incomparability['field']

function facts(result: BenchmarkResult): Record<Field, string> {
  const { device } = result
  const text = (value: string | number | null) => (value === null ? 'not reported' : String(value))
  return {
    // The host executes in every kind; on an NPU it decides the copies.
    device: `${device.id}, ${device.name}, ${device.host.cpuModel}`,
    soc: text(device.soc),
    runtime: `${device.runtime.name} ${text(device.runtime.version)}`,
    cann: text(device.cannVersion),
    driver: `${text(device.driverVersion)}, firmware ${text(device.firmwareVersion)}`,
    clock: result.clock,
    threads: `${text(device.intraOpThreads)} intra-op, ${text(device.interOpThreads)} inter-op`,
    inputs: result.inputsHash,
    batch: String(result.batch),
    harness: result.harnessVersion,
  }
}

/** Conditions in which two results differ; empty when they may be compared. */
export function incomparable(baseline: BenchmarkResult, candidate: BenchmarkResult): Incomparability[] {
  const left = facts(baseline)
  const right = facts(candidate)
  return (Object.keys(left) as Field[])
    .filter((field) => left[field] !== right[field])
    .map((field) => ({ field, baseline: left[field], candidate: right[field] }))
}
