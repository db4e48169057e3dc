// The Electron preload's bridge, when the window runs in Electron.
import type { ShellBridge } from '../../contract/shell.ts'

/** `window.aqw` of the preload; undefined in a browser. */
export const shell: ShellBridge | undefined = (globalThis as { aqw?: ShellBridge }).aqw
