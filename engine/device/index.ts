// Devices: discovery, selection, and sessions over device processes.
export { formatDeviceSelector } from '../../contract/device.ts'
export { onnxRuntimeLibrary } from './host-facts.ts'
export { installationReport, type InstallationReport } from './installation.ts'
export { listDevices, probeDevice, type ListOptions } from './list.ts'
export { parseDeviceSelector } from './selector.ts'
export { openDevice } from './session.ts'
export { simulatedSocs, type SimulatedSoc } from './socs.ts'
export type { DeviceSession, OpenOptions } from './types.ts'
