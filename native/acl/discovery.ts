// Where libascendcl.so may be: the vendor's installation, or our simulator. Only looks at files, loads nothing.
import { existsSync, realpathSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export type Environment = Readonly<Record<string, string | undefined>>

export interface AclLibrary {
  kind: 'vendor' | 'simulator'
  /** Absolute path of the library. */
  path: string
  /** Installation root it was found under (the folder ASCEND_HOME_PATH names); null for the simulator. */
  root: string | null
}

export interface Discovery {
  library: AclLibrary | null
  /** Every path that was tried, in order, for the error text. */
  searched: string[]
}

type Exists = (file: string) => boolean

/** Architecture prefix of CANN's folders. */
export function cannArchitecture(arch: string = process.arch): string {
  return arch === 'arm64' ? 'aarch64-linux' : 'x86_64-linux'
}

/** Installation roots in the order they are tried: what the user set, then the usual prefixes, newest layout first. */
export function installRoots(env: Environment): string[] {
  const set = [env['ASCEND_HOME_PATH'], env['ASCEND_TOOLKIT_HOME'], env['CANN_HOME']]
  const prefixes = ['/usr/local/Ascend', ...(env['HOME'] ? [path.join(env['HOME'], 'Ascend')] : [])]
  const flavours = ['cann', 'ascend-toolkit/latest', 'nnrt/latest', 'nnae/latest']
  const usual = prefixes.flatMap((prefix) => flavours.map((flavour) => path.join(prefix, flavour)))
  const roots = [...set.filter((root) => root !== undefined && path.isAbsolute(root)), ...usual] as string[]
  return [...new Set(roots.map((root) => path.normalize(root)))]
}

/** Places of the library under a root over the generations of CANN. Compile-only stub folders are left out. */
function libraryCandidates(root: string, arch: string = process.arch): string[] {
  const folders = [
    'lib64',
    `${cannArchitecture(arch)}/lib64`,
    'runtime/lib64',
    'acllib/lib64',
    'fwkacllib/lib64',
  ]
  return folders.map((folder) => path.join(root, folder, 'libascendcl.so'))
}

/** Finds the vendor's library. `searched` explains a null. */
export function findVendorLibrary(env: Environment = process.env, exists: Exists = existsSync): Discovery {
  const searched: string[] = []
  for (const root of installRoots(env)) {
    for (const candidate of libraryCandidates(root)) {
      searched.push(candidate)
      if (exists(candidate)) return { library: { kind: 'vendor', path: candidate, root }, searched }
    }
  }
  return { library: null, searched }
}

const projectRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')

/** Path of our simulator, built or not. `ASCENDSIM_LIBRARY` overrides it, e.g. for a sanitizer build. */
export function simulatorPath(env: Environment = process.env): string {
  return env['ASCENDSIM_LIBRARY'] ?? path.join(projectRoot, 'native/simulator/build/libascendcl.so')
}

/** Finds our simulator; null when it is not built. */
export function findSimulatorLibrary(env: Environment = process.env): Discovery {
  const file = simulatorPath(env)
  const library: AclLibrary | null = existsSync(file)
    ? { kind: 'simulator', path: realpathSync(file), root: null }
    : null
  return { library, searched: [file] }
}
