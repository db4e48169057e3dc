// Facts about the host that every snapshot carries.
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import type { DeviceSnapshot } from '../../contract/device.ts'

const require = createRequire(import.meta.url)

/** CPU model, cores, memory, operating system and Node version of this machine. */
export function hostFacts(): DeviceSnapshot['host'] {
  return {
    cpuModel: cpuModel(),
    cores: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    os: `${os.type()} ${os.release()} ${os.arch()}`,
    nodeVersion: process.version,
  }
}

/** Model name as the processor reports it; the architecture where it reports none (some ARM servers). */
export function cpuModel(): string {
  return os.cpus()[0]?.model.trim() || os.arch()
}

/**
 * Whether the integer kernels of ONNX Runtime saturate partial sums of uint8 x int8 on this processor: on x86 without the
 * VNNI instructions. False where it cannot be told but there is no x86.
 */
export function saturatesInteger(): boolean {
  if (os.arch() !== 'x64') return false
  try {
    return !/^flags\s*:.*\b(avx512_vnni|avx_vnni)\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'))
  } catch {
    return true
  }
}

/** Version of the ONNX Runtime package; null when it is not installed. */
export function onnxRuntimeVersion(): string | null {
  try {
    return (require('onnxruntime-node/package.json') as { version: string }).version
  } catch {
    return null
  }
}

/** libonnxruntime of the onnxruntime-node package, for the simulator; null where the package ships none. */
export function onnxRuntimeLibrary(): string | null {
  try {
    const root = path.dirname(require.resolve('onnxruntime-node/package.json'))
    const folder = path.join(root, 'bin/napi-v6', process.platform, process.arch)
    const file = path.join(
      folder,
      process.platform === 'darwin' ? 'libonnxruntime.dylib' : 'libonnxruntime.so.1',
    )
    return existsSync(file) ? file : null
  } catch {
    return null
  }
}
