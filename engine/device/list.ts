// Which devices there are, each with the reason when it cannot be used. Probes run in processes of their own.
import os from 'node:os'
import type { DeviceDescription, DeviceProbe, DeviceProblem } from '../../contract/device.ts'
import { AppError, toErrorShape } from '../../contract/errors/index.ts'
import type { WorkContext } from '../../contract/work.ts'
import {
  createNpuSmiReader,
  findSimulatorLibrary,
  findVendorLibrary,
  type NpuReading,
} from '../../native/acl/index.ts'
import { cpuModel } from './host-facts.ts'
import { openDevice } from './session.ts'
import { simulatedSocs } from './socs.ts'
import type { OpenOptions } from './types.ts'

export interface ListOptions extends WorkContext {
  /** Run the real tiny run of every device kind (default). Without it, only files are looked at. */
  probe?: boolean
  /** A small .om for Ascend310P3 that simulated devices and NPUs of that SoC execute as part of the probe. */
  probeModelPath?: string
}

/** SoC whose probe stands for all simulated devices: they share one library and differ in tables only. */
const PROBED_SOC = 'Ascend310P3'
const MAX_NPUS = 64

const npuSmi = createNpuSmiReader()

function problemOf(error: unknown): DeviceProblem {
  const { code, message, hint, details } = toErrorShape(error)
  return { code, message, hint, details }
}

/** Opens the device, runs its probe, closes it. Failures to open are a failed probe. */
export async function probeDevice(
  device: string,
  modelPath?: string,
  options: OpenOptions = {},
): Promise<DeviceProbe> {
  const start = performance.now()
  try {
    await using session = await openDevice(device, options)
    const probe = await session.probe(modelPath)
    return { ...probe, milliseconds: performance.now() - start }
  } catch (error) {
    return { ok: false, milliseconds: performance.now() - start, steps: [], problem: problemOf(error) }
  }
}

function verdictOf(probe: DeviceProbe | undefined): Pick<DeviceDescription, 'usable' | 'problem' | 'probe'> {
  if (!probe) return { usable: true }
  return { usable: probe.ok, probe, ...(probe.problem ? { problem: probe.problem } : {}) }
}

function telemetryOf(reading: NpuReading): DeviceDescription['telemetry'] {
  const bytes = (megabytes: number | null) => (megabytes === null ? null : megabytes * 1024 * 1024)
  return {
    health: reading.health,
    powerWatt: reading.powerWatt,
    temperatureCelsius: reading.temperatureCelsius,
    aiCoreUtilizationPercent: reading.aiCorePercent,
    memoryUsedBytes: bytes(reading.memoryUsedMb),
    memoryTotalBytes: bytes(reading.memoryTotalMb),
  }
}

/** One NPU by index; null when the library says there is none of that number. */
async function describeNpu(index: number, options: ListOptions): Promise<DeviceDescription | null> {
  const id = `npu:${index}`
  const base = { id, kind: 'npu', cores: null, clock: 'device events' } as const
  try {
    await using session = await openDevice(id)
    const { snapshot } = session
    const modelPath = snapshot.soc === PROBED_SOC ? options.probeModelPath : undefined
    const probe = options.probe === false ? undefined : await session.probe(modelPath)
    // npu-smi lists chips in the order of their logical numbers.
    const reading = (await npuSmi.read())?.readings[index]
    return {
      ...base,
      kind: snapshot.kind,
      clock: snapshot.clock,
      name: snapshot.name,
      soc: snapshot.soc,
      memoryBytes: snapshot.memoryTotalBytes,
      ...verdictOf(probe),
      ...(reading ? { telemetry: telemetryOf(reading) } : {}),
    }
  } catch (error) {
    if (index > 0 && error instanceof AppError && error.code === 'E_DEVICE_UNKNOWN') return null
    return {
      ...base,
      name: 'Ascend NPU',
      soc: null,
      memoryBytes: null,
      usable: false,
      problem: problemOf(error),
    }
  }
}

async function listNpus(options: ListOptions): Promise<DeviceDescription[]> {
  if (findVendorLibrary().library === null) {
    const missing = await describeNpu(0, options)
    return missing ? [missing] : []
  }
  const found: DeviceDescription[] = []
  for (let index = 0; index < MAX_NPUS; index++) {
    if (options.signal?.aborted) throw new AppError('E_CANCELLED')
    const description = await describeNpu(index, options)
    if (description === null) break
    found.push(description)
    // The driver itself is unusable: asking for further numbers would fail the same way.
    if (!description.usable && description.soc === null) break
  }
  return found
}

async function listSimulated(options: ListOptions): Promise<DeviceDescription[]> {
  const { library, searched } = findSimulatorLibrary()
  const verdict =
    library === null
      ? {
          usable: false,
          problem: problemOf(new AppError('E_DEVICE_SIMULATOR_MISSING', { path: searched[0] })),
        }
      : verdictOf(
          options.probe === false
            ? undefined
            : await probeDevice(`sim:${PROBED_SOC}`, options.probeModelPath),
        )
  return simulatedSocs.map((soc) => ({
    id: `sim:${soc.name}`,
    kind: 'simulated',
    name: soc.products === null ? soc.name : `${soc.name} (${soc.products})`,
    soc: soc.name,
    memoryBytes: soc.memoryBytes,
    cores: soc.aiCores,
    clock: 'simulated device clock',
    ...verdict,
  }))
}

async function describeCpu(options: ListOptions): Promise<DeviceDescription> {
  return {
    id: 'cpu',
    kind: 'cpu',
    name: cpuModel(),
    soc: null,
    memoryBytes: os.totalmem(),
    cores: os.availableParallelism(),
    clock: 'wall clock',
    ...verdictOf(options.probe === false ? undefined : await probeDevice('cpu')),
  }
}

/**
 * Every device of this machine: real NPUs (or one entry saying why there are none), the simulated SoCs, the host CPU.
 * @throws E_CANCELLED
 */
export async function listDevices(options: ListOptions = {}): Promise<DeviceDescription[]> {
  const lists: DeviceDescription[][] = []
  for (const list of [listNpus, listSimulated, async () => [await describeCpu(options)]]) {
    if (options.signal?.aborted) throw new AppError('E_CANCELLED')
    lists.push(await list(options))
    options.onProgress?.({ stage: 'devices', done: lists.length, total: 3 })
  }
  return lists.flat()
}
