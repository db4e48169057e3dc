// What the rest of the engine holds of an opened device.
import type {
  DeviceProbe,
  DeviceSelector,
  DeviceSnapshot,
  Feeds,
  LoadedModel,
  MeasureRequest,
  MeasureResult,
  RunResult,
  RunTiming,
  Shapes,
} from '../../contract/device.ts'
import type { WorkContext } from '../../contract/work.ts'

export interface OpenOptions {
  /** ONNX Runtime threads of the host CPU device, or of the simulator's numerics. Default: all available cores. */
  intraOpThreads?: number
  interOpThreads?: number
  /** Variables set on top of the inherited ones in the device process, e.g. `ASCENDSIM_PACE: '0'`. */
  env?: Record<string, string>
}

/** One opened device: a process of its own, closed by `close` or `await using`. */
export interface DeviceSession {
  readonly selector: DeviceSelector
  /** Conditions at the time of opening. */
  readonly snapshot: DeviceSnapshot
  /** Process id of the device process. */
  readonly pid: number
  /**
   * Loads an .om (npu, simulated) or .onnx (cpu).
   * @throws E_FILE_NOT_FOUND, E_DEVICE_MODEL_FORMAT, E_DEVICE_MODEL_FILE, E_DEVICE_MODEL_SOC, E_DEVICE_MEMORY
   */
  loadModel(path: string): Promise<LoadedModel>
  /**
   * One inference. `feeds` holds little-endian bytes per input; `shapes` is needed where a dimension is dynamic.
   * @throws E_DEVICE_INPUT_MISSING, E_DEVICE_INPUT_UNKNOWN, E_DEVICE_INPUT_SIZE, E_DEVICE_INPUT_SHAPE,
   *   E_DEVICE_MODEL_ID, E_DEVICE_EXECUTION, E_DEVICE_LOST
   */
  run(handle: number, feeds: Feeds, shapes?: Shapes): Promise<RunResult>
  /** Interleaved timing inside the device process; see MeasureRequest. Progress counts runs (stage `measure`). */
  measure(request: MeasureRequest, ctx?: WorkContext): Promise<MeasureResult>
  /** A real tiny run on this device; executes `modelPath` too when given (an .om for npu and simulated). */
  probe(modelPath?: string): Promise<DeviceProbe>
  /** The conditions now: free memory changes as models are loaded. */
  takeSnapshot(): Promise<DeviceSnapshot>
  unload(handle: number): Promise<void>
  /** Ends the device process; pending calls fail with E_DEVICE_CLOSED. Safe to call twice. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** What a device process implements, once for ACL and once for the host CPU. */
export interface DeviceBackend {
  snapshot(): DeviceSnapshot
  load(path: string): Promise<LoadedModel>
  run(handle: number, feeds: Feeds, shapes?: Shapes): Promise<RunResult>
  /** Stages the inputs and returns the call that runs the model once with them. */
  prepare(handle: number, feeds: Feeds, shapes?: Shapes): Step
  /** Appends what it has done to `steps`; throws the first failure. */
  probe(steps: string[], modelPath?: string): Promise<void>
  unload(handle: number): Promise<void>
  close(): Promise<void>
}

export type Step = () => RunTiming | Promise<RunTiming>
