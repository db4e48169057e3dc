// Versions of CANN, driver and firmware as their installers write them down. Small text files; every one may be missing.
import { closeSync, openSync, readSync } from 'node:fs'
import path from 'node:path'
import { cannArchitecture } from './discovery.ts'

export interface InstalledVersions {
  /** Release of the toolkit or run time, e.g. `8.0.0`, `8.3.RC2`, `9.2.0-beta.2`. */
  cann: string | null
  /** Internal build, e.g. `V100R001C20SPC001B251`. */
  cannInner: string | null
  driver: string | null
  firmware: string | null
  /** Files the values were read from, for the environment report. */
  sources: string[]
}

/** Text of a file, or null when it cannot be read. */
export type ReadText = (file: string) => string | null

const MAX_BYTES = 64 * 1024

/** Reads at most 64 KiB of a text file; null when it is missing or unreadable. */
export function readSmallText(file: string): string | null {
  let descriptor: number | undefined
  try {
    descriptor = openSync(file, 'r')
    const buffer = Buffer.alloc(MAX_BYTES)
    return buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, MAX_BYTES, 0))
  } catch {
    return null
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

/** `key=value` lines; keys in lower case, the first of two equal keys wins, `#` starts a comment line. */
export function parseInfoFile(text: string): Map<string, string> {
  const values = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const at = line.indexOf('=')
    if (at <= 0 || line.trimStart().startsWith('#')) continue
    const key = line.slice(0, at).trim().toLowerCase()
    if (!values.has(key)) values.set(key, line.slice(at + 1).trim())
  }
  return values
}

/** version.cfg: `runtime_running_version=[7.7.T20.0.B210:8.1.RC1]`; the release stands after the colon. */
export function releaseOfVersionCfg(text: string): string | null {
  const match = /^\w+_running_version=\[[^:\]]*:([^\]]+)\]/m.exec(text)
  return match?.[1]?.trim() ?? null
}

function nonEmpty(value: string | undefined): string | null {
  return value === undefined || value === '' ? null : value
}

function cannVersion(
  root: string,
  read: ReadText,
): { release: string | null; inner: string | null; source: string | null } {
  const installer = [
    'ascend_toolkit_install.info',
    'ascend_nnrt_install.info',
    'ascend_nnae_install.info',
  ].flatMap((name) => [path.join(root, cannArchitecture(), name), path.join(root, name)])
  for (const file of installer) {
    const text = read(file)
    if (text === null) continue
    const info = parseInfoFile(text)
    return { release: nonEmpty(info.get('version')), inner: nonEmpty(info.get('innerversion')), source: file }
  }
  const cfg = path.join(root, 'version.cfg')
  const release = releaseOfVersionCfg(read(cfg) ?? '')
  if (release !== null) return { release, inner: null, source: cfg }
  for (const file of [
    path.join(root, 'share/info/runtime/version.info'),
    path.join(root, 'runtime/version.info'),
  ]) {
    const text = read(file)
    if (text === null) continue
    const info = parseInfoFile(text)
    // CANN 8 writes the component's number as Version and the release as version_dir.
    return { release: nonEmpty(info.get('version_dir') ?? info.get('version')), inner: null, source: file }
  }
  return { release: null, inner: null, source: null }
}

/** Folder the driver was installed to, from /etc/ascend_install.info; the usual one when that says nothing. */
function driverRoot(read: ReadText): string {
  const info = parseInfoFile(read('/etc/ascend_install.info') ?? '')
  const folder = info.get('driver_install_path_param')
  return folder !== undefined && path.isAbsolute(folder) ? folder : '/usr/local/Ascend'
}

/**
 * Reads the version files of an installation.
 * @param root folder that ASCEND_HOME_PATH names; null when no CANN was found (driver and firmware are still read)
 */
export function readInstalledVersions(
  root: string | null,
  read: ReadText = readSmallText,
): InstalledVersions {
  const sources: string[] = []
  const cann = root === null ? { release: null, inner: null, source: null } : cannVersion(root, read)
  if (cann.source !== null) sources.push(cann.source)
  const drivers = driverRoot(read)
  const versionOf = (file: string) => {
    const text = read(file)
    if (text === null) return null
    sources.push(file)
    const info = parseInfoFile(text)
    // Newer drivers put the package's number apart; Version is then that of a component.
    return nonEmpty(info.get('package_version') ?? info.get('version'))
  }
  const driver = versionOf(path.join(drivers, 'driver/version.info'))
  const firmware = versionOf(path.join(drivers, 'firmware/version.info'))
  return { cann: cann.release, cannInner: cann.inner, driver, firmware, sources }
}
