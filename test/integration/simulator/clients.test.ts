// Programs written in C against the ACL prototypes, compiled and run unmodified on the simulated library.
import { readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import ort from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileModel } from '../../../engine/compile/index.ts'
import { BUILD, compileC, compileClient, ensureLibrary, runProgram, temporaryFolder } from './kit.ts'
import { LINKED_SYMBOLS } from './symbols.ts'

const SAMPLE = path.join(
  import.meta.dirname,
  '../../../resources/samples/sprite-diffusion/image_encoder.onnx',
)
const IMAGE = [4, 64, 64] as const
const folder = temporaryFolder()
const at = (name: string): string => path.join(folder, name)

const LIBRARY = path.join(BUILD, 'libascendcl.so')

/** Names of errors_client.c -> codes of acl_base_rt.h, rt_error_codes.h and ge_error_codes.h. */
const MISUSE_CODES = {
  double_init: '100002',
  no_context: '107002',
  no_such_device: '107001',
  wrong_model_id: '145003',
  input_too_short: '145000',
  input_missing: '145000',
  null_dataset: '100000',
  other_soc: '500002',
  no_file: '145002',
  out_of_memory: '207001',
  copy_too_long: '100000',
  freed_twice: '107000',
  stream_after_destroy: '107017',
  context_after_destroy: '107017',
  execute_after_unload: '145003',
  unloaded_twice: '145003',
  finalized_once_too_often: '100037',
}

const programs = { sync: '', async: '', memory: '' }
let modelledMs = 0
let expected: Float32Array[] = []

/** Deterministic pixels in [-1, 1). */
function pixels(batch: number): Float32Array {
  const values = new Float32Array(batch * IMAGE[0] * IMAGE[1] * IMAGE[2])
  for (let i = 0; i < values.length; i++) values[i] = ((i * 7919) % 2048) / 1024 - 1
  return values
}

async function reference(batch: number): Promise<Float32Array[]> {
  const session = await ort.InferenceSession.create(SAMPLE)
  const outputs = await session.run({ image: new ort.Tensor('float32', pixels(batch), [batch, ...IMAGE]) })
  return session.outputNames.map((name) => Float32Array.from(outputs[name]!.data as Float32Array))
}

/** The raw floats of an output file, cut into tensors of the lengths of the expectation. */
function readOutputs(file: string, like: Float32Array[]): Float32Array[] {
  const bytes = readFileSync(file)
  const all = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
  let start = 0
  return like.map((tensor) => all.slice(start, (start += tensor.length)))
}

function expectClose(actual: Float32Array[], wanted: Float32Array[]): void {
  actual.forEach((tensor, index) => {
    const other = wanted[index]!
    expect(tensor.length).toBe(other.length)
    const worst = tensor.reduce((most, value, i) => Math.max(most, Math.abs(value - other[i]!)), 0)
    expect(worst).toBeLessThan(1e-4)
  })
}

beforeAll(async () => {
  await ensureLibrary()
  programs.sync = await compileClient('sync_client', folder, ['ascendcl', 'acl_cblas', 'acl_dvpp'])
  programs.async = await compileClient('async_client', folder)
  programs.memory = await compileClient('memory_client', folder, ['acl_rt', 'acl_mdl'])
  const request = { modelPath: SAMPLE, soc: 'Ascend310P3', precision: 'fp32' as const }
  const compiled = await compileModel({
    ...request,
    outputPath: at('static.om'),
    inputShapes: { image: [1, ...IMAGE] },
  })
  modelledMs = compiled.cost.totalNs / 1e6
  await compileModel({
    ...request,
    outputPath: at('batch.om'),
    inputShapes: { image: [-1, ...IMAGE] },
    gears: { kind: 'batch', values: [1, 2, 4] },
  })
  await compileModel({
    ...request,
    soc: 'Ascend910B4',
    outputPath: at('other-soc.om'),
    inputShapes: { image: [1, ...IMAGE] },
  })
  expected = await reference(1)
  writeFileSync(at('image.bin'), pixels(1))
  writeFileSync(at('images.bin'), pixels(4))
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('C programs', () => {
  it('link against every function that known tools use', async () => {
    const declarations = LINKED_SYMBOLS.map((name) => `extern int ${name}(void);`).join('\n')
    const table = LINKED_SYMBOLS.map((name) => `(int (*)(void))${name}`).join(', ')
    const body = `int main(void) { unsigned i; for (i = 0; i < sizeof all / sizeof *all; ++i) if (!all[i]) return 1; return 0; }`
    writeFileSync(at('all.c'), `${declarations}\nstatic int (*const all[])(void) = {${table}};\n${body}\n`)
    await compileC(at('all.c'), at('all'), ['ascendcl'])
    expect(LINKED_SYMBOLS).toHaveLength(160)
    expect(await runProgram(at('all'), [])).toMatchObject({ code: 0, stdout: '', stderr: '' })
  })

  it('find those functions under every name of the library, and no others of ours in their way', async () => {
    const nm = await runProgram('nm', ['-D', '--defined-only', '--format=posix', LIBRARY])
    const exported = nm.stdout.split('\n').flatMap((line) => line.split(/[ @]/)[0] || [])
    expect(exported.filter((name) => !/^(acl|ascendsim_)/.test(name))).toEqual([])
    expect(LINKED_SYMBOLS.filter((name) => !exported.includes(name))).toEqual([])
    expect(exported).toContain('ascendsim_version')
    for (const part of ['rt', 'mdl', 'cblas', 'dvpp', 'op_compiler']) {
      expect(realpathSync(path.join(path.dirname(LIBRARY), `libacl_${part}.so`))).toBe(realpathSync(LIBRARY))
    }
  })

  it('run a model synchronously, and no faster than modelled', async () => {
    const result = await runProgram(programs.sync, [
      at('static.om'),
      at('sync.out'),
      '4',
      '0',
      at('image.bin'),
    ])
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expectClose(readOutputs(at('sync.out'), expected), expected)
    const times = [...result.stdout.matchAll(/Inference time: ([\d.]+)ms/g)].map((match) => Number(match[1]))
    expect(times).toHaveLength(4)
    // gettimeofday counts in whole microseconds.
    for (const time of times) expect(time).toBeGreaterThanOrEqual(modelledMs - 0.002)
    expect(result.stdout).toMatch(/success\n$/)
  })

  it('choose a batch gear', async () => {
    const wanted = await reference(2)
    const result = await runProgram(programs.sync, [
      at('batch.om'),
      at('batch.out'),
      '1',
      '2',
      at('images.bin'),
    ])
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(result.stdout).toContain('batches 3')
    expect(result.stdout).toContain('dims 2 64')
    expectClose(readOutputs(at('batch.out'), wanted), wanted)
  })

  it('are told when a gear does not exist', async () => {
    const result = await runProgram(programs.sync, [at('batch.om'), '-', '1', '3', at('images.bin')])
    expect(result.code).toBe(1)
    expect(result.stderr).toContain('returned 145013')
    expect(result.stderr).toContain('E10001')
  })

  it('run asynchronously with a callback thread, measured by events', async () => {
    const result = await runProgram(programs.async, [at('static.om'), at('async.out'), '5', at('image.bin')])
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expectClose(readOutputs(at('async.out'), expected.slice(0, 1)), expected.slice(0, 1))
    // Five executions, and between them the callbacks' copies to the host.
    const elapsed = Number(/elapsed ([\d.]+) ms/.exec(result.stdout)?.[1])
    expect(elapsed).toBeGreaterThanOrEqual(5 * modelledMs - 1e-4)
  })

  it('load a model into their own memory and give it all back', async () => {
    const result = await runProgram(programs.memory, [at('static.om'), at('memory.out'), at('image.bin')])
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expectClose(readOutputs(at('memory.out'), expected), expected)
    const [, before, after] = /free before (\d+) after (\d+)/.exec(result.stdout)!
    expect(after).toBe(before)
  })

  it('get the documented errors', async () => {
    const missing = await runProgram(programs.sync, [at('nothing.om'), '-', '1', '0'])
    expect(missing.stderr).toContain('returned 145002')
    writeFileSync(at('cut.om'), readFileSync(at('static.om')).subarray(0, 5000))
    const cut = await runProgram(programs.sync, [at('cut.om'), '-', '1', '0'])
    expect(cut.stderr).toContain('returned 145006')
    const other = await runProgram(programs.sync, [at('other-soc.om'), '-', '1', '0'])
    expect(other.stderr).toContain('returned 500002')
    expect(other.stderr).toContain('Model soc version is not support in this device.')
    const full = await runProgram(programs.sync, [at('static.om'), '-', '1', '0'], {
      ASCENDSIM_MEMORY_BYTES: '1000',
    })
    expect(full.stderr).toContain('returned 207001')
    for (const result of [missing, cut, other, full]) expect(result).toMatchObject({ code: 1, signal: null })
  })

  it('get the documented code and a message for each misuse, and never crash', async () => {
    const program = await compileClient('errors_client', folder)
    const result = await runProgram(program, [at('static.om'), at('other-soc.om')])
    expect(result).toMatchObject({ code: 0, signal: null, stderr: '' })
    const lines = result.stdout.trim().split('\n')
    expect(Object.fromEntries(lines.map((line) => line.split(' ').slice(0, 2)))).toEqual(MISUSE_CODES)
    for (const line of lines) expect(line).toMatch(/^\w+ \d+ .*\bE[A-Z]?\d{4}/)
  })

  it('find standard output to themselves, with the log switched on', async () => {
    const quiet = await runProgram(programs.sync, [at('nothing.om'), '-', '1', '0'])
    const logged = await runProgram(programs.sync, [at('nothing.om'), '-', '1', '0'], {
      ASCEND_SLOG_PRINT_TO_STDOUT: '1',
    })
    expect(quiet.stdout).toBe('')
    expect(logged.stdout).toBe('')
    expect(logged.stderr).toContain('[ERROR] ASCENDCL(')
    expect(quiet.stderr).not.toContain('[ERROR] ASCENDCL(')
  })

  it('are told how to get ONNX Runtime when it is missing', async () => {
    const result = await runProgram(programs.sync, [at('static.om'), '-', '1', '0'], {
      ASCENDSIM_ORT: at('nothing.so'),
    })
    expect(result.code).toBe(1)
    expect(result.stderr).toContain('ONNX Runtime cannot be loaded')
    expect(result.stderr).toContain('Solution: Install ONNX Runtime, or set ASCENDSIM_ORT')
  })
})
