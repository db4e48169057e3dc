// The commands that existing scripts hold, character by character, in a folder with nothing but a model, bins and the JSON.
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Folder, run, tool, type Outcome } from './run.ts'

// As printed in the documentation of the scripts, with a comment as those files have them.
const CONFIG = `{ "model_info": { "model_path": "./unet_fp16.om", // the source model
    "input_shapes": {"sample_input_tensor": "1,4,64,64"}, "input_formats": {"sample_input_tensor": "NCHW"},
    "output_path": "./unet_int8_amct.om" },
  "quantization_info": { "quant_mode": "static_ptq", "data_type": "INT8",
    "calibration_config": { "calibration_data_path": "./calib_data_bins", "calibration_data_num": 200,
      "calibration_batch_size": 1, "calibration_data_file_list": "calib_list.txt" },
    "quant_options": { "activation_quant_method": "max_abs", "weight_quant_method": "max_abs",
      "skip_quant_layers": ["unet.up_blocks.3.resnets.2.norm1", "unet.conv_out.weight"],
      "mixed_precision_config": { "enable_mixed_precision": true,
        "mixed_precision_layers": [ {"layer_name": "unet.down_blocks.0.resnets.0.norm1", "data_type": "FP16"} ] } } } }
`
const BENCHMARK = (precision: string, model: string): string =>
  `benchmark_tool --model_path=./${model} --device_id=0 --loop_count=100 \\\n` +
  `  --input_tensor_shape="sample_input_tensor:1,4,64,64" --output_json=./benchmark_${precision}.json`

interface Report {
  model_path: string
  device: { id: string; kind: string; soc: string }
  label: string
  loop_count: number
  latency_ms: Record<string, number | null> & { needed: Record<string, number> }
  qps: number
  model_size_bytes: number
  memory: { device_bytes: number }
  NPU_compute_time: { mean: number; count: number }
  npu_compute_time_list: number[]
  throughput: number
}

let folder: Folder
const shell = (command: string): Promise<Outcome> => run('/bin/sh', ['-c', command], { cwd: folder.path })
const report = (name: string): Report => JSON.parse(readFileSync(folder.file(name), 'utf8')) as Report

beforeAll(async () => {
  folder = new Folder()
  const sample =
    'aqw sample unet -o unet.onnx --channels 8,16,16,16 --attention 2 --calibration calib_data_bins --count 200 && ' +
    'aqw compile --model unet.onnx --precision fp16 --device sim:Ascend310P3 -o unet_fp16.om'
  const outcome = await shell(sample)
  expect(outcome.stderr).toBe('')
  expect(outcome.code).toBe(0)
  // The list file lies beside the configuration, as in the scripts.
  renameSync(folder.file('calib_data_bins', 'calib_list.txt'), folder.file('calib_list.txt'))
  rmSync(folder.file('unet.onnx'))
  writeFileSync(folder.file('amct_config.json'), CONFIG)
})
afterAll(() => folder[Symbol.dispose]())

describe('drop-in commands', () => {
  it('amct_tool writes a compiled INT8 model and its companions', async () => {
    const outcome = await shell('amct_tool --config=amct_config.json --log_level=info')
    expect(outcome.code, outcome.stderr).toBe(0)
    expect(outcome.stdout).toContain('Wrote unet_int8_amct.om')
    expect(folder.list().filter((name) => !name.startsWith('calib'))).toEqual([
      'amct_config.json',
      'unet_fp16.om',
      'unet_int8_amct.om',
      'unet_int8_amct_deploy_model.onnx',
      'unet_int8_amct_fake_quant_model.onnx',
      'unet_int8_amct_quant.json',
      'unet_int8_amct_record.txt',
    ])
    const record = readFileSync(folder.file('unet_int8_amct_record.txt'), 'utf8')
    expect(record).toContain('conv_in')
    expect(record).not.toContain('conv_out')
    const inspected = await shell('aqw inspect unet_int8_amct.om --json')
    expect(JSON.parse(inspected.stdout)).toMatchObject({
      soc: 'Ascend310P3',
      manifest: { precision: 'int8' },
    })
  })

  it('benchmark_tool reports both models, simulated and labelled so', async () => {
    for (const [precision, model] of [
      ['fp16', 'unet_fp16.om'],
      ['int8', 'unet_int8_amct.om'],
    ] as const) {
      const outcome = await shell(BENCHMARK(precision, model))
      expect(outcome.code, outcome.stderr).toBe(0)
      expect(outcome.stdout).toMatch(/Inference average time: \d+\.\d+ ms/)
      expect(outcome.stdout).toMatch(/NPU_compute_time \(ms\): min = /)
      expect(outcome.stdout).toContain('simulated')
      const figures = report(`benchmark_${precision}.json`)
      expect(figures).toMatchObject({
        model_path: `./${model}`,
        loop_count: 100,
        label: 'simulated',
        device: { id: 'sim:Ascend310P3', kind: 'simulated', soc: 'Ascend310P3' },
        model_size_bytes: statSync(folder.file(model)).size,
      })
      expect(Object.keys(figures.latency_ms)).toEqual(
        expect.arrayContaining(['mean', 'min', 'max', 'stddev', 'p50', 'p90', 'p95', 'p99']),
      )
      expect(figures.latency_ms['p90']).toBeGreaterThan(0)
      expect(figures.latency_ms['p99']).toBeNull()
      expect(figures.latency_ms.needed['p99']).toBe(662)
      expect(figures.qps).toBeCloseTo(1000 / (figures.latency_ms['mean'] ?? 0), 6)
      expect(figures.npu_compute_time_list).toHaveLength(100)
      expect(figures.NPU_compute_time.count).toBe(100)
      expect(figures.throughput).toBeCloseTo(figures.qps, 6)
      expect(figures.memory.device_bytes).toBeGreaterThan(0)
    }
  })

  it('benchmark_tool refuses a shape that the model does not have', async () => {
    const outcome = await shell(
      'benchmark_tool --model_path=unet_fp16.om --input_tensor_shape="sample_input_tensor:1,4,32,32"',
    )
    expect(outcome.code).toBe(2)
    expect(outcome.stderr).toMatch(/sample_input_tensor:1,4,32,32[\s\S]*sample_input_tensor:1,4,64,64/)
    const unknown = await shell(
      'benchmark_tool --model_path=unet_fp16.om --input_tensor_shape="sample:1,4,64,64"',
    )
    expect(unknown.code).toBe(1)
    expect(unknown.stderr).toMatch(/"sample"[\s\S]*sample_input_tensor/)
  })

  it('cann_tool --version says what is there and what is missing', async () => {
    const outcome = await shell('cann_tool --version')
    expect(outcome.code).toBe(0)
    expect(outcome.stdout).toMatch(/AscendCL {2,}\S/)
    expect(outcome.stdout).toMatch(/simulated device +\S+libascendcl/)
  })

  it.each([
    ['a syntax error', CONFIG.replace('"quant_mode":', '"quant_mode"'), 'E_JSON_SYNTAX', /bad\.json:4:39/],
    [
      'an unknown key',
      CONFIG.replace('"quant_mode"', '"qaunt_mode"'),
      'E_JSON_UNKNOWN_KEY',
      /"qaunt_mode"[\s\S]*quant_mode/,
    ],
    ['no such model', CONFIG.replace('unet_fp16.om', 'none.om'), 'E_FILE_NOT_FOUND', /none\.om/],
    [
      'an unwritable output',
      CONFIG.replace('./unet_int8_amct.om', './missing/out.om'),
      'E_FILE_WRITE',
      /missing/,
    ],
    [
      'an output where no folder can be made',
      CONFIG.replace('./unet_int8_amct.om', '/proc/out.om'),
      'E_FILE_WRITE',
      /\/proc\/out\.om/,
    ],
    ['too few bins', CONFIG.replace('200', '201'), 'E_CALIBRATION_COUNT', /200[\s\S]*201/],
    [
      'a folder without bins',
      CONFIG.replace('calib_data_bins', 'nowhere'),
      'E_CALIBRATION_FOLDER',
      /nowhere/,
    ],
  ])('amct_tool refuses a configuration with %s and writes nothing', async (_, text, code, message) => {
    writeFileSync(folder.file('bad.json'), text)
    const before = folder.list()
    const outcome = await shell('amct_tool --config=bad.json')
    expect(outcome.code).toBe(1)
    expect(outcome.stderr).toContain(`[${code}]`)
    expect(outcome.stderr).toMatch(message)
    expect(folder.list()).toEqual(before)
  })

  it('benchmark_tool refuses an unwritable report and a missing or damaged model', async () => {
    writeFileSync(folder.file('cut.om'), readFileSync(folder.file('unet_fp16.om')).subarray(0, 3000))
    for (const [args, code] of [
      ['--model_path=unet_fp16.om --output_json=missing/report.json', 'E_FILE_WRITE'],
      ['--model_path=none.om', 'E_FILE_NOT_FOUND'],
      ['--model_path=cut.om', 'E_OM_INVALID'],
    ] as const) {
      const outcome = await shell(`benchmark_tool ${args}`)
      expect(outcome.stderr).toContain(`[${code}]`)
      expect(outcome.code).toBe(1)
    }
    rmSync(folder.file('cut.om'))
  })

  it('amct_tool leaves nothing behind when the configuration names an unknown layer', async () => {
    using other = new Folder()
    writeFileSync(
      other.file('amct_config.json'),
      CONFIG.replace('unet.conv_out.weight', 'unet.conv_outt.weight'),
    )
    writeFileSync(other.file('unet_fp16.om'), readFileSync(folder.file('unet_fp16.om')))
    writeFileSync(other.file('calib_list.txt'), readFileSync(folder.file('calib_list.txt')))
    mkdirSync(other.file('calib_data_bins'))
    for (const name of readFileSync(folder.file('calib_list.txt'), 'utf8').trim().split('\n')) {
      writeFileSync(other.file('calib_data_bins', name), new Uint8Array(65_536))
    }
    const before = other.list()
    const outcome = await tool('amct_tool', ['--config=amct_config.json'], { cwd: other.path })
    expect(outcome.code).toBe(1)
    expect(outcome.stderr).toMatch(/unet\.conv_outt\.weight[\s\S]*unet\.conv_out[\s\S]*\[E_LAYER_UNKNOWN\]/)
    expect(other.list()).toEqual(before)
  })
})
