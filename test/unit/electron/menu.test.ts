// The native menu: built from what the window reports, nothing of its own.
import { expect, test } from 'vitest'
import type { MenuCommand } from '../../../contract/shell.ts'
import { menuTemplate, toAccelerator } from '../../../electron/menu.ts'

const commands: MenuCommand[] = [
  { id: 'go.home', group: 'go', title: 'Home', enabled: true },
  { id: 'run.compare', group: 'run', title: 'Compare', shortcut: 'F5', enabled: false },
  { id: 'help.palette', group: 'help', title: 'Command palette', shortcut: 'Mod+Shift+P', enabled: true },
]

function items(platform: NodeJS.Platform, run: (id: string) => void = () => undefined) {
  return menuTemplate(commands, 'en', platform, run)
}

test('shortcuts become accelerators', () => {
  expect(toAccelerator('Mod+Shift+P')).toBe('CommandOrControl+Shift+P')
  expect(toAccelerator('F5')).toBe('F5')
})

test('groups without a command have no menu; macOS gets the application menu', () => {
  const labels = items('linux').map((item) => item.label ?? item.role)
  expect(labels).toEqual(['Go', 'editMenu', 'Run', 'View', 'Help', 'windowMenu'])
  expect(items('darwin')[0]?.role).toBe('appMenu')
})

test('an item runs its command, and carries its state', () => {
  const ran: string[] = []
  const all = items('linux', (id) => ran.push(id)).flatMap((menu) =>
    Array.isArray(menu.submenu) ? menu.submenu : [],
  )
  const compare = all.find((item) => item.id === 'run.compare')
  const home = all.find((item) => item.id === 'go.home')
  home?.click?.(undefined as never, undefined, undefined as never)
  expect(ran).toEqual(['go.home'])
  expect(compare).toMatchObject({ enabled: false, accelerator: 'F5', registerAccelerator: false })
})

test('titles follow the language', () => {
  expect(menuTemplate(commands, 'zh', 'linux', () => undefined).map((item) => item.label)).toContain('帮助')
})
