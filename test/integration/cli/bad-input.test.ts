// Bad input through the command line: the exit code, the stable code, a message that names the thing, nothing left behind.
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Folder, run, tool, type Outcome } from './run.ts'

const SHAPE = [1, 4, 64, 64]
const SAMPLE_BYTES = SHAPE.reduce((product, size) => product * size, 4)

let made: Folder

beforeAll(async () => {
  made = new Folder()
  const sample = await tool('aqw', ['sample', 'unet', '-o', 'unet.onnx', '--channels', '8,16'], {
    cwd: made.path,
  })
  expect(sample.stderr).toBe('')
  const compiled = await tool(
    'aqw',
    ['compile', '--model', 'unet.onnx', '--device', 'sim:Ascend310P3', '-o', 'unet_fp16.om'],
    { cwd: made.path },
  )
  expect(compiled.stderr).toBe('')
})
afterAll(() => made[Symbol.dispose]())

/** A folder holding the model and some calibration bins. */
function prepared(bins: Record<string, Uint8Array>): Folder {
  const folder = new Folder()
  writeFileSync(folder.file('unet.onnx'), readFileSync(made.file('unet.onnx')))
  mkdirSync(folder.file('calib'))
  for (const [name, content] of Object.entries(bins)) writeFileSync(folder.file('calib', name), content)
  return folder
}

const zeros = (): Uint8Array => new Uint8Array(SAMPLE_BYTES)

const QUANTIZE = ['quantize', '--model', 'unet.onnx', '--calibration', 'calib', '-o', 'out']

/** Runs `aqw`, expects the failure, and that the folder is as it was. */
async function refused(
  folder: Folder,
  args: string[],
  code: string,
  ...texts: (string | RegExp)[]
): Promise<Outcome> {
  const before = folder.list()
  const outcome = await tool('aqw', args, { cwd: folder.path })
  expect(outcome.stderr).toContain(`[${code}]`)
  for (const text of texts) expect(outcome.stderr).toMatch(text)
  expect(outcome.stderr).not.toMatch(/^\s+at /m)
  expect(outcome.code).toBe(1)
  expect(folder.list()).toEqual(before)
  return outcome
}

describe('model files', () => {
  it('that are not ONNX', async () => {
    using folder = prepared({ '0.bin': zeros() })
    writeFileSync(folder.file('text.onnx'), 'this is not a model, whatever its name says\n')
    for (const args of [
      ['inspect', 'text.onnx'],
      ['quantize', '--model', 'text.onnx', '--calibration', 'calib', '-o', 'out'],
      ['compile', '--model', 'text.onnx', '--device', 'sim:Ascend310P3', '-o', 'out.om'],
      ['compare', '--model', 'text.onnx', '--calibration', 'calib', '--device', 'cpu', '--json', 'out.json'],
    ]) {
      await refused(folder, args, 'E_ONNX_NOT_ONNX', /text\.onnx/)
    }
  })

  it('that are cut off', async () => {
    using folder = prepared({ '0.bin': zeros() })
    truncateSync(folder.file('unet.onnx'), 5000)
    await refused(folder, QUANTIZE, 'E_ONNX_TRUNCATED', /unet\.onnx/)
  })

  it('that are missing, or of a kind the command cannot read', async () => {
    using folder = prepared({})
    await refused(folder, ['inspect', 'none.onnx'], 'E_FILE_NOT_FOUND', /none\.onnx/)
    writeFileSync(folder.file('model.pt'), 'x')
    await refused(folder, ['inspect', 'model.pt'], 'E_MODEL_KIND', /model\.pt[\s\S]*\.onnx or \.om/)
  })

  it('whose external data is missing or points outside of the folder', async () => {
    using folder = prepared({ '0.bin': zeros() })
    const { openModel, saveModel } = await import('../../../engine/onnx/index.ts')
    const model = openModel(made.file('unet.onnx'))
    saveModel(model, folder.file('unet.onnx'), { external: 'single-file' })
    const data = folder.list().find((name) => name.startsWith('unet.onnx.'))
    expect(data).toBeDefined()
    const bytes = readFileSync(folder.file('unet.onnx'))
    const name = Buffer.from(data ?? '')
    writeFileSync(
      folder.file('unet.onnx'),
      replaceAll(bytes, name, Buffer.from('../'.padEnd(name.length, 'x'))),
    )
    await refused(folder, QUANTIZE, 'E_ONNX_EXTERNAL_OUTSIDE', /\.\.\/xx/)
    writeFileSync(
      folder.file('unet.onnx'),
      replaceAll(bytes, name, Buffer.from('none'.padEnd(name.length, 'x'))),
    )
    await refused(folder, QUANTIZE, 'E_ONNX_EXTERNAL_MISSING', /nonexx/)
  })
})

function replaceAll(bytes: Buffer, from: Buffer, to: Buffer): Buffer {
  const result = Buffer.from(bytes)
  for (let at = result.indexOf(from); at >= 0; at = result.indexOf(from, at + 1)) to.copy(result, at)
  return result
}

/** What tells a simulated .om from a real one is the magic of its kernel store items (docs/om-format.md). */
function withoutPayloadMark(om: Buffer): Buffer {
  return replaceAll(om, Buffer.from('AQSK'), Buffer.from('REAL'))
}

describe('calibration data', () => {
  it('of the wrong size: both byte counts and what each would mean', async () => {
    using folder = prepared({ '0.bin': zeros().subarray(0, SAMPLE_BYTES / 2) })
    await refused(
      folder,
      QUANTIZE,
      'E_CALIBRATION_SHAPE',
      /0\.bin/,
      String(SAMPLE_BYTES),
      String(SAMPLE_BYTES / 2),
      /1, ?4, ?64, ?64/,
    )
  })

  it('with a NaN', async () => {
    const values = new Float32Array(SAMPLE_BYTES / 4)
    values[123] = NaN
    using folder = prepared({ '0.bin': zeros(), '1.bin': new Uint8Array(values.buffer) })
    await refused(folder, QUANTIZE, 'E_CALIBRATION_NOT_FINITE', /1\.bin/, /123/, /NaN/)
  })

  it('that is not there at all', async () => {
    using folder = prepared({})
    await refused(folder, QUANTIZE, 'E_CALIBRATION_EMPTY', /calib/)
    await refused(folder, [...QUANTIZE.slice(0, 4), 'nowhere', '-o', 'out'], 'E_FOLDER_NOT_FOUND', /nowhere/)
  })

  it('of which there is less than asked for', async () => {
    using folder = prepared({ '0.bin': zeros(), '1.bin': zeros() })
    await refused(folder, [...QUANTIZE, '--count', '3'], 'E_CALIBRATION_COUNT', /2/, /3/)
  })
})

describe('configurations', () => {
  it('that name an unknown layer: the nearest names', async () => {
    using folder = prepared({ '0.bin': zeros() })
    const recipe = { schema: 'aqw.recipe/1', skip_layers: ['unet.conv_outt.weight'] }
    writeFileSync(folder.file('recipe.json'), JSON.stringify(recipe))
    await refused(
      folder,
      [...QUANTIZE, '--recipe', 'recipe.json'],
      'E_LAYER_UNKNOWN',
      /unet\.conv_outt/,
      /unet\.conv_out/,
    )
  })

  it('with a syntax error: line and column', async () => {
    using folder = prepared({ '0.bin': zeros() })
    writeFileSync(folder.file('recipe.json'), '{\n  "schema": "aqw.recipe/1",\n  "skip_layers": [}\n}\n')
    await refused(folder, [...QUANTIZE, '--recipe', 'recipe.json'], 'E_JSON_SYNTAX', /recipe\.json:3:19/)
  })

  it('with an unknown key: the nearest key', async () => {
    using folder = prepared({ '0.bin': zeros() })
    writeFileSync(folder.file('recipe.json'), '{"schema":"aqw.recipe/1",\n "skip_layer": []}')
    await refused(
      folder,
      [...QUANTIZE, '--recipe', 'recipe.json'],
      'E_JSON_UNKNOWN_KEY',
      /recipe\.json:2:/,
      /skip_layer"/,
      /skip_layers/,
    )
  })
})

describe('outputs', () => {
  it('that cannot be written are refused before any work', async () => {
    using folder = prepared({ '0.bin': zeros() })
    const compare = ['compare', '--model', 'unet.onnx', '--calibration', 'calib', '--device', 'cpu']
    for (const args of [
      [...QUANTIZE.slice(0, -1), 'missing/out'],
      ['compile', '--model', 'unet.onnx', '--device', 'sim:Ascend310P3', '-o', 'missing/out.om'],
      ['sample', 'unet', '-o', 'missing/out.onnx'],
      [...compare, '--json', 'missing/out.json'],
      [...compare, '--markdown', 'calib'],
    ]) {
      await refused(folder, args, 'E_FILE_WRITE', /missing|calib/)
    }
  })
})

describe('devices', () => {
  it('that do not exist: the nearest one', async () => {
    using folder = prepared({ '0.bin': zeros() })
    const model = ['--model', 'unet.onnx']
    await refused(
      folder,
      ['compile', ...model, '--device', 'sim:Ascend310P4', '-o', 'o.om'],
      'E_DEVICE_UNKNOWN',
      /Ascend310P3/,
    )
    await refused(
      folder,
      ['compare', ...model, '--calibration', 'calib', '--device', 'gpu:0', '--json', 'o.json'],
      'E_DEVICE_UNKNOWN',
      /gpu:0/,
    )
  })

  it('that an .om was not compiled for', async () => {
    using folder = new Folder()
    writeFileSync(folder.file('unet_fp16.om'), readFileSync(made.file('unet_fp16.om')))
    const args = ['benchmark', '--model', 'unet_fp16.om', '--device', 'sim:Ascend910B4']
    await refused(folder, args, 'E_DEVICE_MODEL_SOC', /Ascend310P3/, /Ascend910B4/)
  })

  it('that are not there: benchmark_tool with a number that the simulated device lacks', async () => {
    const args = [`--model_path=${made.file('unet_fp16.om')}`, '--device_id=3', '--loop_count=1']
    using folder = new Folder()
    const outcome = await tool('benchmark_tool', args, { cwd: folder.path })
    expect(outcome.code).toBe(1)
    expect(outcome.stderr).toMatch(/device_id 3[\s\S]*\[E_DEVICE_UNKNOWN\]/)
  })
})

describe('an .om of the real compiler', () => {
  it('cannot be quantized: the ONNX file is asked for', async () => {
    using folder = prepared({ '0.bin': zeros() })
    writeFileSync(folder.file('real.om'), withoutPayloadMark(readFileSync(made.file('unet_fp16.om'))))
    const config = {
      model_info: { model_path: './real.om', output_path: './out.om' },
      quantization_info: {
        quant_mode: 'static_ptq',
        data_type: 'INT8',
        calibration_config: { calibration_data_path: './calib' },
        quant_options: { activation_quant_method: 'max_abs', weight_quant_method: 'max_abs' },
      },
    }
    writeFileSync(folder.file('amct_config.json'), JSON.stringify(config))
    const before = folder.list()
    const outcome = await tool('amct_tool', ['--config=amct_config.json'], { cwd: folder.path })
    expect(outcome.stderr).toMatch(/real\.om/)
    expect(outcome.stderr).toMatch(/onnx/i)
    expect(outcome.stderr).toContain('[E_OM_REAL]')
    expect(outcome.code).toBe(1)
    expect(folder.list()).toEqual(before)
    await refused(
      folder,
      ['compare', '--model', 'real.om', '--calibration', 'calib', '--device', 'cpu', '--json', 'o.json'],
      'E_OM_REAL',
      /real\.om/,
    )
  })
})

describe('comparison files', () => {
  it('that are not JSON, not comparisons, or missing', async () => {
    using folder = new Folder()
    writeFileSync(folder.file('cut.json'), '{"schema": "aqw.comparison/1",\n "label": }')
    writeFileSync(folder.file('other.json'), '{"schema": "something/1"}')
    await refused(folder, ['report', 'cut.json', '-o', 'r.md'], 'E_JSON_SYNTAX', /cut\.json:2:11/)
    await refused(folder, ['report', 'other.json', '-o', 'r.md'], 'E_JSON_VALUE', /other\.json: label/)
    await refused(folder, ['report', 'none.json', '-o', 'r.md'], 'E_FILE_NOT_FOUND', /none\.json/)
  })
})

describe('the command line itself', () => {
  it.each([
    [['unknown'], /unknown command 'unknown'/],
    [['devicess'], /Did you mean devices/],
    [['inspect'], /missing required argument 'model'/],
    [['inspect', 'a.onnx', '--colour'], /unknown option '--colour'/],
    [['quantize', '--model', 'a.onnx'], /--output/],
    [['sample', 'unet', '-o', 'x.onnx', '--channels', '320,x'], /--channels: "x"/],
    [['sample', 'unet', '-o', 'x.onnx', '--inputs', 'triple'], /--inputs/],
    [['devices', '--log-level', 'loud'], /loud/],
    [
      ['benchmark', '--model', 'a.om', '--device', 'cpu', '--loop-count', '5', '--runs', '9'],
      /'--loop-count <n>' cannot be used with option '--runs <n>'/,
    ],
    [
      ['quantize', '--model', 'a.onnx', '-o', 'o', '--record', 'r.txt', '--equalize'],
      /--record <file>' cannot be used with option '--equalize'/,
    ],
    [
      ['quantize', '--model', 'a.onnx', '-o', 'o', '--record', 'r.txt', '--method', 'mse'],
      /--record <file>' cannot be used with option '--method/,
    ],
    [['calibrate', 'a.onnx', '--data', '.', '--top', 'x'], /--top: "x"/],
    [['calibrate', 'a.onnx', '--data', '.', '--layout', 'x:HWC', '--top', '0'], /--top: "0"/],
    [['sample', 'unet'], /See "aqw sample unet --help"/],
    [['report', 'c.json', '-o', 'page.docx'], /page\.docx/],
  ])('%j is a usage error', async (args, message) => {
    using folder = new Folder()
    const outcome = await tool('aqw', args, { cwd: folder.path })
    expect(outcome.code).toBe(2)
    expect(outcome.stderr).toMatch(message)
    expect(outcome.stdout).toBe('')
    expect(folder.list()).toEqual([])
  })

  it.each(['aqw inspect unet.onnx --top 1000', 'aqw --help', 'aqw inspect none.onnx --json 2>&1'])(
    '`%s` outlives a reader that has seen enough',
    async (command) => {
      using folder = new Folder()
      writeFileSync(folder.file('unet.onnx'), readFileSync(made.file('unet.onnx')))
      const outcome = await run('bash', ['-c', `${command} | true; echo "\${PIPESTATUS[0]}"`], {
        cwd: folder.path,
      })
      const code = command.includes('none') ? 1 : 0
      expect(outcome).toEqual({ code: 0, stdout: `${code}\n`, stderr: '' })
    },
  )

  it('prints an error as JSON too when JSON was asked for', async () => {
    using folder = new Folder()
    const outcome = await tool('aqw', ['inspect', 'none.onnx', '--json'], { cwd: folder.path })
    const { error } = JSON.parse(outcome.stdout) as { error: { code: string; details: { path: string } } }
    expect(error.code).toBe('E_FILE_NOT_FOUND')
    expect(error.details.path).toBe('none.onnx')
  })
})
