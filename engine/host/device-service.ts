// Devices for the window: the list with remembered probe results, and live readings.
import os from 'node:os'
import type { DeviceDescription, DeviceTelemetry } from '../../contract/device.ts'
import { AppError } from '../../contract/errors/index.ts'
import { nearestNames } from '../common/nearest.ts'
import { listDevices, probeDevice } from '../device/index.ts'

/** A list without probes is reused for this long. */
const LIST_MS = 1000

export class DeviceService {
  readonly #probed = new Map<string, DeviceDescription>()
  #listed: { at: number; devices: Promise<DeviceDescription[]> } | undefined

  /** All devices; `probe` runs something small on each kind first. */
  async list(probe: boolean, signal?: AbortSignal): Promise<DeviceDescription[]> {
    if (probe) {
      const devices = await listDevices({ probe: true, ...(signal ? { signal } : {}) })
      for (const device of devices) if (device.probe) this.#probed.set(device.id, device)
      return devices
    }
    return (await this.#current()).map((device) => this.#withProbe(device))
  }

  /** Probes one device now. @throws E_ARGUMENT when there is no such device */
  async probe(id: string): Promise<DeviceDescription> {
    const device = await this.#find(id)
    const probe = await probeDevice(id)
    const { problem: _old, ...rest } = device
    const probed: DeviceDescription = {
      ...rest,
      usable: probe.ok,
      probe,
      ...(probe.problem ? { problem: probe.problem } : {}),
    }
    this.#probed.set(id, probed)
    return probed
  }

  /** Readings right now; for the host its own memory and load. @throws E_ARGUMENT when there is no such device */
  async telemetry(id: string): Promise<DeviceTelemetry> {
    const device = await this.#find(id)
    if (device.kind === 'cpu') return hostTelemetry()
    return device.telemetry ?? emptyTelemetry(device.memoryBytes)
  }

  async #find(id: string): Promise<DeviceDescription> {
    const devices = await this.#current()
    const device = devices.find((entry) => entry.id === id)
    if (device) return device
    const known = devices.map((entry) => entry.id)
    throw new AppError('E_ARGUMENT', {
      name: 'device',
      reason: `there is no ${id}`,
      expected: nearestNames(known, id).join(', '),
    })
  }

  #current(): Promise<DeviceDescription[]> {
    const at = Date.now()
    if (!this.#listed || at - this.#listed.at > LIST_MS) {
      const devices = listDevices({ probe: false })
      this.#listed = { at, devices }
      devices.catch(() => (this.#listed = undefined))
    }
    return this.#listed.devices
  }

  #withProbe(device: DeviceDescription): DeviceDescription {
    const probed = this.#probed.get(device.id)
    if (!probed?.probe) return device
    return {
      ...device,
      usable: device.usable && probed.usable,
      probe: probed.probe,
      ...(probed.problem ? { problem: probed.problem } : {}),
    }
  }
}

function emptyTelemetry(memoryTotalBytes: number | null): DeviceTelemetry {
  return {
    health: null,
    powerWatt: null,
    temperatureCelsius: null,
    aiCoreUtilizationPercent: null,
    memoryUsedBytes: null,
    memoryTotalBytes,
  }
}

function hostTelemetry(): DeviceTelemetry {
  const total = os.totalmem()
  return { ...emptyTelemetry(total), memoryUsedBytes: total - os.freemem() }
}
