// The whole way from model to table, and the commands around it, on the simulated device and on the host CPU.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import os from 'node:os'
import { describe, expect, it } from 'vitest'
import { comparisonSchema, type Comparison } from '../../../contract/comparison.ts'
import { Folder, SAMPLE, tool } from './run.ts'

const SPRITE = ['--model', `${SAMPLE}/unet.onnx`, '--calibration', `${SAMPLE}/calibration`, '--count', '4']

function read(folder: Folder, name: string): Comparison {
  return comparisonSchema.parse(JSON.parse(readFileSync(folder.file(name), 'utf8')))
}

describe('aqw compare', () => {
  it('compares FP16 and INT8 of the trained sample on a simulated device', async () => {
    using folder = new Folder()
    const leftovers = (): string[] =>
      readdirSync(os.tmpdir()).filter((name) => name.startsWith('aqw-compare-'))
    const before = leftovers()
    const args = [
      ...SPRITE,
      '--device',
      'sim:Ascend310P3',
      '--json',
      'c.json',
      '--markdown',
      'c.md',
      '--runs',
      '70',
    ]
    const outcome = await tool('aqw', ['compare', ...args], { cwd: folder.path })
    expect(outcome.code, outcome.stderr).toBe(0)
    expect(outcome.stdout).not.toContain('\u001b')
    expect(outcome.stdout).toMatch(/Simulated: latencies of Ascend310P3/)
    expect(folder.list()).toEqual(['c.json', 'c.md'])
    expect(leftovers()).toEqual(before)

    const comparison = read(folder, 'c.json')
    expect(comparison).toMatchObject({
      label: 'simulated',
      device: { kind: 'simulated', soc: 'Ascend310P3' },
      cost_model: { status: 'fitted' },
      baseline: { label: 'FP16', measurement: 'simulated' },
      candidates: [{ label: 'INT8', quantized_layers: { quantized: 164 } }],
      calibration: { samples: 4 },
      evaluation: { same_as_calibration: true },
      incomparable: [],
      host_cpu: null,
    })
    const [int8] = comparison.candidates
    // FP16 keeps about 11 bits; INT8 with min-max ranges stays recognisable. Both must differ from the FP32 outputs.
    expect(comparison.baseline.quality?.sqnr_db).toBeGreaterThan(40)
    expect(int8?.quality?.sqnr_db).toBeGreaterThan(8)
    expect(int8?.quality?.sqnr_db).toBeLessThan(comparison.baseline.quality?.sqnr_db ?? 0)
    expect(int8?.quality?.cosine).toBeGreaterThan(0.9)
    expect(int8?.size_bytes).toBeLessThan(comparison.baseline.size_bytes)
    expect(comparison.baseline.latency_ms.p99).toBeNull()
    const latency = comparison.deltas.find((delta) => delta.metric === 'latency_ms')
    expect(latency).toMatchObject({ method: 'exact', baseline: 'FP16', candidate: 'INT8' })
    expect(latency?.ratio).toBeCloseTo((int8?.latency_ms.mean ?? 0) / comparison.baseline.latency_ms.mean, 6)
    const markdown = readFileSync(folder.file('c.md'), 'utf8')
    expect(markdown).toMatch(/\| Latency, mean \(ms\) \|/)
    expect(markdown).toContain('Simulated')
  })

  it('repeats exactly on the simulated device', async () => {
    using folder = new Folder()
    const args = [...SPRITE, '--device', 'sim:Ascend310P3', '--loop-count', '3', '--samples', '1', '--json']
    for (const name of ['a.json', 'b.json']) {
      expect((await tool('aqw', ['compare', ...args, name], { cwd: folder.path })).code).toBe(0)
    }
    const [a, b] = [read(folder, 'a.json'), read(folder, 'b.json')]
    expect(b.config_hash).toBe(a.config_hash)
    expect(b.baseline.latency_ms).toEqual(a.baseline.latency_ms)
    expect(b.candidates[0]?.quality).toEqual(a.candidates[0]?.quality)
    expect(a.conditions.loop_count).toBe(3)
  })

  it('compares FP32 and INT8 on the host CPU, measured', async () => {
    using folder = new Folder()
    const args = [
      ...SPRITE,
      '--device',
      'cpu',
      '--loop-count',
      '5',
      '--warmup',
      '1',
      '--samples',
      '2',
      '--json',
      '-',
    ]
    const outcome = await tool('aqw', ['compare', ...args], { cwd: folder.path })
    expect(outcome.code, outcome.stderr).toBe(0)
    const comparison = comparisonSchema.parse(JSON.parse(outcome.stdout))
    expect(comparison).toMatchObject({
      label: 'measured',
      cost_model: null,
      baseline: { label: 'FP32', quality: null },
      candidates: [{ label: 'INT8 (host CPU)', quality: { samples: 2 } }],
    })
    expect(comparison.deltas.find((delta) => delta.metric === 'latency_ms')?.method).toBe('bootstrap')
    expect(folder.list()).toEqual([])
  })

  it('stops at Ctrl-C and leaves nothing behind', async () => {
    using folder = new Folder()
    const args = [
      ...SPRITE,
      '--device',
      'cpu',
      '--duration',
      '60000',
      '--json',
      'c.json',
      '--artifacts',
      'work',
    ]
    const outcome = await tool('aqw', ['compare', ...args], {
      cwd: folder.path,
      // The signal comes once the work folder shows that the work is under way.
      started: (kill) => {
        const timer = setInterval(() => {
          if (!existsSync(folder.file('work'))) return
          clearInterval(timer)
          kill('SIGINT')
        }, 20)
      },
    })
    expect(outcome.code).toBe(130)
    expect(outcome.stderr).toContain('[E_CANCELLED]')
    expect(folder.list().filter((name) => name.endsWith('.tmp') || name === 'c.json')).toEqual([])
  })
})

describe('aqw sample', () => {
  it('stops at Ctrl-C and leaves nothing behind', async () => {
    using folder = new Folder()
    const outcome = await tool('aqw', ['sample', 'unet', '-o', 'big.onnx'], {
      cwd: folder.path,
      started: (kill) => {
        const timer = setInterval(() => {
          if (folder.list().length === 0) return
          clearInterval(timer)
          kill('SIGINT')
        }, 20)
      },
    })
    expect(outcome.code).toBe(130)
    expect(folder.list()).toEqual([])
  })

  it('writes a model that ONNX Runtime runs, with one input and with three', async () => {
    using folder = new Folder()
    for (const inputs of ['single', 'full']) {
      const sample = [
        'sample',
        'unet',
        '-o',
        'unet.onnx',
        '--inputs',
        inputs,
        '--channels',
        '8,16',
        '--size',
        '16',
      ]
      const calibration = ['--calibration', `calib_${inputs}`, '--count', '2', '--json']
      const made = await tool('aqw', [...sample, ...calibration], { cwd: folder.path })
      expect(made.code, made.stderr).toBe(0)
      const benchmark = ['benchmark', '--model', 'unet.onnx', '--device', 'cpu', '--data', `calib_${inputs}`]
      const ran = await tool('aqw', [...benchmark, '--loop-count', '2', '--warmup', '0', '--json'], {
        cwd: folder.path,
      })
      expect(ran.code, ran.stderr).toBe(0)
      const { results } = JSON.parse(ran.stdout) as {
        results: { runs: number; model: { inputs: unknown[]; outputs: { name: string; dims: number[] }[] } }[]
      }
      expect(results[0]?.runs).toBe(2)
      expect(results[0]?.model.inputs).toHaveLength(inputs === 'single' ? 1 : 3)
      expect(results[0]?.model.outputs).toMatchObject([{ name: 'noise_pred', dims: [1, 4, 16, 16] }])
    }
  })
})

describe('aqw devices and doctor', () => {
  it('list what is usable, as text and as JSON', async () => {
    using folder = new Folder()
    const text = await tool('aqw', ['devices'], { cwd: folder.path })
    expect(text.code).toBe(0)
    expect(text.stdout).toMatch(/^sim:Ascend310P3 +simulated .* usable$/m)
    expect(text.stdout).toMatch(/^cpu +host CPU/m)
    const json = await tool('aqw', ['devices', '--json'], { cwd: folder.path })
    const { devices } = JSON.parse(json.stdout) as {
      devices: { id: string; probe?: { ok: boolean; steps: string[] } }[]
    }
    const simulated = devices.find((device) => device.id === 'sim:Ascend310P3')
    expect(simulated?.probe).toMatchObject({ ok: true })
    expect(simulated?.probe?.steps).toContainEqual(expect.stringContaining('execute'))
    const doctor = await tool('aqw', ['doctor', '--json'], { cwd: folder.path })
    expect(doctor.code).toBe(0)
    const { checks } = JSON.parse(doctor.stdout) as { checks: { name: string; state: string }[] }
    expect(checks.find((check) => check.name === 'simulated NPU')?.state).toBe('ok')
  })
})
