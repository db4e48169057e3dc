// A comparison that generates: the job's stage, resume after a kill, pictures, blind votes and gates over RPC.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RpcClient } from '../../../contract/rpc/index.ts'
import type { EngineSupervisor } from '../../../engine/host/supervisor.ts'
import { jobEnded, startEngineProcess, watchJob } from '../../fixtures/engine-client.ts'

const SAMPLE = path.resolve('resources/samples/sprite-diffusion')

/** The sample task with few steps, its files named absolutely. */
function shortTask(folder: string): string {
  const text = readFileSync(path.join(SAMPLE, 'task.json'), 'utf8')
    .replace(/"([\w]+\.(?:onnx|json|f32))"/g, (_, name: string) => JSON.stringify(path.join(SAMPLE, name)))
    .replace('"steps": 20', '"steps": 2')
  const file = path.join(folder, 'task.json')
  writeFileSync(file, text)
  return file
}

let root: string
let engine: EngineSupervisor
let rpc: RpcClient
let runId = ''
let finishedBefore: string[] = []

beforeAll(async () => {
  root = mkdtempSync(path.join(tmpdir(), 'generated-'))
  ;({ engine, rpc } = startEngineProcess(path.join(root, 'w')))
  const projectId = (await rpc.invoke('projects.createSample', {})).id
  const [model] = (await rpc.invoke('models.list', { projectId })).models
  const [dataset] = (await rpc.invoke('datasets.list', { projectId })).datasets
  const [recipe] = (await rpc.invoke('recipes.list', { projectId })).recipes
  const job = await rpc.invoke('jobs.start', {
    projectId,
    kind: 'compare',
    request: {
      modelId: model!.id,
      datasetId: dataset!.id,
      recipeId: recipe!.id,
      device: 'sim:Ascend310P3',
      calibrationSamples: 4,
      evaluationSamples: 1,
      scenario: { loopCount: 5 },
      task: { path: shortTask(root), count: 3 },
      gates: ['quality.ssim > 0.1', 'latency.mean < 0'],
    },
  })
  // Killed when the second picture is under way: the first one must not be made again.
  await watchJob(rpc, job.id, (_, stages) => stages.some(({ key, done }) => key === 'generate' && done >= 1))
  process.kill(engine.pid!, 'SIGKILL')
  await watchJob(rpc, job.id, ({ state }) => state === 'interrupted')
  const [partial = ''] = readdirSync(path.join(root, 'w', 'partial'))
  finishedBefore = readdirSync(path.join(root, 'w', 'partial', partial, 'checkpoint'))
  await rpc.invoke('jobs.resume', { id: job.id })
  const ended = await jobEnded(rpc, job.id)
  expect(ended.error).toBeNull()
  runId = ended.runId!
}, 300_000)

afterAll(async () => {
  await engine.stop()
  rmSync(root, { recursive: true, force: true })
})

describe('a run with a task', () => {
  it('carries metrics, and the samples apart', async () => {
    const { comparison, provenance } = await rpc.invoke('runs.get', { id: runId })
    expect(comparison.generated?.sides.map(({ label, role }) => [label, role])).toEqual([
      ['FP32', 'reference'],
      ['FP16', 'baseline'],
      ['INT8', 'candidate'],
    ])
    expect(comparison.generated?.sides.every(({ samples }) => samples.length === 0)).toBe(true)
    expect(comparison.gates.map(({ outcome }) => outcome)).toEqual(['passed', 'failed'])
    expect(provenance.command).toContain('--task')
    expect(provenance.command).toContain("--gate 'quality.ssim > 0.1'")
    expect(finishedBefore).toContain('000000.json')
    expect(readdirSync(path.join(root, 'w', 'partial'))).toEqual([])
    const { report } = await rpc.invoke('runs.generated', { id: runId })
    expect(report?.sides.map(({ samples }) => samples.length)).toEqual([3, 3, 3])
  })

  it('shows its pictures, and says what it has not', async () => {
    const { dataUrl } = await rpc.invoke('runs.picture', { id: runId, side: 'INT8', sample: '00002' })
    const png = Buffer.from(dataUrl.split(',')[1]!, 'base64')
    expect(png.subarray(1, 4).toString()).toBe('PNG')
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([64, 64])
    await expect(rpc.invoke('runs.picture', { id: runId, side: 'INT8', sample: '7' })).rejects.toMatchObject({
      code: 'E_GENERATED_MISSING',
    })
  })

  it('applies gates afterwards, and refuses wrong ones', async () => {
    const { gates } = await rpc.invoke('gates.run', { id: runId, gates: ['quality.psnr > baseline + 1000'] })
    expect(gates[0]?.outcome).toBe('failed')
    await expect(rpc.invoke('gates.run', { id: runId, gates: ['latncy < 1'] })).rejects.toMatchObject({
      code: 'E_GATE',
    })
    const check = await rpc.invoke('gates.check', { text: 'latency.mean <' })
    expect(check.problem?.reason).toContain('the end')
    expect((await rpc.invoke('gates.check', { text: 'qps > 1' })).problem).toBeNull()
  })
})

describe('blind votes', () => {
  const pair = () => ({ runId, first: 'FP16', second: 'INT8' })

  it("are counted for the side that was on the rater's left or right", async () => {
    const int8 = new Map<string, string>()
    for (const sample of ['00000', '00001', '00002'])
      int8.set(sample, (await rpc.invoke('runs.picture', { id: runId, side: 'INT8', sample })).dataUrl)
    // One rater always picks INT8, wherever it stands; another skips once and finds no difference otherwise.
    for (let round = 0; round < 3; round++) {
      const { pair: shown, judged, total } = await rpc.invoke('ratings.next', { ...pair(), rater: 'anna' })
      expect([judged, total]).toEqual([round, 3])
      expect(JSON.stringify({ ...shown, left: '', right: '' })).not.toMatch(/FP16|INT8/)
      const vote = shown!.left === int8.get(shown!.token) ? 'left' : 'right'
      const row = await rpc.invoke('ratings.add', { ...pair(), rater: 'anna', token: shown!.token, vote })
      expect(row.choice).toBe('second')
    }
    expect((await rpc.invoke('ratings.next', { ...pair(), rater: 'anna' })).pair).toBeNull()
    for (const vote of ['tie', 'skip'] as const) {
      const { pair: shown } = await rpc.invoke('ratings.next', { ...pair(), rater: 'ben' })
      await rpc.invoke('ratings.add', { ...pair(), rater: 'ben', token: shown!.token, vote })
      // A key pressed twice.
      await rpc.invoke('ratings.add', { ...pair(), rater: 'ben', token: shown!.token, vote })
    }
    const summary = await rpc.invoke('ratings.summary', pair())
    expect(summary).toMatchObject({ first: 0, second: 3, ties: 1, skipped: 1, winRate: 1 })
    expect(summary.p).toBeCloseTo(0.25, 12)
    expect(summary.interval!.low).toBeCloseTo(0.4385, 3)
  })

  it('can be taken back, and exported', async () => {
    expect(await rpc.invoke('ratings.undo', { ...pair(), rater: 'ben' })).toEqual({ removed: true })
    expect(await rpc.invoke('ratings.summary', pair())).toMatchObject({ ties: 1, skipped: 0 })
    const { text, rows } = await rpc.invoke('ratings.export', { runId })
    expect(rows).toBe(4)
    expect(text.split('\r\n')[0]).toBe('sample,first,second,winner,rater,created_at')
    expect(text).toContain('00000,FP16,INT8,INT8,anna,')
  })

  it('need both sides', async () => {
    await expect(
      rpc.invoke('ratings.next', { runId, first: 'FP16', second: 'INT4', rater: 'x' }),
    ).rejects.toMatchObject({ code: 'E_GENERATED_MISSING' })
  })
})

describe('tasks', () => {
  it('of the samples are at hand; a wrong path is refused when the job is started', async () => {
    const { tasks } = await rpc.invoke('tasks.samples', {})
    expect(tasks.map(({ kind, prompts }) => [kind, prompts])).toEqual([
      ['diffusion', 256],
      ['language', null],
    ])
    await expect(rpc.invoke('tasks.check', { path: path.join(root, 'none.json') })).rejects.toMatchObject({
      code: 'E_FILE_NOT_FOUND',
    })
  })
})
