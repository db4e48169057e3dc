// Opening a device: the right process, the right environment, and the session object over it.
import path from 'node:path'
import { formatDeviceSelector, type DeviceSelector, type DeviceSnapshot } from '../../contract/device.ts'
import type { WorkContext } from '../../contract/work.ts'
import { vendorEnvironment } from '../../native/acl/index.ts'
import { libraryFor } from './acl-backend.ts'
import { DeviceProcess } from './device-process.ts'
import { onnxRuntimeLibrary } from './host-facts.ts'
import { toDeviceSelector } from './selector.ts'
import type { DeviceSession, OpenOptions } from './types.ts'

/** Variables the device process needs beyond the inherited ones. */
function processEnvironment(selector: DeviceSelector, options: OpenOptions): Record<string, string> {
  if (selector.kind === 'cpu') return { ...options.env }
  const library = libraryFor(selector)
  if (selector.kind === 'npu') return { ...vendorEnvironment(library, process.env), ...options.env }
  const onnxRuntime = process.env['ASCENDSIM_ORT'] ?? onnxRuntimeLibrary()
  return {
    ASCENDSIM_SOC: selector.soc,
    ...(onnxRuntime === null ? {} : { ASCENDSIM_ORT: onnxRuntime }),
    ...(options.intraOpThreads === undefined ? {} : { ASCENDSIM_THREADS: String(options.intraOpThreads) }),
    ...options.env,
  }
}

/**
 * Opens a device in a process of its own. A simulated or real device that cannot be used fails here, with the reason.
 * @throws E_DEVICE_UNKNOWN, E_DEVICE_LIBRARY_MISSING, E_DEVICE_SIMULATOR_MISSING, E_DEVICE_LIBRARY_LOAD,
 *   E_DEVICE_STUB_LIBRARY, E_DEVICE_DRIVER, E_DEVICE_START, E_DEVICE_LOST
 */
export async function openDevice(
  device: DeviceSelector | string,
  options: OpenOptions = {},
): Promise<DeviceSession> {
  const selector = toDeviceSelector(device)
  const child = await DeviceProcess.start({
    device: formatDeviceSelector(selector),
    entry: selector.kind === 'cpu' ? 'cpu-process' : 'acl-process',
    env: processEnvironment(selector, options),
  })
  try {
    const { intraOpThreads, interOpThreads } = options
    const snapshot = await child.request({ type: 'open', selector, intraOpThreads, interOpThreads })
    return createSession(selector, snapshot, child)
  } catch (error) {
    await child.close()
    throw error
  }
}

function createSession(
  selector: DeviceSelector,
  snapshot: DeviceSnapshot,
  child: DeviceProcess,
): DeviceSession {
  return {
    selector,
    snapshot,
    pid: child.pid,
    loadModel: (file) => child.request({ type: 'load', path: path.resolve(file) }),
    run: (handle, feeds, shapes) => child.request({ type: 'run', handle, feeds, shapes }),
    measure: (request, ctx?: WorkContext) => child.request({ type: 'measure', request }, ctx),
    probe: (modelPath) => {
      return child.request({
        type: 'probe',
        modelPath: modelPath === undefined ? undefined : path.resolve(modelPath),
      })
    },
    takeSnapshot: () => child.request({ type: 'snapshot' }),
    unload: async (handle) => {
      await child.request({ type: 'unload', handle })
    },
    close: () => child.close(),
    [Symbol.asyncDispose]: () => child.close(),
  }
}
