// The native menu, built from the commands the window reports: one registry feeds palette, shortcuts and menu.
import type { MenuItemConstructorOptions } from 'electron'
import type { MenuCommand } from '../contract/shell.ts'

type Locale = 'en' | 'zh'

const GROUPS: { group: MenuCommand['group']; title: Record<Locale, string> }[] = [
  { group: 'project', title: { en: 'Project', zh: '项目' } },
  { group: 'go', title: { en: 'Go', zh: '转到' } },
  { group: 'run', title: { en: 'Run', zh: '运行' } },
  { group: 'view', title: { en: 'View', zh: '视图' } },
  { group: 'help', title: { en: 'Help', zh: '帮助' } },
]

/** `Mod+Shift+P` -> `CommandOrControl+Shift+P`, Electron's accelerator syntax. */
export function toAccelerator(shortcut: string): string {
  return shortcut.replace(/\bMod\b/, 'CommandOrControl')
}

/**
 * Menu template for `Menu.buildFromTemplate`.
 * @param run called with the command's id when its item is chosen
 */
export function menuTemplate(
  commands: readonly MenuCommand[],
  locale: Locale,
  platform: NodeJS.Platform,
  run: (commandId: string) => void,
): MenuItemConstructorOptions[] {
  const item = (command: MenuCommand): MenuItemConstructorOptions => ({
    id: command.id,
    label: command.title,
    enabled: command.enabled,
    // The window handles its own keys; registering them here too would run a command twice.
    registerAccelerator: false,
    ...(command.shortcut && { accelerator: toAccelerator(command.shortcut) }),
    click: () => run(command.id),
  })
  const groups = GROUPS.map(({ group, title }): MenuItemConstructorOptions => {
    const items = commands.filter((command) => command.group === group).map(item)
    const extras: MenuItemConstructorOptions[] =
      group === 'view'
        ? [
            { type: 'separator' },
            { role: 'resetZoom' },
            { role: 'zoomIn' },
            { role: 'zoomOut' },
            { role: 'togglefullscreen' },
          ]
        : []
    return { label: title[locale], submenu: [...items, ...extras] }
  }).filter((menu) => Array.isArray(menu.submenu) && menu.submenu.length > 0)
  const edit: MenuItemConstructorOptions = { role: 'editMenu' }
  const head: MenuItemConstructorOptions[] = platform === 'darwin' ? [{ role: 'appMenu' }] : []
  const [project, ...rest] = groups
  return [...head, ...(project ? [project] : []), edit, ...rest, { role: 'windowMenu' }]
}
