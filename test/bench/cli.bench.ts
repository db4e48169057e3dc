// Figures of the command line: start-up time, memory of the generator, size of an INT8 model, time of the demo.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

interface Metric {
  name: string
  value: number
  unit: string
  target?: string
  ok?: boolean
}

const ROOT = path.resolve(import.meta.dirname, '../..')

interface Usage {
  milliseconds: number
  peakBytes: number
}

/** Largest resident set of a running process so far; 0 once it is gone. */
function residentPeak(pid: number): number {
  try {
    const match = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return Number(match?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}

function launch(program: string, args: string[], cwd: string): Promise<Usage> {
  return new Promise((resolve, reject) => {
    const started = performance.now()
    let peakBytes = 0
    const child = spawn(program, args, { cwd, stdio: 'ignore' })
    const timer = setInterval(() => (peakBytes = Math.max(peakBytes, residentPeak(child.pid ?? 0))), 5)
    child.on('error', reject)
    child.on('close', (code) => {
      clearInterval(timer)
      if (code === 0) resolve({ milliseconds: performance.now() - started, peakBytes })
      else reject(new Error(`${program} ${args.join(' ')} ended with ${code}`))
    })
  })
}

const aqw = (args: string[], cwd: string): Promise<Usage> => launch(path.join(ROOT, 'bin/aqw'), args, cwd)

const atMost = (name: string, value: number, limit: number, unit: string): Metric => ({
  name,
  value,
  unit,
  target: `<= ${limit}`,
  ok: value <= limit,
})

async function startUp(folder: string): Promise<Metric[]> {
  await aqw(['--help'], folder)
  const runs: number[] = []
  for (let index = 0; index < 7; index++) runs.push((await aqw(['--help'], folder)).milliseconds)
  runs.sort((left, right) => left - right)
  return [atMost('cli.help_ms', runs[3] ?? 0, 300, 'ms')]
}

/** 137 M parameters: large enough that weights held in memory would show. */
async function generator(folder: string): Promise<Metric[]> {
  const args = ['sample', 'unet', '-o', 'large.onnx', '--inputs', 'full', '--channels', '128,256,512,512']
  const { peakBytes } = await aqw(args, folder)
  rmSync(path.join(folder, 'large.onnx'))
  return [atMost('cli.sample_rss_mib', peakBytes / 2 ** 20, 300, 'MiB')]
}

async function deploySize(folder: string): Promise<Metric[]> {
  const sample = ['sample', 'unet', '-o', 'unet.onnx', '--channels', '64,128,256,256']
  await aqw([...sample, '--calibration', 'calib', '--count', '1'], folder)
  await aqw(['quantize', '--model', 'unet.onnx', '--calibration', 'calib', '-o', 'q'], folder)
  const ratio =
    statSync(path.join(folder, 'q_deploy_model.onnx')).size / statSync(path.join(folder, 'unet.onnx')).size
  return [atMost('cli.int8_size_ratio', ratio, 0.27, 'x of FP32')]
}

async function demo(folder: string): Promise<Metric[]> {
  const script = path.join(ROOT, 'scripts/demo.ts')
  const { milliseconds } = await launch(process.execPath, [script, '--output-dir', folder], ROOT)
  return [atMost('cli.demo_s', milliseconds / 1000, 60, 's')]
}

const CASES: Record<string, (folder: string) => Promise<Metric[]>> = {
  'cli.help_ms': startUp,
  'cli.sample_rss_mib': generator,
  'cli.int8_size_ratio': deploySize,
  'cli.demo_s': demo,
}

/** Measures the metrics named in `wanted` (`cli` or none: all). */
export async function run(wanted: readonly string[] = []): Promise<Metric[]> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'aqw-bench-'))
  try {
    const metrics: Metric[] = []
    for (const [name, measure] of Object.entries(CASES)) {
      if (wanted.length > 0 && !wanted.includes('cli') && !wanted.includes(name)) continue
      metrics.push(...(await measure(folder)))
    }
    return metrics
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
