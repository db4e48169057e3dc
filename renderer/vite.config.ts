// Build of the window alone (served by `aqw serve`, loaded by Electron through app://); output in out/renderer.
import vue from '@vitejs/plugin-vue'
// Build configuration runs in Node and is no part of the window.
// eslint-disable-next-line no-restricted-imports
import { fileURLToPath } from 'node:url'
import type { UserConfig } from 'vite'

// electron-vite bundles this file into its own config: only `import.meta.url` still points here then.
const root = fileURLToPath(new URL('.', import.meta.url)).replace(/[/\\]$/, '')

/** Shared with electron.vite.config.ts. Asset paths are relative, so one build serves http:// and app://. */
export const rendererConfig = {
  root,
  base: './',
  plugins: [vue()],
  define: {
    __VUE_OPTIONS_API__: 'false',
    __VUE_PROD_DEVTOOLS__: 'false',
    __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
    __VUE_I18N_FULL_INSTALL__: 'false',
    __VUE_I18N_LEGACY_API__: 'false',
    __INTLIFY_PROD_DEVTOOLS__: 'false',
  },
  build: {
    outDir: `${root}/../out/renderer`,
    emptyOutDir: true,
    // Inlined assets would need data: in font-src and script-src; everything stays a file of our own origin.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // Both ways of building give the same window: electron-vite's own defaults are its Chromium, not minified.
    minify: true,
    target: 'chrome111',
    chunkSizeWarningLimit: 900,
    rolldownOptions: { input: `${root}/index.html` },
  },
} satisfies UserConfig

export default rendererConfig
