// `aqw`: the umbrella command. Only the sub-command that is called gets loaded.
import { enableCompileCache } from 'node:module'

enableCompileCache()

const { main } = await import('./main.ts')
await main(process.argv.slice(2))
