// `npm test`: every check and every test; the last line is `N passed, N failed` and nothing else.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'

const ROOT = path.resolve(import.meta.dirname, '..')

interface Tally {
  passed: number
  failed: number
  failures: string[]
}

interface Finished {
  code: number
  /** Last line of the output that is not blank. */
  lastLine: string
}

/** Runs a script with this Node in the project folder, its output passed through. */
function run(args: readonly string[]): Promise<Finished> {
  return new Promise((resolve, reject) => {
    // Piped output loses its colour unless asked to keep it.
    const colour = process.stdout.isTTY && !process.env['NO_COLOR'] ? { FORCE_COLOR: '1' } : {}
    const env = { ...process.env, ...colour }
    const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'inherit'] })
    let tail = ''
    child.stdout.on('data', (chunk: Buffer) => {
      process.stdout.write(chunk)
      tail = (tail + chunk.toString()).slice(-4096)
    })
    child.on('error', reject)
    child.on('close', (code) =>
      resolve({ code: code ?? 1, lastLine: tail.trimEnd().split('\n').at(-1) ?? '' }),
    )
  })
}

/** A node module's own launcher, run with this Node: `npx` without its start-up time. */
function tool(name: string, entry: string): string {
  return path.join(ROOT, 'node_modules', name, entry)
}

interface Check {
  name: string
  args: string[]
}

function checks(): Check[] {
  const list: Check[] = [
    { name: 'typecheck', args: [tool('typescript', 'bin/tsc'), '-p', 'tsconfig.json', '--noEmit'] },
    { name: 'lint', args: [tool('eslint', 'bin/eslint.js'), '.', '--max-warnings', '0'] },
    { name: 'format', args: [tool('prettier', 'bin/prettier.cjs'), '--check', '.'] },
  ]
  if (existsSync(path.join(ROOT, 'renderer/tsconfig.json'))) {
    const args = [tool('vue-tsc', 'bin/vue-tsc.js'), '-p', 'renderer/tsconfig.json', '--noEmit']
    list.push({ name: 'typecheck (window)', args })
  }
  if (existsSync(path.join(ROOT, 'scripts/test-native.ts'))) {
    list.push({ name: 'native', args: [path.join(ROOT, 'scripts/test-native.ts')] })
  }
  return list
}

async function runChecks(tally: Tally): Promise<void> {
  for (const check of checks()) {
    console.log(`\n== ${check.name}`)
    const { code, lastLine } = await run(check.args)
    // The native tests count themselves; every other check is one test.
    const counts = /^(\d+) passed, (\d+) failed$/.exec(lastLine)
    const [passed, failed] = counts ? [Number(counts[1]), Number(counts[2])] : [code === 0 ? 1 : 0, 0]
    tally.passed += passed
    tally.failed += failed
    if (code === 0 && failed === 0 && passed > 0) continue
    if (failed === 0) tally.failed++
    tally.failures.push(`${check.name} (exit code ${code})`)
  }
}

interface VitestAssertion {
  status: string
  fullName: string
}
interface VitestReport {
  numTotalTests: number
  testResults: { name: string; status: string; message?: string; assertionResults: VitestAssertion[] }[]
}

function readReport(file: string): VitestReport | undefined {
  if (!existsSync(file)) return undefined
  return JSON.parse(readFileSync(file, 'utf8')) as VitestReport
}

/** Adds one project's report. A test that neither passed nor failed (skipped, todo) counts as failed: there must be none. */
function addReport(project: string, report: VitestReport, tally: Tally): void {
  for (const file of report.testResults) {
    const name = path.relative(ROOT, file.name)
    for (const test of file.assertionResults) {
      if (test.status === 'passed') tally.passed++
      else {
        tally.failed++
        tally.failures.push(`${name} > ${test.fullName} (${test.status})`)
      }
    }
    const broken = file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed')
    if (broken || file.assertionResults.length === 0) {
      tally.failed++
      tally.failures.push(`${name} did not run: ${file.message?.split('\n')[0] ?? 'no test in it'}`)
    }
  }
  if (report.testResults.length === 0) {
    tally.failed++
    tally.failures.push(`${project}: no test was executed`)
  }
}

function hasTests(project: string): boolean {
  const folder = path.join(ROOT, 'test', project)
  return (
    existsSync(folder) &&
    readdirSync(folder, { recursive: true }).some((name) => String(name).endsWith('.test.ts'))
  )
}

async function runProject(
  project: string,
  filters: readonly string[],
  folder: string,
  tally: Tally,
): Promise<void> {
  console.log(`\n== ${project} tests`)
  const report = path.join(folder, `${project}.json`)
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const args = [tool('vitest', 'vitest.mjs'), 'run', '--project', project, ...reporters, ...filters]
  const { code } = await run(args)
  const result = readReport(report)
  if (!result) {
    tally.failed++
    tally.failures.push(`${project}: the test runner ended with code ${code} and no report`)
    return
  }
  const failedBefore = tally.failed
  addReport(project, result, tally)
  if (code !== 0 && tally.failed === failedBefore) {
    tally.failed++
    tally.failures.push(`${project}: the test runner ended with code ${code} (an error outside of the tests)`)
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { project: { type: 'string', multiple: true }, 'no-checks': { type: 'boolean' } },
  })
  const tally: Tally = { passed: 0, failed: 0, failures: [] }
  const folder = mkdtempSync(path.join(os.tmpdir(), 'aqw-test-'))
  try {
    if (!values['no-checks'] && positionals.length === 0 && !values.project) await runChecks(tally)
    const projects = values.project ?? ['unit', 'integration', 'e2e'].filter(hasTests)
    for (const project of projects) await runProject(project, positionals, folder, tally)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  if (tally.passed + tally.failed === 0) {
    tally.failed = 1
    tally.failures.push('no test was executed')
  }
  if (tally.failures.length > 0)
    console.log(`\nFailed:\n${tally.failures.map((line) => `  ${line}`).join('\n')}`)
  console.log(`\n${tally.passed} passed, ${tally.failed} failed`)
  return tally.failed === 0 ? 0 : 1
}

process.exitCode = await main()
