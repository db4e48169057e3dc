// `npu-smi info`: finds the tool, runs it, and reads its table by the words of the header, because columns move with
// the product (310P without HBM, 910B with HBM, A3 with two dies per NPU, 950 with one id) and with the driver.
import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'

export interface NpuReading {
  npu: number
  /** Chip or die within the NPU; 0 where the table has none. */
  chip: number
  /** As printed, e.g. `310P3`, `910B2`, `Ascend910`. */
  name: string
  health: string
  busId: string | null
  /** null where the device prints NA or -. */
  powerWatt: number | null
  temperatureCelsius: number | null
  aiCorePercent: number | null
  /** DDR of 310-class devices, HBM of 910-class ones. MB as npu-smi counts them (1024 x 1024 bytes). */
  memoryUsedMb: number | null
  memoryTotalMb: number | null
}

export interface NpuSmiReport {
  toolVersion: string | null
  readings: NpuReading[]
}

function cells(line: string): string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim())
}

function number(text: string | undefined): number | null {
  if (text === undefined || !/^-?\d+(\.\d+)?$/.test(text)) return null
  return Number(text)
}

/** Splits a cell into words, with `a / b` pairs (blanks around the slash vary) kept together as `a/b`. */
function words(cell: string | undefined): string[] {
  return (cell ?? '')
    .replace(/\s*\/\s*/g, '/')
    .split(/\s+/)
    .filter((word) => word !== '')
}

function pair(text: string | undefined): { used: number | null; total: number | null } {
  const [used, total] = (text ?? '').split('/')
  return { used: number(used), total: number(total) }
}

interface Header {
  /** Words of the last column of both header lines, in lower case, units cut off. */
  first: string[]
  second: string[]
  healthColumn: number
  /** Column of the name when it is not in the first one, behind the NPU number. */
  nameColumn: number
  /** First column of the second line names a chip ("Chip ..."). */
  hasChip: boolean
}

/** `AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)` -> aicore, memory-usage, hbm-usage; `NPU Util(%)` is one heading. */
function headings(cell: string | undefined): string[] {
  return (cell ?? '')
    .replace(/NPU\s+Util/i, 'AICore')
    .replace(/AI\s+Core/i, 'AICore')
    .replace(/\([^)]*\)/g, ' ')
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
}

function readHeader(first: string[], second: string[]): Header {
  return {
    first: headings(first.at(-1)),
    second: headings(second.at(-1)),
    healthColumn: first.findIndex((cell) => /^health$/i.test(cell)),
    nameColumn: first.findIndex((cell) => /^name$/i.test(cell)),
    hasChip: /^chip/i.test(second[0] ?? ''),
  }
}

function readDevice(header: Header, first: string[], second: string[]): NpuReading | null {
  const identity = words(first[0])
  const npu = number(identity[0])
  const name = header.nameColumn > 0 ? (first[header.nameColumn] ?? '') : identity.slice(1).join(' ')
  if (npu === null || name === '') return null
  const valuesFirst = words(first.at(-1))
  const valuesSecond = words(second.at(-1))
  const at = (names: string[], values: string[], heading: string) => {
    const index = names.indexOf(heading)
    return index < 0 ? undefined : values[index]
  }
  const chip = number(words(second[0])[0]) ?? 0
  const memory = pair(at(header.second, valuesSecond, 'memory-usage'))
  const hbm = pair(at(header.second, valuesSecond, 'hbm-usage'))
  const main = hbm.total !== null && hbm.total > 0 ? hbm : memory
  return {
    npu,
    chip: header.hasChip ? chip : 0,
    name,
    health: first[header.healthColumn] ?? 'UNKNOWN',
    busId: second.find((cell) => /^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]$/i.test(cell)) ?? null,
    powerWatt: number(at(header.first, valuesFirst, 'power')),
    temperatureCelsius: number(at(header.first, valuesFirst, 'temp')),
    aiCorePercent: number(at(header.second, valuesSecond, 'aicore')),
    memoryUsedMb: main.used,
    memoryTotalMb: main.total,
  }
}

/**
 * Reads the table of `npu-smi info`. Lines it cannot understand are skipped: a new format yields fewer readings, not
 * wrong ones.
 */
export function parseNpuSmiInfo(text: string): NpuSmiReport {
  const toolVersion = /npu-smi\s+(\S+)/.exec(text)?.[1] ?? null
  const readings: NpuReading[] = []
  let header: Header | null = null
  let pending: string[] | null = null
  let inDevices = false
  for (const line of text.split(/\r?\n/)) {
    if (!line.trimStart().startsWith('|')) continue
    const row = cells(line.trim())
    const isHeader = /^NPU\b/i.test(row[0] ?? '') && row.length >= 3
    if (isHeader) {
      inDevices = row.some((cell) => /^health$/i.test(cell))
      header = null
      pending = inDevices ? row : null
      continue
    }
    if (!inDevices || row.length < 2) continue
    if (pending === null) {
      pending = row
    } else if (header === null) {
      header = readHeader(pending, row)
      pending = null
    } else {
      const reading = readDevice(header, pending, row)
      if (reading !== null) readings.push(reading)
      pending = null
    }
  }
  return { toolVersion, readings }
}

/** `310P3` -> `Ascend310P3`; names that already carry the prefix stay. */
export function socNameOf(reading: NpuReading): string {
  return reading.name.startsWith('Ascend') ? reading.name : `Ascend${reading.name}`
}

const PLACES = ['/usr/local/bin/npu-smi', '/usr/local/sbin/npu-smi', '/usr/bin/npu-smi']

/** Absolute path of the tool, or null where there is no driver. */
export function findNpuSmi(places: readonly string[] = PLACES): string | null {
  return (
    places.find((place) => {
      try {
        accessSync(place, constants.X_OK)
        return true
      } catch {
        return false
      }
    }) ?? null
  )
}

const MINIMUM_INTERVAL_MS = 1000
const TIMEOUT_MS = 5000

/**
 * A reader of live values. Each call of the tool starts a process that takes 0.2 to 2 s, so readings closer together
 * than one second share one call. `read` gives null when the tool is missing, fails or times out.
 */
export function createNpuSmiReader(
  tool: string | null = findNpuSmi(),
  now: () => number = () => performance.now(),
): { read(): Promise<NpuSmiReport | null> } {
  let last: { at: number; report: Promise<NpuSmiReport | null> } | null = null
  const call = (file: string) =>
    new Promise<NpuSmiReport | null>((resolve) => {
      execFile(file, ['info'], { timeout: TIMEOUT_MS, maxBuffer: 4 << 20 }, (error, stdout) => {
        resolve(error ? null : parseNpuSmiInfo(stdout))
      })
    })
  return {
    read() {
      if (tool === null) return Promise.resolve(null)
      if (last === null || now() - last.at >= MINIMUM_INTERVAL_MS) last = { at: now(), report: call(tool) }
      return last.report
    },
  }
}
