// What the window knows of the machine it runs on: macOS keys, the system's colour scheme.

export const isMac = /mac/i.test(navigator.platform)

/** Calls back at once and on every change of the system's colour scheme. */
export function watchSystemDark(callback: (dark: boolean) => void): void {
  const query = window.matchMedia('(prefers-color-scheme: dark)')
  query.addEventListener('change', () => callback(query.matches))
  callback(query.matches)
}
