// What of CANN is installed here, for `aqw doctor`, `cann_tool --version` and the environment strip.
import {
  findNpuSmi,
  findSimulatorLibrary,
  findVendorLibrary,
  readInstalledVersions,
  type InstalledVersions,
} from '../../native/acl/index.ts'
import { onnxRuntimeLibrary, onnxRuntimeVersion } from './host-facts.ts'

export interface InstallationReport {
  /** The vendor's libascendcl.so; null when none was found. */
  aclLibrary: string | null
  /** Installation root it was found under. */
  cannRoot: string | null
  /** Where it was looked for. */
  searched: string[]
  versions: InstalledVersions
  npuSmi: string | null
  simulator: { path: string; built: boolean }
  onnxRuntime: { version: string | null; library: string | null }
}

/** Looks at files only; starts nothing. */
export function installationReport(): InstallationReport {
  const vendor = findVendorLibrary()
  const simulator = findSimulatorLibrary()
  return {
    aclLibrary: vendor.library?.path ?? null,
    cannRoot: vendor.library?.root ?? null,
    searched: vendor.searched,
    versions: readInstalledVersions(vendor.library?.root ?? null),
    npuSmi: findNpuSmi(),
    simulator: {
      path: simulator.library?.path ?? simulator.searched[0] ?? '',
      built: simulator.library !== null,
    },
    onnxRuntime: { version: onnxRuntimeVersion(), library: onnxRuntimeLibrary() },
  }
}
