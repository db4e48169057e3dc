// Keyboard shortcuts as text: `Mod+Shift+P` matched against key events and shown in the platform's own way. Pure.

/** The part of a KeyboardEvent that decides a match. */
export interface KeyPress {
  key: string
  ctrlKey: boolean
  metaKey: boolean
  shiftKey: boolean
  altKey: boolean
}

/** Whether a key press is the shortcut. `Mod` is Command on macOS and Control elsewhere. */
export function matchesShortcut(shortcut: string, press: KeyPress, mac: boolean): boolean {
  const parts = shortcut.split('+')
  const key = parts.at(-1) ?? ''
  const wantsMod = parts.includes('Mod')
  const mod = mac ? press.metaKey : press.ctrlKey
  const other = mac ? press.ctrlKey : press.metaKey
  if (mod !== wantsMod || other) return false
  if (press.altKey !== parts.includes('Alt')) return false
  // `?` needs Shift on most layouts: the character itself already says so.
  const isSymbol = key.length === 1 && !/[a-z0-9]/i.test(key)
  if (!isSymbol && press.shiftKey !== parts.includes('Shift')) return false
  return press.key.toLowerCase() === key.toLowerCase()
}

const MAC_NAMES: Record<string, string> = { Mod: '⌘', Shift: '⇧', Alt: '⌥', Enter: '↩' }

/** The keys of a shortcut as the platform writes them, e.g. [`Ctrl`, `Shift`, `P`]. */
export function shortcutKeys(shortcut: string, mac: boolean): string[] {
  return shortcut.split('+').map((part) => {
    if (mac) return MAC_NAMES[part] ?? part
    return part === 'Mod' ? 'Ctrl' : part
  })
}
