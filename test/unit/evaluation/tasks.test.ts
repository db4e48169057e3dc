// The parts of quality tasks that need no model: windows of text, tokenizers, pictures, planned seeds, reading tasks.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { inflateSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { encoderInput, toPicture, toPng } from '../../../engine/evaluation/diffusion/pictures.ts'
import { planPictures } from '../../../engine/evaluation/tasks/diffusion.ts'
import { textWindows } from '../../../engine/evaluation/tasks/language.ts'
import { readTask } from '../../../engine/evaluation/tasks/read.ts'
import { promptEncoder } from '../../../engine/evaluation/tokenizers.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'aqw-tasks-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function write(name: string, content: unknown): string {
  const file = path.join(folder, name)
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
  return file
}

const samples = (name: string): string =>
  new URL(`../../../resources/samples/${name}`, import.meta.url).pathname

describe('text windows', () => {
  it('a sequence of one token more than the window is one run', () => {
    expect(textWindows([1, 2, 3, 4], 3, 3)).toEqual([{ tokens: [1, 2, 3], targets: [2, 3, 4] }])
  })

  it('a stride gives later tokens more context', () => {
    expect(textWindows([1, 2, 3, 4, 5, 6], 4, 2)).toEqual([
      { tokens: [1, 2, 3, 4], targets: [2, 3, 4, 5] },
      { tokens: [3, 4, 5], targets: [6] },
    ])
  })

  it('every token but the first is a target once, in order, behind its own context', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 60 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 25 }),
        (length, window, stride) => {
          const tokens = Array.from({ length }, (_, index) => index)
          const windows = textWindows(tokens, window, stride)
          expect(windows.flatMap(({ targets }) => targets)).toEqual(tokens.slice(1))
          for (const { tokens: given, targets } of windows) {
            expect(given.length).toBeLessThanOrEqual(window)
            expect(targets.at(-1)).toBe((given.at(-1) as number) + 1)
            expect(targets.length).toBeLessThanOrEqual(given.length)
          }
        },
      ),
    )
  })
})

describe('tokenizers', () => {
  it('words: ids of the sample captions are those in the file', () => {
    const encode = promptEncoder({ kind: 'words', file: samples('sprite-diffusion/captions.json') })
    expect(encode('small outlined pink ring at bottom')).toEqual([1, 3, 8, 16, 26, 31, 36, 2])
    expect(encode('')).toEqual([1, 2, 0, 0, 0, 0, 0, 0])
  })

  it('words: an unknown word and a long prompt are refused by name', () => {
    const encode = promptEncoder({ kind: 'words', file: samples('sprite-diffusion/captions.json') })
    expect(() => encode('small purple elephant at top')).toThrow(/"elephant" is not in its vocabulary/)
    expect(() => encode('small '.repeat(9))).toThrow(/11 tokens, at most 8/)
  })

  const wordLevel = {
    version: '1.0',
    added_tokens: [],
    normalizer: { type: 'Lowercase' },
    pre_tokenizer: { type: 'Whitespace' },
    post_processor: null,
    decoder: null,
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: { '[UNK]': 0, a: 1, cat: 2, '##s': 3 },
    },
  }

  it('tokenizer.json: padded, cut at the end token', () => {
    const file = write('tokenizer.json', wordLevel)
    const encode = promptEncoder({ kind: 'tokenizer_json', file, length: 4, pad: 9, eos: 7 })
    expect(encode('A cats')).toEqual([1, 2, 3, 9])
    expect(encode('a cat a cat a cat')).toEqual([1, 2, 1, 7])
  })

  it('a broken file is named', () => {
    const file = write('broken.json', '{')
    expect(() => promptEncoder({ kind: 'tokenizer_json', file, length: 4, pad: 0 })).toThrow(/broken\.json/)
    expect(() => promptEncoder({ kind: 'words', file: write('empty.json', {}) })).toThrow(/"vocabulary"/)
  })
})

describe('pictures', () => {
  /** Pixels of an unfiltered RGBA PNG. */
  function pixelsOf(png: Buffer): { width: number; rows: number[][] } {
    const width = png.readUInt32BE(16)
    const length = png.readUInt32BE(33)
    const raw = inflateSync(png.subarray(41, 41 + length))
    const stride = width * 4 + 1
    return {
      width,
      rows: Array.from({ length: raw.length / stride }, (_, row) => [
        ...raw.subarray(row * stride + 1, (row + 1) * stride),
      ]),
    }
  }

  it('RGB from -1 to 1, cut off outside', () => {
    const data = Float32Array.of(-1, 1, 0, 5, -3, 1)
    const picture = toPicture({ dims: [1, 3, 1, 2], data })
    expect(pixelsOf(toPng(picture, 'rgb')).rows).toEqual([[0, 128, 0, 255, 255, 255, 255, 255]])
  })

  it('premultiplied colour is divided by alpha; what is transparent is black', () => {
    // Colour 0.25 at alpha 0.5 is half bright; alpha 0.
    const data = Float32Array.of(-0.5, -1, -1, -1, -1, -1, 0, -1)
    const picture = toPicture({ dims: [1, 4, 1, 2], data })
    expect(pixelsOf(toPng(picture, 'rgba_premultiplied')).rows).toEqual([[128, 0, 0, 128, 0, 0, 0, 0]])
  })

  it('an encoder gets normalised colours in its own size', () => {
    const picture = toPicture({ dims: [1, 4, 2, 2], data: new Float32Array(16).fill(0) })
    const input = encoderInput(picture, {
      pixels: 'rgb',
      size: [1, 3],
      mean: [0.5, 0.25, 0],
      std: [1, 0.5, 2],
    })
    expect(input.dims).toEqual([1, 3, 1, 3])
    expect([...input.data]).toEqual([0, 0, 0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25])
  })
})

describe('seeds', () => {
  it('prompts keep their own, a second round gets others', () => {
    const planned = planPictures([{ text: 'a', seed: 5 }, { text: 'b' }], 4, 10)
    expect(planned.map(({ prompt, seed }) => [prompt.text, seed])).toEqual([
      ['a', 15],
      ['b', 11],
      ['a', 1_000_018],
      ['b', 1_000_014],
    ])
  })
})

describe('reading tasks', () => {
  it('the sample tasks, by file and by folder', () => {
    const byFolder = readTask(samples('tiny-lm'))
    expect(byFolder).toEqual(readTask(samples('tiny-lm/task.json')))
    expect(byFolder.files).toContain(samples('tiny-lm/lm.onnx'))
    expect(readTask(samples('sprite-diffusion')).task.kind).toBe('diffusion')
  })

  it('a missing file is named with the key that names it', () => {
    const task = {
      schema: 'aqw.task/1',
      kind: 'language',
      name: 'x',
      model: 'gone.onnx',
      ids: 'i',
      logits: 'l',
      window: 8,
      text: { file: 'gone.json' },
    }
    expect(() => readTask(write('task-a.json', task))).toThrow(/text\.file|model names .*gone/)
  })

  it('an unknown key and a wrong value are named', () => {
    const task = {
      schema: 'aqw.task/1',
      kind: 'language',
      name: 'x',
      model: 'm',
      ids: 'i',
      logits: 'l',
      window: 1,
      text: { file: 'f' },
      extra: 1,
    }
    expect(() => readTask(write('task-b.json', task))).toThrow(/window/)
    expect(() => readTask(write('task-b.json', task))).toThrow(/extra/)
  })

  it('any JSON is refused with a code, never with a crash', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const file = write('fuzz.json', JSON.stringify(value))
        expect(() => readTask(file)).toThrow(expect.objectContaining({ code: 'E_TASK_INVALID' }))
      }),
      { numRuns: 60 },
    )
  })
})
