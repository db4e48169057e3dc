// What the terminal can do: colour only for people, never in a pipe, never against NO_COLOR.

export type Paint = (style: Style, text: string) => string
export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

const CODES: Record<Style, [number, number]> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
}

export interface Stream {
  isTTY?: boolean
}

/** https://no-color.org: any non-empty NO_COLOR turns colour off, whatever else is set. */
export function colourAllowed(stream: Stream, environment: Record<string, string | undefined>): boolean {
  if (environment['NO_COLOR']) return false
  if (environment['TERM'] === 'dumb') return false
  return stream.isTTY === true
}

export function painter(enabled: boolean): Paint {
  return (style, text) => {
    if (!enabled) return text
    const [on, off] = CODES[style]
    return `\u001b[${on}m${text}\u001b[${off}m`
  }
}
