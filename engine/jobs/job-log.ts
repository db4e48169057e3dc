// The log of one job: text lines on disk, rotated by size, with the latest lines in memory for the window.
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import type { LogLine } from '../../contract/workspace.ts'
import type { LogLevel } from '../common/log.ts'

const ROTATE_BYTES = 4 * 1024 * 1024
/** job.log, job.log.1, job.log.2 */
const KEPT_FILES = 3
const TAIL_LINES = 2000
/** One line of a runaway library must not fill the disk. */
const LINE_CHARACTERS = 8192

const LINE = /^(\d+) (\S+) (DEBUG|INFO|WARNING|ERROR) (.*)$/

export function formatLine(line: LogLine): string {
  return `${line.seq} ${line.at} ${line.level.toUpperCase()} ${line.text}`
}

export function parseLine(text: string): LogLine | undefined {
  const match = LINE.exec(text)
  if (!match) return undefined
  const level = (match[3] ?? 'INFO').toLowerCase() as LogLevel
  return { seq: Number(match[1]), at: match[2] ?? '', level, text: match[4] ?? '' }
}

export class JobLog {
  readonly path: string
  #tail: LogLine[]
  #bytes: number
  #listeners = new Set<(lines: LogLine[]) => void>()

  /** Continues an existing log: a resumed job writes on in the same file. */
  constructor(file: string) {
    this.path = file
    mkdirSync(path.dirname(file), { recursive: true })
    this.#tail = [...readLines(`${file}.1`), ...readLines(file)].slice(-TAIL_LINES)
    this.#bytes = existsSync(file) ? statSync(file).size : 0
  }

  /** Appends a text; several lines in it become several entries. */
  write(level: LogLevel, text: string): void {
    const at = new Date().toISOString()
    const lines = text
      .split(/\r?\n/)
      .filter((part, index) => part !== '' || index === 0)
      .map((part): LogLine => {
        const line = {
          seq: (this.#tail.at(-1)?.seq ?? 0) + 1,
          at,
          level,
          text: part.slice(0, LINE_CHARACTERS),
        }
        this.#tail.push(line)
        return line
      })
    if (this.#tail.length > TAIL_LINES * 1.25) this.#tail = this.#tail.slice(-TAIL_LINES)
    this.#append(lines.map((line) => `${formatLine(line)}\n`).join(''))
    for (const listener of this.#listeners) listener(lines)
  }

  /** The last `count` lines, or all that are in memory after `afterSeq`. */
  tail(count: number, afterSeq?: number): LogLine[] {
    if (afterSeq !== undefined) return this.#tail.filter((line) => line.seq > afterSeq)
    return this.#tail.slice(-count)
  }

  /** Calls back with new lines; returns the function that stops it. */
  follow(listener: (lines: LogLine[]) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #append(text: string): void {
    if (this.#bytes > ROTATE_BYTES) this.#rotate()
    appendFileSync(this.path, text)
    this.#bytes += Buffer.byteLength(text)
  }

  #rotate(): void {
    const name = (index: number): string => (index === 0 ? this.path : `${this.path}.${index}`)
    rmSync(name(KEPT_FILES - 1), { force: true })
    for (let index = KEPT_FILES - 2; index >= 0; index--) {
      if (existsSync(name(index))) renameSync(name(index), name(index + 1))
    }
    this.#bytes = 0
  }
}

function readLines(file: string): LogLine[] {
  if (!existsSync(file)) return []
  return readFileSync(file, 'utf8')
    .split('\n')
    .map(parseLine)
    .filter((line) => line !== undefined)
}
