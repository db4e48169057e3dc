// Runs once before the end-to-end tests.
import { ensureBuilt } from './build.ts'

export function setup(): void {
  ensureBuilt()
}
