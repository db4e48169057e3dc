// The environment the vendor's library needs. A desktop program does not inherit what `source set_env.sh` exports,
// and LD_LIBRARY_PATH is read once at process start: so it is composed here and given to the device process.
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { AclLibrary, Environment } from './discovery.ts'

const DRIVER_ROOT = '/usr/local/Ascend/driver'

function joinPaths(folders: string[], existing: string | undefined): string {
  const inherited = existing ? existing.split(':').filter((folder) => folder !== '') : []
  return [...new Set([...folders, ...inherited])].join(':')
}

/**
 * Variables of set_env.sh that the run time (not the compiler) reads, for an installation root. Values the user has
 * already set win; library folders are put in front of the inherited ones.
 */
export function vendorEnvironment(
  library: AclLibrary,
  env: Environment,
  exists: (file: string) => boolean = existsSync,
): Record<string, string> {
  if (library.root === null) return {}
  const root = library.root
  const driver = ['lib64', 'lib64/common', 'lib64/driver'].map((folder) => path.join(DRIVER_ROOT, folder))
  const toolkit = ['lib64', 'lib64/plugin/opskernel', 'lib64/plugin/nnengine'].map((folder) =>
    path.join(root, folder),
  )
  const folders = [path.dirname(library.path), ...toolkit, ...driver].filter((folder) => exists(folder))
  const opp = path.join(root, 'opp')
  return {
    LD_LIBRARY_PATH: joinPaths(folders, env['LD_LIBRARY_PATH']),
    ASCEND_HOME_PATH: env['ASCEND_HOME_PATH'] ?? root,
    ASCEND_TOOLKIT_HOME: env['ASCEND_TOOLKIT_HOME'] ?? root,
    ASCEND_AICPU_PATH: env['ASCEND_AICPU_PATH'] ?? root,
    ...(env['ASCEND_OPP_PATH'] !== undefined || exists(opp)
      ? { ASCEND_OPP_PATH: env['ASCEND_OPP_PATH'] ?? opp }
      : {}),
  }
}

/** Prefixes and names of variables that change what a device does; they are part of a result's conditions. */
const RELEVANT = /^(ASCEND_|ASCENDSIM_|CANN_|OMP_|GE_|TASK_QUEUE_ENABLE$|LD_LIBRARY_PATH$|HCCL_)/

/** The relevant variables of a process, sorted by name. */
export function relevantEnvironment(env: Environment): Record<string, string> {
  const entries = Object.entries(env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && RELEVANT.test(entry[0]),
  )
  return Object.fromEntries(entries.sort(([left], [right]) => (left < right ? -1 : 1)))
}
