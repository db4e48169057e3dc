// Devices at the boundary: how one is named, what is known about it, what it says of a loaded model.
import { z } from 'zod'

/** `npu` is real hardware, `simulated` our libascendcl with a virtual device clock, `cpu` the host, measured for real. */
export const deviceKindSchema = z.enum(['npu', 'simulated', 'cpu'])
export type DeviceKind = z.infer<typeof deviceKindSchema>

/** What a latency sample was read from. Samples of different clocks are never compared. */
export const clockSchema = z.enum(['device events', 'simulated device clock', 'wall clock'])
export type Clock = z.infer<typeof clockSchema>

/** Tensor element types, by their NumPy names (plus the ones NumPy lacks). */
export const elementTypeSchema = z.enum([
  'float32',
  'float16',
  'bfloat16',
  'float64',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'bool',
  'other',
])
export type ElementType = z.infer<typeof elementTypeSchema>

/** Bytes of one element; 0 for `other`, whose size only the device knows. */
export const elementBytes: Readonly<Record<ElementType, number>> = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  float64: 8,
  int8: 1,
  uint8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
  uint64: 8,
  bool: 1,
  other: 0,
}

export const deviceSelectorSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('npu'), index: z.number().int().min(0).max(255) }),
  z.object({ kind: z.literal('simulated'), soc: z.string().min(1).max(64) }),
  z.object({ kind: z.literal('cpu') }),
])
export type DeviceSelector = z.infer<typeof deviceSelectorSchema>

/** The `--device` spelling of a selector: `npu:0`, `sim:Ascend310P3`, `cpu`. */
export function formatDeviceSelector(selector: DeviceSelector): string {
  if (selector.kind === 'npu') return `npu:${selector.index}`
  if (selector.kind === 'simulated') return `sim:${selector.soc}`
  return 'cpu'
}

/** Why a device cannot be used: an error shape. The details let the window say it in its own language. */
export const deviceProblemSchema = z.object({
  code: z.string(),
  message: z.string(),
  hint: z.string(),
  details: z.record(z.string(), z.unknown()),
})
export type DeviceProblem = z.infer<typeof deviceProblemSchema>

export const deviceProbeSchema = z.object({
  ok: z.boolean(),
  /** Wall time of the whole probe. */
  milliseconds: z.number().nonnegative(),
  /** What was really done, in order, e.g. `set device`, `copy round trip`, `execute`. */
  steps: z.array(z.string()),
  problem: deviceProblemSchema.optional(),
})
export type DeviceProbe = z.infer<typeof deviceProbeSchema>

/** Live readings; null where the device does not report the value. */
export const deviceTelemetrySchema = z.object({
  health: z.string().nullable(),
  powerWatt: z.number().nullable(),
  temperatureCelsius: z.number().nullable(),
  aiCoreUtilizationPercent: z.number().nullable(),
  memoryUsedBytes: z.number().nullable(),
  memoryTotalBytes: z.number().nullable(),
})
export type DeviceTelemetry = z.infer<typeof deviceTelemetrySchema>

/** One line of `aqw devices`. */
export const deviceDescriptionSchema = z.object({
  /** As given to `--device`. */
  id: z.string(),
  kind: deviceKindSchema,
  /** Product or CPU model name. */
  name: z.string(),
  soc: z.string().nullable(),
  memoryBytes: z.number().nonnegative().nullable(),
  /** AI cores of an NPU, logical cores of the host. */
  cores: z.number().nonnegative().nullable(),
  clock: clockSchema,
  usable: z.boolean(),
  /** Present when not usable. */
  problem: deviceProblemSchema.optional(),
  probe: deviceProbeSchema.optional(),
  telemetry: deviceTelemetrySchema.optional(),
})
export type DeviceDescription = z.infer<typeof deviceDescriptionSchema>

/** The conditions a result was taken under; stored with every result. */
export const deviceSnapshotSchema = z.object({
  id: z.string(),
  kind: deviceKindSchema,
  name: z.string(),
  soc: z.string().nullable(),
  clock: clockSchema,
  /** The runtime that executed: libascendcl or ONNX Runtime. */
  runtime: z.object({
    name: z.enum(['AscendCL', 'AscendCL simulator', 'ONNX Runtime']),
    /** Loaded library; null for the host CPU. */
    path: z.string().nullable(),
    version: z.string().nullable(),
  }),
  cannVersion: z.string().nullable(),
  driverVersion: z.string().nullable(),
  firmwareVersion: z.string().nullable(),
  memoryTotalBytes: z.number().nonnegative().nullable(),
  memoryFreeBytes: z.number().nonnegative().nullable(),
  host: z.object({
    cpuModel: z.string(),
    cores: z.number().int().nonnegative(),
    memoryBytes: z.number().nonnegative(),
    os: z.string(),
    nodeVersion: z.string(),
  }),
  /** ONNX Runtime threads of the host CPU device or of the simulator's numerics; null on an NPU. */
  intraOpThreads: z.number().int().positive().nullable(),
  interOpThreads: z.number().int().positive().nullable(),
  /** Variables that change behaviour (ASCEND_*, ASCENDSIM_*, OMP_*, ...), as set in the device process. */
  environment: z.record(z.string(), z.string()),
  takenAt: z.iso.datetime(),
})
export type DeviceSnapshot = z.infer<typeof deviceSnapshotSchema>

/** One model input or output as the device sees it. */
export const tensorSpecSchema = z.object({
  name: z.string(),
  elementType: elementTypeSchema,
  /** -1 where the size is dynamic. */
  dims: z.array(z.number().int()),
  /** Exact bytes; 0 when the shape is dynamic. For gear models the largest gear. */
  bytes: z.number().int().nonnegative(),
})
export type TensorSpec = z.infer<typeof tensorSpecSchema>

export const loadedModelSchema = z.object({
  /** Names the model in later calls of the same session. */
  handle: z.number().int().positive(),
  path: z.string(),
  inputs: z.array(tensorSpecSchema),
  outputs: z.array(tensorSpecSchema),
  loadMs: z.number().nonnegative(),
  /** Growth of used device memory while loading (resident set growth on the host CPU). */
  deviceMemoryBytes: z.number().nonnegative().nullable(),
  /** Working memory and weights as the .om states them; null for .onnx. */
  workBytes: z.number().nonnegative().nullable(),
  weightBytes: z.number().nonnegative().nullable(),
  /** Size of the model file, with external data. */
  modelBytes: z.number().nonnegative(),
})
export type LoadedModel = z.infer<typeof loadedModelSchema>

/** Not z.instanceof: that would refuse views of shared memory at compile time. */
const bytesSchema = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'expected a Uint8Array')

export const tensorValueSchema = z.object({
  elementType: elementTypeSchema,
  dims: z.array(z.number().int().nonnegative()),
  /** Little-endian elements, row-major. */
  data: bytesSchema,
})
export type TensorValue = z.infer<typeof tensorValueSchema>

/** Milliseconds of one inference; copies are null where there are none (host CPU). */
export const runTimingSchema = z.object({
  h2dMs: z.number().nonnegative().nullable(),
  executeMs: z.number().nonnegative(),
  d2hMs: z.number().nonnegative().nullable(),
  /** The execute call as a host clock saw it. Equals executeMs on the host CPU. */
  executeWallMs: z.number().nonnegative(),
})
export type RunTiming = z.infer<typeof runTimingSchema>

export const runResultSchema = z.object({
  outputs: z.record(z.string(), tensorValueSchema),
  timing: runTimingSchema,
})
export type RunResult = z.infer<typeof runResultSchema>

/** Bytes per input name; a model with dynamic dimensions also needs the shape. */
export const feedsSchema = z.record(z.string(), bytesSchema)
export type Feeds = z.infer<typeof feedsSchema>
export const shapesSchema = z.record(z.string(), z.array(z.number().int().nonnegative()).max(128))
export type Shapes = z.infer<typeof shapesSchema>

/** Stop after exactly `runs`, or when both minimums are reached. */
export const stopRuleSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('exact'), runs: z.number().int().min(1).max(10_000_000) }),
  z.object({
    kind: z.literal('minimum'),
    runs: z.number().int().min(1).max(10_000_000),
    milliseconds: z.number().nonnegative(),
  }),
])
export type StopRule = z.infer<typeof stopRuleSchema>

/** A measurement of one or more models of one session, interleaved in blocks: A A A B B B A A A B B B. */
export const measureRequestSchema = z.object({
  models: z
    .array(
      z.object({ handle: z.number().int().positive(), feeds: feedsSchema, shapes: shapesSchema.optional() }),
    )
    .min(1)
    .max(16),
  /** Each model is warmed up until both minimums are reached; zeros skip it. */
  warmup: z.object({ runs: z.number().int().nonnegative(), milliseconds: z.number().nonnegative() }),
  stop: stopRuleSchema,
  /** Consecutive runs of one model before the next one's turn. */
  blockRuns: z.number().int().min(1).max(100_000),
})
export type MeasureRequest = z.infer<typeof measureRequestSchema>

const samplesSchema = z.custom<Float64Array>(
  (value) => value instanceof Float64Array,
  'expected a Float64Array',
)

export const modelSamplesSchema = z.object({
  handle: z.number().int().positive(),
  warmupRuns: z.number().int().nonnegative(),
  warmupMs: z.number().nonnegative(),
  /** Index of the first run of every block. */
  blockStarts: z.array(z.number().int().nonnegative()),
  /** Wall time spent in this model's own blocks. */
  elapsedMs: z.number().nonnegative(),
  /** One entry per run; h2d and d2h are empty where there are no copies. */
  h2dMs: samplesSchema,
  executeMs: samplesSchema,
  d2hMs: samplesSchema,
  executeWallMs: samplesSchema,
})
export type ModelSamples = z.infer<typeof modelSamplesSchema>

export const measureResultSchema = z.object({
  clock: clockSchema,
  models: z.array(modelSamplesSchema),
  /** Largest resident set of the device process seen during the measurement. */
  peakResidentBytes: z.number().nonnegative(),
})
export type MeasureResult = z.infer<typeof measureResultSchema>
