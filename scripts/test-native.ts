// Builds the simulator and the observer together with their C++ tests under AddressSanitizer and
// UndefinedBehaviorSanitizer, and runs them. Extra arguments select tests by a part of their name. The last line is
// 'N passed, N failed'.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import {
  OBSERVER,
  ORT_BINDING,
  SIMULATOR,
  compileAll,
  findCompiler,
  librarySources,
  objectOf,
  observerSources,
  run,
} from './build-native.mjs'

const FLAGS = [
  '-std=c++17',
  '-O1',
  '-g',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-ffp-contract=off',
  '-fsanitize=address,undefined',
  '-fno-sanitize-recover=undefined',
  '-DASCENDSIM_BUILD',
  `-I${path.join(SIMULATOR, 'test')}`,
]

interface Suite {
  folder: string
  sources: string[]
  headers: string[]
}

const SUITES: Suite[] = [
  { folder: SIMULATOR, sources: librarySources(), headers: ['src', 'test', 'include/acl'] },
  {
    folder: OBSERVER,
    sources: [ORT_BINDING, ...observerSources()],
    headers: ['src', 'test', '../simulator/src', '../simulator/test'],
  },
]
const ORT = path.join(
  import.meta.dirname,
  '../node_modules/onnxruntime-node/bin/napi-v6/linux',
  process.arch,
  'libonnxruntime.so.1',
)

function fail(message: string): never {
  console.error(message)
  console.log('0 passed, 1 failed')
  process.exit(1)
}

function filesEnding(folder: string, ending: string): string[] {
  return fs
    .readdirSync(folder)
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => path.join(folder, name))
}

/** Decides whether an object is current: its source, every header, the flags and the compiler. */
function stampOf(source: string, shared: string): string {
  return createHash('sha256').update(shared).update(fs.readFileSync(source)).digest('hex')
}

async function build({ folder, sources: tested, headers }: Suite): Promise<string> {
  const compiler = findCompiler()
  if (!compiler) fail('No C++ compiler found (g++, clang++ or $CXX).')
  const output = path.join(folder, 'build', 'test')
  fs.mkdirSync(output, { recursive: true })
  const shared = createHash('sha256').update(JSON.stringify([compiler, FLAGS]))
  for (const header of headers.flatMap((place) => filesEnding(path.join(folder, place), '.h'))) {
    shared.update(fs.readFileSync(header))
  }
  const sharedHash = shared.digest('hex')

  const sources = [...tested, ...filesEnding(path.join(folder, 'test'), '.cpp')]
  const stale = sources.filter((source) => {
    const stamp = `${objectOf(source, output)}.stamp`
    return !fs.existsSync(stamp) || fs.readFileSync(stamp, 'utf8') !== stampOf(source, sharedHash)
  })
  if (stale.length > 0) console.log(`Compiling ${stale.length} files with ${compiler.version}`)
  const failures = await compileAll(compiler.command, stale, output, FLAGS)
  if (failures.length > 0) fail(failures.join('\n'))
  for (const source of stale)
    fs.writeFileSync(`${objectOf(source, output)}.stamp`, stampOf(source, sharedHash))

  const program = path.join(output, 'native-tests')
  const objects = sources.map((source) => objectOf(source, output))
  const link = await run(compiler.command, [
    '-fsanitize=address,undefined',
    ...objects,
    '-o',
    program,
    '-ldl',
    '-lpthread',
  ])
  if (!link.ok) fail(link.stderr)
  return program
}

/** Runs a test program. @returns how many tests passed and failed */
function runTests(program: string): [passed: number, failed: number] {
  // ONNX Runtime leaves a few bytes behind when the process ends; everything else must be freed.
  const suppressions = path.join(path.dirname(program), 'leaks.txt')
  fs.writeFileSync(suppressions, 'leak:libonnxruntime\n')
  const result = spawnSync(program, process.argv.slice(2), {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    env: {
      ...process.env,
      ASCENDSIM_ORT: process.env.ASCENDSIM_ORT ?? ORT,
      LSAN_OPTIONS: `suppressions=${suppressions}:print_suppressions=0`,
    },
  })
  const summary = /(\d+) passed, (\d+) failed\s*$/.exec(result.stdout)
  process.stdout.write(summary ? result.stdout.slice(0, summary.index) : result.stdout)
  const [passed, failed] = [Number(summary?.[1] ?? 0), Number(summary?.[2] ?? 0)]
  // A report of the sanitizers comes after the tests' own summary.
  if (result.status !== 0 && failed === 0) {
    fail(`The test program ended with ${result.signal ?? `exit code ${result.status}`}.`)
  }
  return [passed, failed]
}

let [passed, failed] = [0, 0]
for (const suite of SUITES) {
  const counts = runTests(await build(suite))
  passed += counts[0]
  failed += counts[1]
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
