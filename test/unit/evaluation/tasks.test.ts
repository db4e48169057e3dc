// The parts of quality tasks that need no model: windows of text, tokenizers, pictures, planned seeds, reading tasks.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { inflateSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { encoderInput, toPicture, toPng } from '../../../engine/evaluation/diffusion/pictures.ts'
import { Checkpoints } from '../../../engine/evaluation/tasks/checkpoint.ts'
import { readLabels } from '../../../engine/evaluation/tasks/classification.ts'
import { folderNames, planPictures } from '../../../engine/evaluation/tasks/diffusion.ts'
import { textWindows } from '../../../engine/evaluation/tasks/language.ts'
import { hashTask, readPrompts, readTask } from '../../../engine/evaluation/tasks/read.ts'
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

describe('CLIP vocabularies without a tokenizer.json', () => {
  // Byte-pair encoding of a few words, with the special tokens last, as in CLIP's own vocabulary.
  const words = [
    'a',
    'c',
    't',
    '!',
    'a</w>',
    't</w>',
    's</w>',
    '!</w>',
    'at</w>',
    'cat</w>',
    'ca',
    "'s</w>",
    "'",
  ]
  const vocabulary = Object.fromEntries(
    [...words, '<|startoftext|>', '<|endoftext|>'].map((word, id) => [word, id]),
  )
  const clip = path.join(folder, 'clip')
  mkdirSync(clip)
  writeFileSync(path.join(clip, 'vocab.json'), JSON.stringify(vocabulary))
  writeFileSync(path.join(clip, 'merges.txt'), "#version: 0.2\na t</w>\nc at</w>\n' s</w>\n")
  const file = path.join(clip, 'vocab.json')

  it('are read with their merges: lower case, contractions apart, begin and end', () => {
    const encode = promptEncoder({ kind: 'tokenizer_json', file, length: 10, pad: 14, eos: 14 })
    const ids = ['<|startoftext|>', 'a</w>', 'cat</w>', "'s</w>", '!</w>', '<|endoftext|>'].map(
      (word) => vocabulary[word]!,
    )
    expect(encode("A  CAT's !")).toEqual([...ids, 14, 14, 14, 14])
  })

  it('other vocabularies are refused', () => {
    const other = path.join(folder, 'other')
    mkdirSync(other)
    writeFileSync(path.join(other, 'vocab.json'), '{"a": 1}')
    const spec = { kind: 'tokenizer_json', file: path.join(other, 'vocab.json'), length: 4, pad: 0 } as const
    expect(() => promptEncoder(spec)).toThrow(/no CLIP vocabulary/)
  })
})

describe('folders of the sides', () => {
  it('differ whatever the labels are, and name them in any script', () => {
    expect(folderNames(['FP16', 'fp16!', 'INT8 (auto)', '候选', '基准', '!!', '??'])).toEqual([
      'fp16',
      'fp16-2',
      'int8-auto',
      '候选',
      '基准',
      'side',
      'side-2',
    ])
  })
})

describe('checkpoints', () => {
  const identity = { task: 'x', seed: '0' }
  const sample = (file: string | null) => ({
    sample: { id: '0', prompt: null, seed: 0, file, values: {}, steps: null },
    vectors: { features: Float32Array.of(1.5, -0.1, NaN) },
    seconds: 1,
  })

  it('come back bit for bit, and do not count once their picture is gone', () => {
    const output = path.join(folder, 'output-a')
    mkdirSync(output)
    writeFileSync(path.join(output, 'p.png'), 'x')
    new Checkpoints(output, identity, false).write(3, [sample('p.png')])
    const again = new Checkpoints(output, identity, true)
    expect(again.read(3)).toEqual([sample('p.png')])
    expect(again.read(2)).toBeUndefined()
    rmSync(path.join(output, 'p.png'))
    expect(again.read(3)).toBeUndefined()
  })

  it('a damaged header starts anew; a folder of somebody else is left alone', () => {
    const output = path.join(folder, 'output-b')
    new Checkpoints(output, identity, false).write(0, [sample(null)])
    writeFileSync(path.join(output, 'checkpoint/evaluation.json'), '{"task": ')
    expect(new Checkpoints(output, identity, true).read(0)).toBeUndefined()

    const theirs = path.join(folder, 'output-c')
    mkdirSync(path.join(theirs, 'checkpoint'), { recursive: true })
    writeFileSync(path.join(theirs, 'checkpoint/weights.pt'), 'precious')
    for (const resume of [false, true, 'if_same'] as const)
      expect(() => new Checkpoints(theirs, identity, resume)).toThrow(/not written by an evaluation/)
    expect(existsSync(path.join(theirs, 'checkpoint/weights.pt'))).toBe(true)
  })
})

describe('labels', () => {
  it('are numbers, and what is not is named with its line of the file', () => {
    expect(readLabels(write('labels.txt', '3\n\n1\n'), 2)).toEqual([3, 1])
    expect(() => readLabels(write('labels.txt', '3\n\ncat\n'), 2)).toThrow(/line 3: "cat"/)
    expect(() => readLabels(write('labels.txt', '3\n'), 2)).toThrow(/1 labels for 2 samples/)
    expect(() => readLabels(folder, 2)).toThrow(expect.objectContaining({ code: 'E_FILE_READ' }))
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

  it('prompts of any JSON are read or refused with a code', () => {
    const opened = readTask(samples('sprite-diffusion'))
    if (opened.task.kind !== 'diffusion') throw new Error('not a diffusion task')
    const { task } = opened
    fc.assert(
      fc.property(fc.jsonValue(), fc.option(fc.constantFrom('a', 'b'), { nil: undefined }), (value, list) => {
        const prompts = { file: write('prompts.json', JSON.stringify(value)), list }
        try {
          expect(readPrompts({ ...task, prompts }).length).toBeGreaterThan(0)
        } catch (error) {
          expect(error).toMatchObject({ code: 'E_TASK_INVALID' })
        }
      }),
      { numRuns: 60 },
    )
  })

  it('a change within a file of a data folder changes the task, whatever its size', () => {
    const data = path.join(folder, 'bins')
    mkdirSync(data)
    const opened = {
      task: readTask(samples('tiny-lm')).task,
      path: path.join(folder, 'task.json'),
      files: [data],
    }
    writeFileSync(path.join(data, '0.bin'), 'aaaa')
    const before = hashTask(opened)
    expect(hashTask(opened)).toBe(before)
    writeFileSync(path.join(data, '0.bin'), 'bbbb')
    expect(hashTask(opened)).not.toBe(before)
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
