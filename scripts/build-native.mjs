// Builds the simulated libascendcl.so and the observer of calibration with the system's C++ compiler. Plain JavaScript, as
// it also runs from postinstall under whatever Node started npm. Without a compiler it says so and succeeds: the host CPU
// device remains, and calibration does without the observer.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const ROOT = path.join(path.dirname(fileURLToPath(import.meta.url)), '..')
/** Folder of the simulator's sources. */
export const SIMULATOR = path.join(ROOT, 'native', 'simulator')
/** Folder of the observer's sources: it counts activation values while ONNX Runtime runs a model. */
export const OBSERVER = path.join(ROOT, 'native', 'observer')
/** Names under which programs of other CANN releases link the same functions. */
const ALIASES = [
  'libacl_rt.so',
  'libacl_mdl.so',
  'libacl_cblas.so',
  'libacl_dvpp.so',
  'libacl_op_compiler.so',
]
const COMPILE_FLAGS = [
  '-std=c++17',
  '-O3',
  '-fPIC',
  '-fvisibility=hidden',
  // Fused multiply-add would round differently from one processor to the next.
  '-ffp-contract=off',
  // Nothing here looks at floating-point exceptions, which would keep loops with comparisons from being vectorised.
  '-fno-trapping-math',
  '-Wall',
  '-Wextra',
  '-DASCENDSIM_BUILD',
]

/** Where headers are looked for. */
const INCLUDES = ['simulator/include', 'simulator/src', 'observer/src'].map((folder) =>
  path.join(ROOT, 'native', folder),
)

function filesEnding(ending, folder) {
  return fs
    .readdirSync(folder)
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => path.join(folder, name))
}

/** C++ sources of the simulator, in a fixed order. */
export function librarySources() {
  return filesEnding('.cpp', path.join(SIMULATOR, 'src'))
}

/** C++ sources that only the observer has, in a fixed order. */
export function observerSources() {
  return filesEnding('.cpp', path.join(OBSERVER, 'src'))
}

/** The binding of ONNX Runtime, which the observer shares with the simulator. */
export const ORT_BINDING = path.join(SIMULATOR, 'src', 'ort_api.cpp')

const LIBRARIES = [
  {
    folder: SIMULATOR,
    name: 'libascendcl.so',
    sources: librarySources,
    headers: ['include/acl', 'src'],
    aliases: ALIASES,
  },
  {
    folder: OBSERVER,
    name: 'libaqw_observer.so',
    sources: () => [ORT_BINDING, ...observerSources()],
    headers: ['src', '../simulator/src'],
    aliases: [],
  },
]

function linkFlags({ folder, name }) {
  return [
    `-Wl,--version-script=${path.join(folder, 'exports.map')}`,
    `-Wl,-soname,${name}`,
    '-Wl,-z,defs',
    // Threads may still run when a program unloads the library.
    '-Wl,-z,nodelete',
    '-ldl',
    '-lpthread',
  ]
}

/** The first compiler that runs, or null. */
export function findCompiler(env = process.env) {
  const candidates = env.CXX ? [env.CXX] : ['g++', 'clang++', 'c++']
  for (const candidate of candidates) {
    const probe = spawnSync(candidate, ['--version'], { encoding: 'utf8' })
    if (probe.status === 0) return { command: candidate, version: probe.stdout.split('\n')[0] }
  }
  return null
}

/** Hash over everything that decides the outcome: compiler, flags, sources, headers and map. */
function fingerprint(compiler, library) {
  const hash = createHash('sha256')
  const { folder, sources, headers, aliases } = library
  hash.update(JSON.stringify([compiler, COMPILE_FLAGS, linkFlags(library), aliases, process.arch]))
  const included = headers.flatMap((place) => filesEnding('.h', path.join(folder, place)))
  for (const file of [...sources(), ...included, path.join(folder, 'exports.map')]) {
    hash.update(path.basename(file)).update(fs.readFileSync(file))
  }
  return hash.digest('hex')
}

/** Runs a compiler command and collects what it writes to stderr. */
export function run(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    let stderr = ''
    child.stderr.on('data', (chunk) => (stderr += chunk))
    child.on('error', (error) => resolve({ ok: false, stderr: error.message }))
    child.on('close', (code) => resolve({ ok: code === 0, stderr }))
  })
}

/** Object file of a source in a folder. */
export function objectOf(source, folder) {
  return path.join(folder, `${path.basename(source, '.cpp')}.o`)
}

/**
 * Compiles sources into a folder, as many at a time as there are processors (at most four).
 * @returns {Promise<string[]>} what the compiler said about those that failed
 */
export async function compileAll(compiler, sources, outputFolder, flags) {
  const queue = [...sources]
  const failures = []
  const worker = async () => {
    for (let source = queue.shift(); source && failures.length === 0; source = queue.shift()) {
      const object = objectOf(source, outputFolder)
      const includes = INCLUDES.map((folder) => `-I${folder}`)
      const result = await run(compiler, [...flags, ...includes, '-c', source, '-o', object])
      if (!result.ok) failures.push(`${path.basename(source)}:\n${result.stderr}`)
    }
  }
  const width = Math.max(1, Math.min(4, os.cpus().length))
  await Promise.all(Array.from({ length: width }, worker))
  return failures
}

function writeAliases(folder, { name, aliases }) {
  for (const alias of aliases) {
    // Another build may run at the same time: put a new link in place of the old one in one step.
    const temporary = path.join(folder, `${alias}.${process.pid}`)
    fs.symlinkSync(name, temporary)
    fs.renameSync(temporary, path.join(folder, alias))
  }
}

/** Builds one library when it is not up to date. */
async function buildLibrary(compiler, library, say) {
  const build = path.join(library.folder, 'build')
  fs.mkdirSync(build, { recursive: true })
  const stamp = path.join(build, 'fingerprint')
  const wanted = fingerprint(compiler, library)
  const file = path.join(build, library.name)
  if (fs.existsSync(file) && fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === wanted) {
    return { status: 'current', message: `${path.relative(ROOT, file)} is up to date` }
  }
  say(`Building ${library.name} with ${compiler.version}`)
  const work = fs.mkdtempSync(path.join(build, 'objects-'))
  try {
    const sources = library.sources()
    const failures = await compileAll(compiler.command, sources, work, COMPILE_FLAGS)
    if (failures.length > 0) return { status: 'failed', message: failures.join('\n') }
    const objects = sources.map((source) => objectOf(source, work))
    const linked = path.join(work, library.name)
    const link = await run(compiler.command, ['-shared', '-o', linked, ...objects, ...linkFlags(library)])
    if (!link.ok) return { status: 'failed', message: link.stderr }
    fs.renameSync(linked, file)
    writeAliases(build, library)
    fs.writeFileSync(stamp, wanted)
    return { status: 'built', message: `Built ${path.relative(ROOT, file)}` }
  } finally {
    fs.rmSync(work, { recursive: true, force: true })
  }
}

/**
 * Builds the libraries that are not up to date.
 * @param {{ quiet?: boolean }} options
 * @returns {Promise<{ status: 'built' | 'current' | 'skipped' | 'failed', message: string }>}
 */
export async function buildNative({ quiet = false } = {}) {
  const say = (text) => {
    if (!quiet) console.log(text)
  }
  if (process.platform !== 'linux') {
    return {
      status: 'skipped',
      message: 'The simulated NPU is only built on Linux; the host CPU device works.',
    }
  }
  const compiler = findCompiler()
  if (!compiler) {
    return {
      status: 'skipped',
      message:
        'No C++ compiler found (g++, clang++ or $CXX): the simulated NPU is not built, and calibration is slower. ' +
        'The host CPU device works. Install g++ and run `npm run build:native` to get both.',
    }
  }
  const outcomes = []
  for (const library of LIBRARIES) outcomes.push(await buildLibrary(compiler, library, say))
  const statusOf = (wanted) => outcomes.find(({ status }) => status === wanted)?.status
  return {
    status: statusOf('failed') ?? statusOf('built') ?? 'current',
    message: outcomes.map(({ message }) => message).join('\n'),
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(fs.realpathSync(process.argv[1])).href) {
  const result = await buildNative()
  if (result.status === 'failed') {
    console.error(result.message)
    process.exitCode = 1
  } else {
    console.log(result.message)
  }
}
