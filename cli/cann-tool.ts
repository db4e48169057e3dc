// `cann_tool --version`: what of CANN is installed here and what is missing.
import { enableCompileCache } from 'node:module'
import { createCommand, runProgram } from './runtime/program.ts'
import { runCommand } from './runtime/host.ts'
import { keyValues } from './runtime/table.ts'
import { productVersion } from './version.ts'

enableCompileCache()

const EXAMPLES = `
"aqw doctor" tells more and tries every device.
Examples:
  cann_tool --version
  cann_tool --version --json`

const program = createCommand('cann_tool')
  .description('says what of CANN is installed and what is missing')
  .option('-v, --version', 'print the versions found')
  .option('--json', 'print them as JSON')
  .addHelpText('after', EXAMPLES)
program.action(async () => {
  const options = program.opts<{ version?: boolean; json?: boolean }>()
  if (!options.version) program.help({ error: true })
  await runCommand('cann_tool', { json: options.json }, async (host) => {
    const { cannChecks, productChecks } = await import('./installation.ts')
    const checks = [...cannChecks(), ...productChecks().filter((check) => check.name !== 'Node.js')]
    const version = productVersion()
    if (host.json) {
      host.printJson({ version, checks })
      return
    }
    host.print(`cann_tool ${version} (Ascend Quant Workbench)`)
    for (const line of keyValues(checks.map((check) => [check.name, check.value]))) host.print(line)
    const missing = checks.filter((check) => check.state !== 'ok')
    for (const check of missing) host.print(`missing: ${check.name}. ${check.hint}`)
  })
})
await runProgram(program, process.argv.slice(2))
