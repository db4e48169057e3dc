// The one command registry: palette, shortcuts, shortcut sheet, buttons and the native menu read from it.
import { computed, onScopeDispose, reactive } from 'vue'

export type CommandGroup = 'go' | 'project' | 'run' | 'view' | 'help'

export interface Command {
  /** Stable name, e.g. `view.theme.dark`; the native menu sends it. */
  id: string
  group: CommandGroup
  /** Text in the current language; a function so that it follows the language. */
  title: () => string
  /** e.g. `Mod+Shift+P`; see format/shortcuts.ts. */
  shortcut?: string
  /** Why it cannot run right now, in the current language; null when it can. */
  disabledReason?: () => string | null
  run: () => void | Promise<void>
}

const registry = reactive(new Map<string, Command>())

/** All commands that exist right now, in the order of registration. */
export const allCommands = computed<Command[]>(() => [...registry.values()])

/** Adds commands for as long as the calling component (or scope) lives. A later one of the same id wins. */
export function useCommands(commands: readonly Command[]): void {
  for (const command of commands) registry.set(command.id, command)
  onScopeDispose(() => {
    for (const command of commands) {
      if (registry.get(command.id)?.run === command.run) registry.delete(command.id)
    }
  })
}

/** Looks a command up for a button. */
export function commandById(id: string): Command | undefined {
  return registry.get(id)
}

/** Runs a command unless it is disabled; says whether it ran. */
export function runCommand(command: Command, onError: (thrown: unknown) => void): boolean {
  if (command.disabledReason?.()) return false
  try {
    void Promise.resolve(command.run()).catch(onError)
  } catch (thrown) {
    onError(thrown)
  }
  return true
}
