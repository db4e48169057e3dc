// Exchange with other tools as a user calls it: recipes in AMCT's forms, record files, QDQ models, the deploy linter.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { interopNoteSchema } from '../../../contract/interop.ts'
import { lintReportSchema } from '../../../contract/lint.ts'
import { quantizationResultSchema } from '../../../contract/quantization.ts'
import { recipeSchema } from '../../../contract/recipe.ts'
import { Folder, SAMPLE, tool } from './run.ts'

const UNET = `${SAMPLE}/unet.onnx`
const SHAPES = ['--input-shape', 'sample_input_tensor:1,4,64,64;timestep:1;encoder_hidden_states:1,8,64']

const CFG = `# quant.cfg
batch_num : 2
activation_offset : true
skip_layers : "/unet/conv_in/Conv"
skip_layer_types : "Gemm"
do_fusion : true
common_config : {
  arq_quantize : { channel_wise : true }
  ifmr_quantize : { search_range_start : 0.7 search_range_end : 1.3 search_step : 0.01 }
}
`

interface LayerParameters {
  quant_enable: boolean
  activation_quant_params: { act_algo: string }
}

describe('aqw recipe', () => {
  it('takes a simplified configuration through every form and back to the same layers', async () => {
    using folder = new Folder()
    const aqw = async (...args: string[]) => {
      const outcome = await tool('aqw', ['recipe', ...args], { cwd: folder.path })
      expect(outcome.code, outcome.stderr).toBe(0)
      return outcome
    }
    writeFileSync(folder.file('quant.cfg'), CFG)
    const model = ['--model', UNET]
    const shown = await aqw('show', 'quant.cfg', ...model)
    expect(shown.stdout).toContain('simplified configuration')
    expect(shown.stderr).toContain('batch_num 2')

    await aqw('convert', 'quant.cfg', ...model, '--to', 'recipe', '-o', 'recipe.json')
    const recipe = recipeSchema.parse(JSON.parse(readFileSync(folder.file('recipe.json'), 'utf8')))
    expect(recipe).toMatchObject({ activation: { method: 'ifmr' }, skip_layers: ['/unet/conv_in/Conv'] })

    await aqw('convert', 'recipe.json', ...model, '--to', 'amct_json', '-o', 'config.json')
    const config = JSON.parse(readFileSync(folder.file('config.json'), 'utf8')) as Record<
      string,
      LayerParameters
    >
    const layers = Object.values(config).filter(
      (value) => typeof value === 'object' && 'quant_enable' in value,
    )
    expect(layers.length).toBeGreaterThan(40)
    expect(config['/unet/conv_in/Conv']?.quant_enable).toBe(false)
    expect(config['/unet/conv_out/Conv']).toMatchObject({
      quant_enable: true,
      activation_quant_params: { act_algo: 'ifmr' },
    })

    await aqw('convert', 'config.json', ...model, '--to', 'amct_cfg', '-o', 'again.cfg')
    const counts = await Promise.all(
      ['quant.cfg', 'recipe.json', 'config.json', 'again.cfg'].map(async (file) => {
        const { stdout } = await aqw('show', file, ...model)
        return /(\d+) layers quantized/.exec(stdout)?.[1]
      }),
    )
    expect(Number(counts[0])).toBeGreaterThan(20)
    expect(new Set(counts).size).toBe(1)

    const json = await aqw('show', 'again.cfg', ...model, '--json')
    const parsed = JSON.parse(json.stdout) as { form: string; notes: unknown[] }
    expect(parsed.form).toBe('amct_cfg')
    expect(parsed.notes.map((note) => interopNoteSchema.parse(note).code)).toContain('batch_num')
  })

  it('names file, line and key of a mistake, and a model where one is needed', async () => {
    using folder = new Folder()
    writeFileSync(folder.file('quant.cfg'), CFG.replace('skip_layer_types', 'skip_layer_typo'))
    writeFileSync(folder.file('config.json'), '{\n  "version": 1,\n  "conv": {"quant_enabled": true}\n}')
    writeFileSync(folder.file('record.txt'), 'record {\n  key: "conv"\n}\n')
    writeFileSync(folder.file('good.cfg'), CFG)
    const failed = async (...args: string[]) => {
      const outcome = await tool('aqw', ['recipe', ...args], { cwd: folder.path })
      expect(outcome.code).toBe(1)
      expect(outcome.stdout).toBe('')
      return outcome.stderr
    }
    expect(await failed('show', 'quant.cfg')).toMatch(/quant\.cfg:5.*skip_layer_typo[^]*skip_layer_types/)
    expect(await failed('show', 'config.json')).toMatch(/config\.json:3:\d+.*quant_enabled/)
    expect(await failed('show', 'record.txt')).toMatch(/E_RECIPE_IS_RECORD/)
    expect(await failed('convert', 'good.cfg', '--to', 'amct_json')).toMatch(/E_RECIPE_NEEDS_MODEL/)
    expect(folder.list()).toEqual(['config.json', 'good.cfg', 'quant.cfg', 'record.txt'])
  })
})

describe('aqw convert', () => {
  it('tells a few notes of each kind, all of them with --json', async () => {
    using folder = new Folder()
    const peer = path.resolve(import.meta.dirname, '../../fixtures/peers/onnxruntime_uint8_per_tensor.onnx')
    const aqw = (...args: string[]) =>
      tool('aqw', ['convert', peer, 'out.onnx', ...args], { cwd: folder.path })
    const outcome = await aqw('--to', 'ascend')
    expect(outcome.code, outcome.stderr).toBe(0)
    expect(outcome.stdout).toMatch(/^Wrote .*out\.onnx/)
    expect(outcome.stderr.match(/is dropped/g)).toHaveLength(3)
    const json = await aqw('--json')
    const { notes } = JSON.parse(json.stdout) as { notes: unknown[] }
    expect(notes.map((note) => interopNoteSchema.parse(note).code).sort()).toEqual([
      'output_pair_dropped',
      'pair_dropped',
      'pair_dropped',
    ])
  })
})

describe('aqw quantize, convert and lint', () => {
  it('quantize by a record, convert the twin, lint both', { timeout: 300_000 }, async () => {
    using folder = new Folder()
    const aqw = (...args: string[]) => tool('aqw', args, { cwd: folder.path })
    writeFileSync(folder.file('quant.cfg'), CFG)
    const calibration = ['--calibration', `${SAMPLE}/calibration`, '--count', '1']
    const first = await aqw(
      'quantize',
      '--model',
      UNET,
      ...calibration,
      '--recipe',
      'quant.cfg',
      '-o',
      'a',
      '--json',
    )
    expect(first.code, first.stderr).toBe(0)
    expect(first.stderr).toContain('batch_num 2')

    const again = await aqw('quantize', '--model', UNET, '--record', 'a_record.txt', '-o', 'b', '--json')
    expect(again.code, again.stderr).toBe(0)
    const results = [first, again].map(({ stdout }) => quantizationResultSchema.parse(JSON.parse(stdout)))
    const quantized = results.map(({ layers }) => layers.filter((layer) => layer.quantized).length)
    expect(quantized[0]).toBeGreaterThan(20)
    expect(quantized[1]).toBe(quantized[0])
    for (const end of ['deploy_model.onnx', 'fake_quant_model.onnx', 'record.txt']) {
      const same = readFileSync(folder.file(`a_${end}`)).equals(readFileSync(folder.file(`b_${end}`)))
      expect({ end, same }).toEqual({ end, same: true })
    }
    const both = await aqw('quantize', '--model', UNET, ...calibration, '--record', 'a_record.txt', '-o', 'c')
    expect(both.code).toBe(2)
    const neither = await aqw('quantize', '--model', UNET, '-o', 'c')
    expect(neither.code).toBe(2)

    const clean = await aqw('lint', 'a_deploy_model.onnx', '--soc', 'Ascend310B4', ...SHAPES, '--json')
    expect(clean.code, clean.stdout).toBe(0)
    const report = lintReportSchema.parse(JSON.parse(clean.stdout))
    expect(report.counts.error).toBe(0)
    expect(report.command).toContain('--soc_version=Ascend310B4')
    // The 310B takes no open shapes.
    expect((await aqw('lint', 'a_deploy_model.onnx', '--soc', 'Ascend310B4')).code).toBe(1)
    const dirty = await aqw('lint', 'a_fake_quant_model.onnx')
    expect(dirty.code).toBe(1)
    expect(dirty.stdout).toMatch(/\[qdq_nodes\]/)

    const there = await aqw('convert', 'a_fake_quant_model.onnx', 'there.onnx', '--to', 'ascend')
    expect(there.code, there.stderr).toBe(0)
    expect((await aqw('lint', 'there.onnx')).code).toBe(0)
    const back = await aqw('convert', 'there.onnx', 'back.onnx', '--json')
    expect(JSON.parse(back.stdout)).toMatchObject({ to: 'qdq' })
    copyFileSync(UNET, folder.file('float.onnx'))
    const plain = await aqw('convert', 'float.onnx', 'out.onnx')
    expect(plain.code).toBe(1)
    expect(plain.stderr).toMatch(/not quantized[^]*E_CONVERT_MODEL/)
    expect(folder.list()).not.toContain('out.onnx')
    expect(folder.list()).not.toContain('c_deploy_model.onnx')
  })
})
