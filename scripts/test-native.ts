// Builds the simulator together with its C++ tests under AddressSanitizer and UndefinedBehaviorSanitizer, and runs them.
// Extra arguments select tests by a part of their name. The last line is 'N passed, N failed'.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { SIMULATOR, compileAll, findCompiler, librarySources, objectOf, run } from './build-native.mjs'

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
const OUTPUT = path.join(SIMULATOR, 'build', 'test')
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

async function build(): Promise<string> {
  const compiler = findCompiler()
  if (!compiler) fail('No C++ compiler found (g++, clang++ or $CXX).')
  fs.mkdirSync(OUTPUT, { recursive: true })
  const headers = ['src', 'test', 'include/acl'].flatMap((folder) =>
    filesEnding(path.join(SIMULATOR, folder), '.h'),
  )
  const shared = createHash('sha256').update(JSON.stringify([compiler, FLAGS]))
  for (const header of headers) shared.update(fs.readFileSync(header))
  const sharedHash = shared.digest('hex')

  const sources = [...librarySources(), ...filesEnding(path.join(SIMULATOR, 'test'), '.cpp')]
  const stale = sources.filter((source) => {
    const stamp = `${objectOf(source, OUTPUT)}.stamp`
    return !fs.existsSync(stamp) || fs.readFileSync(stamp, 'utf8') !== stampOf(source, sharedHash)
  })
  if (stale.length > 0) console.log(`Compiling ${stale.length} files with ${compiler.version}`)
  const failures = await compileAll(compiler.command, stale, OUTPUT, FLAGS)
  if (failures.length > 0) fail(failures.join('\n'))
  for (const source of stale)
    fs.writeFileSync(`${objectOf(source, OUTPUT)}.stamp`, stampOf(source, sharedHash))

  const program = path.join(OUTPUT, 'native-tests')
  const objects = sources.map((source) => objectOf(source, OUTPUT))
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

const program = await build()
// ONNX Runtime leaves a few bytes behind when the process ends; everything else must be freed.
const suppressions = path.join(OUTPUT, 'leaks.txt')
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
process.stdout.write(result.stdout)
// A report of the sanitizers comes after the tests' own summary.
if (result.status !== 0 && !/[1-9]\d* failed\s*$/.test(result.stdout)) {
  fail(`The test program ended with ${result.signal ?? `exit code ${result.status}`}.`)
}
process.exitCode = result.status === 0 ? 0 : 1
