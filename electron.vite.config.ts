// Build of the desktop application: main and preload (Node side) and the window (renderer/vite.config.ts).
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'electron-vite'
import { rendererConfig } from './renderer/vite.config.ts'

const entry = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))
const main = entry('./electron/main.ts')
const preload = entry('./electron/preload.ts')

export default defineConfig({
  ...(existsSync(main) && {
    main: { build: { outDir: 'out/main', rolldownOptions: { input: { main } } } },
  }),
  ...(existsSync(preload) && {
    // A sandboxed preload script cannot be an ES module.
    preload: {
      build: {
        outDir: 'out/preload',
        rolldownOptions: { input: { preload }, output: { format: 'cjs', entryFileNames: '[name].cjs' } },
      },
    },
  }),
  renderer: rendererConfig,
})
