// `--device` spellings: npu:0, sim:Ascend310P3, cpu.
import { formatDeviceSelector, type DeviceSelector } from '../../contract/device.ts'
import { AppError } from '../../contract/errors/index.ts'
import { nearestNames } from '../common/nearest.ts'
import { simulatedSocs } from './socs.ts'

const MAX_NPU_INDEX = 255

/** Names a user can type when no NPU has been looked for. */
function offlineDeviceIds(): string[] {
  return [...simulatedSocs.map((soc) => `sim:${soc.name}`), 'cpu']
}

/** The error of a device that does not exist; `available` are those that do. */
export function unknownDevice(device: string, available: string[]): AppError {
  return new AppError('E_DEVICE_UNKNOWN', {
    device: device.slice(0, 80),
    nearest: nearestNames([...available, 'npu:0'], device),
    available,
  })
}

/**
 * Reads a device name. `npu` alone is `npu:0`; the SoC's letters may be in any case. Whether an NPU of that number is
 * there is found out when it is opened.
 * @throws E_DEVICE_UNKNOWN with the nearest and all available names
 */
export function parseDeviceSelector(text: string): DeviceSelector {
  const wanted = text.trim()
  if (/^cpu$/i.test(wanted)) return { kind: 'cpu' }
  const npu = /^npu(?::(\d{1,3}))?$/i.exec(wanted)
  if (npu) {
    const index = Number(npu[1] ?? 0)
    if (index <= MAX_NPU_INDEX) return { kind: 'npu', index }
  }
  const simulated = /^sim:(.+)$/i.exec(wanted)?.[1]?.toLowerCase()
  const soc = simulatedSocs.find((candidate) => candidate.name.toLowerCase() === simulated)
  if (soc) return { kind: 'simulated', soc: soc.name }
  throw unknownDevice(wanted, offlineDeviceIds())
}

/** Accepts both forms everywhere a device is named. @throws E_DEVICE_UNKNOWN */
export function toDeviceSelector(device: DeviceSelector | string): DeviceSelector {
  return parseDeviceSelector(typeof device === 'string' ? device : formatDeviceSelector(device))
}
