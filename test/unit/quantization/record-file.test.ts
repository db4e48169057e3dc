// AMCT's record file: written as AMCT does, read from any of its tools, refused with place and value.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import { float32Text, parseProtobufText, quoteText } from '../../../engine/quantization/protobuf-text.ts'
import { formatRecords } from '../../../engine/quantization/record-file.ts'
import { parseRecords, readRecords } from '../../../engine/quantization/record-reader.ts'

function failure(run: () => unknown): AppError {
  try {
    run()
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

// In the layout of the AMCT documentation's record examples.
const AMCT_RECORD = `
record {
  key: "conv1"
  value {
    scale_d: 0.0798481479
    offset_d: 1
    scale_w: 0.00297622895
    offset_w: 0
    skip_fusion: true
    dst_type: "INT8"
  }
}
record: <  # the other bracket form
  key: 'layer "fc"'
  value: { scale_d: 3.4028235e-05f, scale_w: [0.1, 2e-1]; offset_w: [0, 0] shift_bit: 1 }
>
`

describe('reading', () => {
  it('accepts the text form of every AMCT tool', () => {
    expect(parseRecords(AMCT_RECORD, 'record.txt')).toEqual([
      {
        layer: 'conv1',
        scaleD: Math.fround(0.0798481479),
        offsetD: 1,
        scaleW: [Math.fround(0.00297622895)],
        offsetW: [0],
        activationType: 'INT8',
      },
      {
        layer: 'layer "fc"',
        scaleD: Math.fround(3.4028235e-5),
        scaleW: [Math.fround(0.1), Math.fround(0.2)],
        offsetW: [0, 0],
      },
    ])
  })

  it.each([
    ['scale_d: 0.0', 'scale_d', '0'],
    ['scale_d: nan', 'scale_d', 'NaN'],
    ['scale_d: -1', 'scale_d', '-1'],
    ['offset_d: 2147483520', 'offset_d', '2147483520'],
    ['offset_w: 3', 'offset_w', '3'],
    ['scale_w: "a"', 'scale_w', '"a"'],
  ])('refuses %s', (line, field, value) => {
    const error = failure(() => parseRecords(`record { key: "conv1" value { ${line} } }`, 'record.txt'))
    expect(error.code).toBe('E_RECORD_VALUE')
    expect(error.details).toMatchObject({ path: 'record.txt', layer: 'conv1', field, value })
  })

  // As scale_offset_record_onnx.proto of AMCT has it, besides a cache, an input of its own, and unknown fields.
  const ONNX_RECORD = `
record {
  key: "conv1"
  value {
    scale_d: 0.01
    offset_d: -128
    scale_w: 0.5
    scale_w: 0.25
    offset_w: 0
    offset_w: 0
    shift_bit: 3
    skip_fusion: true
    op_data_type: "FLOAT32"
    act_type: "INT8"
    wts_type: "INT4"
    scale_h: 0.5
  }
}
record { key: "add1:0" value { scale_d: 0.1 offset_d: 0 is_tensor_quantize: true } }
record { key: "matmul1" kv_cache_value { scale: 0.1 offset: 0 } }
prune_record { }
`

  it('takes what it knows of any tool and notes the rest', () => {
    const { records, lines, skipFusion, notes } = readRecords(ONNX_RECORD, 'record.txt')
    expect(records).toEqual([
      {
        layer: 'conv1',
        scaleD: Math.fround(0.01),
        offsetD: -128,
        scaleW: [0.5, 0.25],
        offsetW: [0, 0],
        activationType: 'INT8',
        weightType: 'INT4',
      },
    ])
    expect(lines.get('conv1')).toBe(2)
    expect(skipFusion).toEqual(['conv1'])
    expect(notes.map(({ code, details }) => [code, details['layer']])).toEqual([
      ['record_fields', 'conv1'],
      ['record_shift', 'conv1'],
      ['record_entry', 'add1:0'],
      ['record_entry', 'matmul1'],
      ['record_entry', 'prune_record'],
    ])
  })

  it.each([
    ['offset_d: -128', 'offset_d: -129', 'offset_d', 6],
    ['scale_w: 0.25', 'scale_w: inf', 'scale_w', 8],
    ['shift_bit: 3', 'shift_bit: 17', 'shift_bit', 11],
    ['shift_bit: 3', 'tensor_balance_factor: 0', 'tensor_balance_factor', 11],
    ['shift_bit: 3', 'cluster: 1', 'cluster', 11],
    ['shift_bit: 3', 'offset_w: 0', 'offset_w', 9],
    ['"add1:0"', '"conv1"', 'key', 19],
  ])('names line, layer and field: %s -> %s', (from, to, field, line) => {
    const error = failure(() => readRecords(ONNX_RECORD.replace(from, to), 'record.txt'))
    expect(error.code).toBe('E_RECORD_VALUE')
    expect(error.details).toMatchObject({ layer: 'conv1', field, line })
    expect(error.message).toContain(`record.txt:${line}: layer "conv1": ${field}`)
  })

  it('INT16 activations have a wider offset', () => {
    const text = 'record { key: "a" value { scale_d: 0.1 offset_d: 960 act_type: "INT16" } }'
    expect(readRecords(text, 'r').records[0]?.offsetD).toBe(960)
  })

  it('refuses a layer given twice', () => {
    const once = 'record { key: "a" value { scale_d: 1 } }'
    expect(failure(() => parseRecords(once + once, 'r')).code).toBe('E_RECORD_VALUE')
  })

  it.each([
    ['record {\n  key "a"\n}', 2, 7],
    ['record {\n', 2, 1],
    ['record { key: }', 1, 15],
    ['record { key: "a" value { scale_d: 1.2.3 } }', 1, 36],
    ['record ! {}', 1, 8],
    ['record { key: "never ends }', 1, 15],
  ])('names the place of a syntax error: %s', (text, line, column) => {
    const error = failure(() => parseRecords(text, 'record.txt'))
    expect(error.code).toBe('E_RECORD_SYNTAX')
    expect(error.details).toMatchObject({ line, column })
  })

  it('does not recurse without end', () => {
    expect(failure(() => parseProtobufText('a{'.repeat(50_000), 'r')).message).toContain('nested deeper')
  })

  it('never fails in any other way than by its own errors', () => {
    const parts = fc.constantFrom(
      'record',
      '{',
      '}',
      '<',
      '>',
      '[',
      ']',
      ':',
      ',',
      '"a"',
      "'",
      '1.5',
      '-',
      '#',
      '\n',
      'key',
      'inf',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(parts).map((list) => list.join(' ')),
        ),
        (text) => {
          try {
            parseRecords(text, 'r')
          } catch (error) {
            expect(error).toBeInstanceOf(AppError)
          }
        },
      ),
    )
  })
})

describe('writing', () => {
  it('uses the layout of AMCT', () => {
    const record = { layer: 'conv1', scaleD: 0.5, offsetD: -3, scaleW: [0.25, 0.125], offsetW: [0, 0] }
    expect(formatRecords([record])).toBe(
      'record {\n  key: "conv1"\n  value {\n    scale_d: 0.5\n    offset_d: -3\n    scale_w: 0.25\n    scale_w: 0.125\n' +
        '    offset_w: 0\n    offset_w: 0\n  }\n}\n',
    )
  })

  it('reads back what it wrote, bit for bit', () => {
    const scale = fc.float({ min: Math.fround(1.2e-7), max: Math.fround(8e6), noNaN: true })
    const record = fc.record({
      layer: fc.string({ minLength: 1, unit: 'binary' }),
      scaleD: scale,
      offsetD: fc.integer({ min: -128, max: 127 }),
      scaleW: fc.array(scale, { minLength: 1, maxLength: 5 }),
      offsetW: fc.constant([0]).map((offsets): number[] => [...offsets]),
      activationType: fc.constant('INT8'),
    })
    fc.assert(
      fc.property(fc.uniqueArray(record, { selector: (entry) => entry.layer }), (records) => {
        expect(parseRecords(formatRecords(records), 'r')).toEqual(records)
      }),
    )
  })

  it('float32 text reads back as the same float32 in at most nine digits', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(Math.fround(Number(float32Text(value)))).toBe(value === 0 ? 0 : value)
      }),
    )
    expect(float32Text(Math.fround(0.1))).toBe('0.1')
  })

  it('escapes what is not printable ASCII', () => {
    expect(quoteText('a"\\\n层')).toBe('"a\\"\\\\\\012\\345\\261\\202"')
  })
})
