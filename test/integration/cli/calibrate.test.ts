// `aqw calibrate` and `aqw presets` as a user calls them, on the trained sample U-Net.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { calibrationReportSchema } from '../../../contract/calibration.ts'
import { recipeSchema } from '../../../contract/recipe.ts'
import { quantizeModel } from '../../../engine/quantization/index.ts'
import { Folder, SAMPLE, tool } from './run.ts'

const UNET = `${SAMPLE}/unet.onnx`
const DATA = ['--data', `${SAMPLE}/calibration`]

describe('aqw calibrate', () => {
  it('reports the ranges that quantization takes', async () => {
    using folder = new Folder()
    const args = [UNET, ...DATA, '--count', '9', '--selection', 'timesteps', '--method', 'mse']
    const outcome = await tool('aqw', ['calibrate', ...args, '--report', 'c.json', '--top', '3'], {
      cwd: folder.path,
    })
    expect(outcome.code, outcome.stderr).toBe(0)
    expect(folder.list()).toEqual(['c.json'])
    expect(outcome.stdout).toMatch(/Are the samples enough\?/)
    expect(outcome.stdout).toMatch(/Time steps from index\.json/)

    const report = calibrationReportSchema.parse(JSON.parse(readFileSync(folder.file('c.json'), 'utf8')))
    expect(report.data).toMatchObject({ samples: 9, selection: 'timesteps', timesteps: 'index' })
    const steps = report.samples.map(({ timestep }) => timestep ?? NaN)
    // Steps lie between 1 and 951, in an order that begins at both ends.
    expect(Math.min(...steps)).toBe(steps[0])
    expect(Math.max(...steps)).toBe(steps[1])
    const quantized = await quantizeModel({
      modelPath: UNET,
      recipe: report.recipe,
      dataset: { folder: `${SAMPLE}/calibration`, count: 9, selection: 'timesteps' },
      outputPrefix: folder.file('q'),
    })
    expect(quantized.dataset.sha256).toBe(report.data.sha256)
    const byLayer = new Map(
      report.tensors.flatMap((tensor) => tensor.layers.map(({ name }) => [name, tensor])),
    )
    const layers = quantized.layers.filter((layer) => layer.activation)
    expect(layers.length).toBeGreaterThan(150)
    for (const { name, activation } of layers) {
      const chosen = byLayer.get(name)?.chosen
      expect(chosen?.method).toBe('mse')
      // Other outputs of the graph, other fusions of ONNX Runtime: the last bits differ, and the optimum is flat.
      expect((chosen?.scale ?? NaN) / (activation?.scale ?? NaN), name).toBeCloseTo(1, 2)
      expect(Math.abs((chosen?.offset ?? NaN) - (activation?.offset ?? NaN)), name).toBeLessThanOrEqual(1)
    }
    const mass = report.tensors.map(({ histogram, elements }) => [
      histogram.counts.reduce((sum, count) => sum + count, 0),
      elements,
    ])
    for (const [shown, elements] of mass) expect(shown).toBe(elements)
  })

  it('writes pages in both languages that need nothing else', async () => {
    using folder = new Folder()
    const args = [UNET, ...DATA, '--count', '3', '--preset', 'diffusion_w8a8']
    for (const [language, text] of [
      ['en', 'Too few samples to tell'],
      ['zh', '样本太少，无法判断'],
    ] as const) {
      const options = ['--report', `${language}.html`, '--language', language]
      const outcome = await tool('aqw', ['calibrate', ...args, ...options], { cwd: folder.path })
      expect(outcome.code, outcome.stderr).toBe(0)
      expect(outcome.stdout).toContain(text)
      const page = readFileSync(folder.file(`${language}.html`), 'utf8')
      expect(page).toContain(text)
      expect(page).not.toMatch(/(src|href)="http/)
      expect(page).toContain('prefers-color-scheme:dark')
      expect(page.match(/<svg/g)?.length).toBeGreaterThan(5)
    }
  })

  it('refuses what cannot be, before any work', async () => {
    using folder = new Folder()
    const refused = async (...args: string[]) =>
      tool('aqw', ['calibrate', UNET, ...DATA, ...args], { cwd: folder.path })
    const extension = await refused('--report', 'c.docx')
    expect([extension.code, extension.stderr]).toEqual([
      2,
      expect.stringMatching(/\.html, \.pdf, \.md, \.json/),
    ])
    const preset = await refused('--preset', 'language_w8a8')
    expect([preset.code, preset.stderr]).toEqual([1, expect.stringMatching(/diffusion_w8a8/)])
    expect(folder.list()).toEqual([])
  })
})

describe('aqw presets', () => {
  it('shows what fits the model and writes its recipe', async () => {
    using folder = new Folder()
    const outcome = await tool('aqw', ['presets', UNET, '-o', 'recipe.json'], { cwd: folder.path })
    expect(outcome.code, outcome.stderr).toBe(0)
    expect(outcome.stdout).toMatch(/^diffusion unet: .*14 skip convolution/m)
    expect(outcome.stdout).toMatch(/^\* diffusion_w8a8/m)
    expect(outcome.stdout).toMatch(/14 skip convolution fp16: Carries the residual stream/)
    const recipe = recipeSchema.parse(JSON.parse(readFileSync(folder.file('recipe.json'), 'utf8')))
    expect(recipe.fp16_layers).toContain('/unet/conv_in/Conv')
    const json = await tool('aqw', ['presets', UNET, '--preset', 'diffusion_w4a8', '--json'], {
      cwd: folder.path,
    })
    const { presets } = JSON.parse(json.stdout) as {
      presets: { id: string; recipe: { precision: string } }[]
    }
    expect(presets.map(({ id, recipe: { precision } }) => [id, precision])).toEqual([
      ['diffusion_w4a8', 'w4a8'],
    ])
  })
})
