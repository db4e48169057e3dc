// A benchmark result to vary in tests.
import { defaultScenario, type BenchmarkResult } from '../../../contract/benchmark.ts'
import type { DeviceSnapshot } from '../../../contract/device.ts'
import { summarizeLatencies } from '../../../engine/benchmark/statistics.ts'

export const snapshot: DeviceSnapshot = {
  id: 'npu:0',
  kind: 'npu',
  name: 'Ascend310P3',
  soc: 'Ascend310P3',
  clock: 'device events',
  runtime: { name: 'AscendCL', path: '/usr/local/Ascend/lib64/libascendcl.so', version: '1.17.0' },
  cannVersion: '8.0.0',
  driverVersion: '24.1.rc1',
  firmwareVersion: '7.7.0.1.231',
  memoryTotalBytes: 22_000_000_000,
  memoryFreeBytes: 20_000_000_000,
  host: {
    cpuModel: 'Kunpeng 920',
    cores: 64,
    memoryBytes: 1e11,
    os: 'Linux 5.10 arm64',
    nodeVersion: 'v24.0.0',
  },
  intraOpThreads: null,
  interOpThreads: null,
  environment: {},
  takenAt: '2026-01-02T03:04:05.000Z',
}

export function makeResult(executeMs: number[] = [1, 2, 3]): BenchmarkResult {
  const summary = summarizeLatencies(executeMs)
  return {
    schema: 'aqw.benchmark/1',
    harnessVersion: '1',
    label: 'FP16',
    model: { path: 'a.om', bytes: 10, inputs: [], outputs: [], loadMs: 1 },
    device: snapshot,
    clock: 'device events',
    deterministic: false,
    costValidation: null,
    scenario: defaultScenario('npu'),
    batch: 1,
    inputsHash: 'aa',
    startedAt: '2026-01-02T03:04:05.000Z',
    runs: executeMs.length,
    elapsedMs: 10,
    warmup: { runs: 20, milliseconds: 2000 },
    blocks: 1,
    interleavedWith: 1,
    latencyMs: { execute: summary, executeWall: summary, h2d: null, d2h: null, endToEnd: summary },
    qps: { execute: 1, endToEnd: 1 },
    memory: { deviceBytes: null, workBytes: null, weightBytes: null, hostPeakBytes: 1 },
    samples: { executeMs, executeWallMs: executeMs, h2dMs: [], d2hMs: [], blockStarts: [0] },
    verdict: { valid: true, reasons: [] },
  }
}
