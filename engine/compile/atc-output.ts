// Reads the error block that atc prints, in the forms of CANN 5 to 9.

export interface AtcError {
  /** E10001, EZ3002, ... */
  code: string
  message: string
  cause: string
  solution: string
}

/** "E10001: [PID: 1] 2025-01-01-00:00:00.000.000 (Invalid_Argument) text", "E10001: text" (to CANN 8). */
const CODE_FIRST = /^\s*(E[A-Z0-9]\d{4}):\s*(.*)$/
/** "[PID: 1] 2026-01-01-00:00:00.000.000 Invalid_Argument(E10001): text" (CANN 9). */
const TITLE_FIRST = /^\s*\[PID: ?\d+\][^(]*\((E[A-Z0-9]\d{4})\):\s*(.*)$/

/** What stands between the code and the message. */
const PREAMBLE = /^(?:\[PID: ?\d+\]\s*)?(?:\d{4}-\d{2}-\d{2}-[\d:.]+\s*)?(?:\([A-Za-z_]+\)\s*)?/

type Section = 'message' | 'cause' | 'solution' | 'rest'

const SECTION_STARTS: readonly [RegExp, Section][] = [
  [/^\s*Possible Cause:\s*/i, 'cause'],
  [/^\s*Solution:\s*/i, 'solution'],
  [/^\s*TraceBack\b.*/i, 'rest'],
]

function headOf(line: string): { code: string; text: string } | null {
  const match = CODE_FIRST.exec(line) ?? TITLE_FIRST.exec(line)
  return match ? { code: match[1]!, text: match[2]!.replace(PREAMBLE, '') } : null
}

/** The first error of atc's output; null when it printed none. */
export function parseAtcError(output: string): AtcError | null {
  const lines = output.split(/\r?\n/)
  const start = lines.findIndex((line) => headOf(line) !== null)
  if (start < 0) return null
  const head = headOf(lines[start]!)!
  const parts: Record<Section, string[]> = { message: [head.text], cause: [], solution: [], rest: [] }
  let section: Section = 'message'
  for (const line of lines.slice(start + 1)) {
    if (headOf(line)) break
    const starts = SECTION_STARTS.find(([pattern]) => pattern.test(line))
    if (starts) section = starts[1]
    const text = (starts ? line.replace(starts[0], '') : line).trim()
    // The message block ends where the log goes on with an ordinary line.
    if (section === 'message' && !/^\s/.test(line)) break
    if (text !== '' && section !== 'rest') parts[section].push(text)
  }
  const join = (texts: readonly string[]): string => texts.join(' ').trim()
  return {
    code: head.code,
    message: join(parts.message),
    cause: join(parts.cause),
    solution: join(parts.solution),
  }
}
