// Runs before any module: zod would probe `new Function`, which the content security policy forbids and reports.
globalThis.__zod_globalConfig = { jitless: true }
