// The models of an evaluation on their devices: one session per device, one loaded model per side, helpers on the host CPU.
import { AppError } from '../../../contract/errors/index.ts'
import type { QualitySide } from '../../../contract/evaluation.ts'
import { type DeviceSession, openDevice } from '../../device/index.ts'
import type { ModelRunner } from '../models.ts'

/** A model to judge. The reference is FP32 on ONNX Runtime and comes first. */
export interface SideRequest {
  label: string
  role: QualitySide['role']
  modelPath: string
  /** Device selector. */
  device: string
}

/** Opened devices and models, closed together. */
export class Models {
  readonly #sessions = new Map<string, DeviceSession>()
  readonly #loaded = new Map<string, ModelRunner>()

  /** The model on the device; the same pair is loaded once. */
  async load(device: string, modelPath: string): Promise<ModelRunner> {
    const key = JSON.stringify([device, modelPath])
    const known = this.#loaded.get(key)
    if (known) return known
    const session = this.#sessions.get(device) ?? (await openUnpaced(device))
    this.#sessions.set(device, session)
    const runner = { session, model: await session.loadModel(modelPath) }
    this.#loaded.set(key, runner)
    return runner
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions.values()) await session.close()
  }
}

/** Only results count here: a simulated device need not take as long as a real one. */
function openUnpaced(device: string): Promise<DeviceSession> {
  return openDevice(device, { env: { ASCENDSIM_PACE: '0' } })
}

export function checkCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AppError('E_CANCELLED')
}
