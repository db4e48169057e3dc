// Paths as people give them in the window: `~` and relative ones start at the home folder of the engine's user.
import { statSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { AppError } from '../../contract/errors/index.ts'

export function givenPath(text: string): string {
  const expanded = text === '~' || text.startsWith('~/') ? path.join(os.homedir(), text.slice(1)) : text
  return path.resolve(os.homedir(), expanded)
}

/** The path of something that must exist. @throws E_FILE_NOT_FOUND */
export function existingPath(text: string): string {
  const found = givenPath(text)
  if (!statSync(found, { throwIfNoEntry: false })) {
    throw new AppError('E_FILE_NOT_FOUND', { path: found, base: os.homedir() })
  }
  return found
}
