// Command line plumbing: option values, tables, progress text, colour, error lines, exit codes.
import { describe, expect, it } from 'vitest'
import { parseInputShapes, parseInteger, parseIntegers } from '../../../cli/runtime/arguments.ts'
import { errorLines, exitCodeOf, parseLogLevel, systemLocale } from '../../../cli/runtime/host.ts'
import { progressText } from '../../../cli/runtime/progress.ts'
import { displayWidth, keyValues, textTable } from '../../../cli/runtime/table.ts'
import { colourAllowed, painter } from '../../../cli/runtime/terminal.ts'
import { AppError, toErrorShape } from '../../../contract/errors/index.ts'

describe('option values', () => {
  it('reads integers within bounds', () => {
    expect(parseInteger('--count', '12', 1, 100)).toBe(12)
    expect(parseIntegers('--channels', '320,640', 1, 1000)).toEqual([320, 640])
    for (const text of ['', 'x', '1.5', '0', '101', '1e1']) {
      expect(() => parseInteger('--count', text, 1, 100)).toThrow(/--count/)
    }
  })

  it('reads shapes; the last colon separates, as in atc', () => {
    expect(parseInputShapes('--input-shape', 'a:1,4,64,64;b:0:1,77')).toEqual({
      a: [1, 4, 64, 64],
      'b:0': [1, 77],
    })
    expect(() => parseInputShapes('--input-shape', '1,4,64,64')).toThrow(/NAME:/)
    expect(() => parseInputShapes('--input-shape', 'a:1,x')).toThrow(/"x" in "a:1,x"/)
    expect(() => parseInputShapes('--input-shape', 'a:1;a:2')).toThrow(/twice/)
    expect(() => parseInputShapes('--input-shape', ' ')).toThrow(/empty/)
  })
})

describe('tables', () => {
  it('align columns, right-hand ones by their last character', () => {
    const lines = textTable(
      [{ title: 'name' }, { title: 'ms', align: 'right' }],
      [
        ['fp16', '1.5'],
        ['int8 qdq', '10.25'],
      ],
    )
    expect(lines).toEqual(['name         ms', 'fp16        1.5', 'int8 qdq  10.25'])
    expect(
      keyValues([
        ['a', '1'],
        ['long', '2'],
      ]),
    ).toEqual(['a     1', 'long  2'])
  })

  it('count wide characters twice', () => {
    expect(displayWidth('模型 m')).toBe(6)
  })
})

describe('progress', () => {
  it('shows stage, share, time left and item, within the terminal', () => {
    const text = progressText({ stage: 'calibrate', done: 5, total: 20, item: 'conv_in' }, 10, 80)
    expect(text).toBe('calibrate    [#####...............]  25%  0:30 left  conv_in')
    expect(
      progressText({ stage: 'calibrate', done: 5, total: 20, item: 'x'.repeat(100) }, 10, 60),
    ).toHaveLength(59)
    expect(progressText({ stage: 'load', done: 0, total: 0 }, 1, 80)).not.toMatch(/left|NaN/)
  })
})

describe('colour', () => {
  it('needs a terminal and no NO_COLOR', () => {
    expect(colourAllowed({ isTTY: true }, {})).toBe(true)
    expect(colourAllowed({ isTTY: true }, { NO_COLOR: '1' })).toBe(false)
    expect(colourAllowed({ isTTY: true }, { TERM: 'dumb' })).toBe(false)
    expect(colourAllowed({}, { FORCE_COLOR: '1' })).toBe(false)
    expect(painter(false)('red', 'x')).toBe('x')
    expect(painter(true)('red', 'x')).toBe('\u001b[31mx\u001b[39m')
  })
})

describe('errors', () => {
  it('show message, hint and code, in the language of the system', () => {
    const error = toErrorShape(new AppError('E_FILE_NOT_FOUND', { path: 'a.onnx', base: '/b' }))
    expect(errorLines('aqw', error, 'en', painter(false))).toEqual([
      'aqw: error: File not found: a.onnx',
      '  Check the path; relative paths start at /b. [E_FILE_NOT_FOUND]',
    ])
    expect(errorLines('aqw', error, 'zh', painter(false))[0]).toBe('aqw: error: 找不到文件：a.onnx')
    expect(systemLocale({ LANG: 'zh_CN.UTF-8' })).toBe('zh')
    expect(systemLocale({ LANG: 'zh_CN.UTF-8', LC_ALL: 'C' })).toBe('en')
  })

  it('map to the documented exit codes', () => {
    const code = (name: ConstructorParameters<typeof AppError>[0]): number =>
      exitCodeOf(toErrorShape(new AppError(name)))
    expect(code('E_FILE_NOT_FOUND')).toBe(1)
    expect(code('E_ARGUMENT')).toBe(2)
    expect(code('E_USAGE')).toBe(2)
    expect(code('E_CANCELLED')).toBe(130)
    expect(exitCodeOf(toErrorShape(new Error('bug')))).toBe(1)
  })

  it('know the log levels of the existing tools', () => {
    expect(parseLogLevel('INFO')).toBe('info')
    expect(parseLogLevel('warn')).toBe('warning')
    expect(() => parseLogLevel('loud')).toThrow(
      expect.objectContaining({ hint: 'Expected debug, info, warning, error.' }),
    )
  })
})
