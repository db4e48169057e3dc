// Opens an address in the person's browser.
import { spawn } from 'node:child_process'

/** The command that opens an address on a platform. */
function openCommand(url: string, platform: NodeJS.Platform): [string, string[]] {
  if (platform === 'darwin') return ['open', [url]]
  // `start` is a shell built-in; explorer takes the address as its one argument.
  if (platform === 'win32') return ['explorer.exe', [url]]
  return ['xdg-open', [url]]
}

/** Resolves to false when there is nothing to open it with (a headless server): the address was printed anyway. */
export function openBrowser(url: string): Promise<boolean> {
  const [command, args] = openCommand(url, process.platform)
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: 'ignore', detached: true })
    child.on('error', () => resolve(false))
    child.on('spawn', () => {
      child.unref()
      resolve(true)
    })
  })
}
