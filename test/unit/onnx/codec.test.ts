// Reading and writing the ONNX protobuf: every data form, unknown fields, damaged bytes.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import { DataType, parseModel, serializeModel, tensorToNumbers } from '../../../engine/onnx/index.ts'
import type { Model, Tensor } from '../../../engine/onnx/index.ts'
import { block, fixed, modelBytes, number, varint } from '../../fixtures/wire-bytes.ts'

function codeOf(work: () => unknown): string {
  try {
    work()
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown.code
    throw thrown
  }
  return 'nothing thrown'
}

function initializer(...fields: Uint8Array[]): Tensor {
  const model = parseModel(modelBytes([block(5, block(8, 'w'), ...fields)]))
  return model.graph.initializers.get('w')!
}

const float32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return bytes
}

describe('typed tensor data', () => {
  it('reads packed and unpacked floats alike', () => {
    const packed = initializer(number(1, 2), number(2, 1), block(4, float32(1.5), float32(-2)))
    const unpacked = initializer(number(1, 2), number(2, 1), fixed(4, float32(1.5)), fixed(4, float32(-2)))
    expect(tensorToNumbers(packed)).toEqual([1.5, -2])
    expect(tensorToNumbers(unpacked)).toEqual([1.5, -2])
  })

  it('reads packed and unpacked dims alike', () => {
    const data = block(9, new Uint8Array(6))
    expect(initializer(block(1, varint(2), varint(3)), number(2, 3), data).dims).toEqual([2, 3])
    expect(initializer(number(1, 2), number(1, 3), number(2, 3), data).dims).toEqual([2, 3])
  })

  it.each([
    [DataType.INT32, [-1, 2147483647]],
    [DataType.INT8, [-128, 127]],
    [DataType.UINT16, [0, 65535]],
    [DataType.BOOL, [1, 0]],
  ])('reads int32_data of type %d', (dataType, values) => {
    const tensor = initializer(number(1, 2), number(2, dataType), block(5, ...values.map(varint)))
    expect(tensorToNumbers(tensor)).toEqual(values)
  })

  it('reads float16 and bfloat16 bit patterns from int32_data', () => {
    expect(tensorToNumbers(initializer(number(1, 1), number(2, 10), number(5, 0x3e00)))).toEqual([1.5])
    expect(tensorToNumbers(initializer(number(1, 1), number(2, 16), number(5, 0x3fc0)))).toEqual([1.5])
  })

  it('reads int4 packed two by two in int32_data', () => {
    const tensor = initializer(number(1, 3), number(2, 22), block(5, varint(0x7f), varint(0x08)))
    expect(tensorToNumbers(tensor)).toEqual([-1, 7, -8])
  })

  it('reads int64_data, uint64_data and double_data', () => {
    expect(tensorToNumbers(initializer(number(1, 2), number(2, 7), block(7, varint(-5), varint(9))))).toEqual(
      [-5, 9],
    )
    expect(tensorToNumbers(initializer(number(1, 1), number(2, 13), number(11, 2n ** 40n)))).toEqual([
      2 ** 40,
    ])
    const double = Buffer.alloc(8)
    double.writeDoubleLE(Math.PI)
    expect(tensorToNumbers(initializer(number(1, 1), number(2, 11), block(10, double)))).toEqual([Math.PI])
  })

  it('keeps strings byte for byte', () => {
    const tensor = initializer(number(1, 2), number(2, 8), block(6, Buffer.from([0xff, 0])), block(6, 'é'))
    expect(tensor.data).toEqual({
      kind: 'strings',
      values: [new Uint8Array([0xff, 0]), new TextEncoder().encode('é')],
    })
  })

  it.each([
    ['a wrong size', [number(1, 3), number(2, 1), block(9, new Uint8Array(8))], 'E_ONNX_TENSOR_SIZE'],
    ['an unknown type', [number(2, 99)], 'E_ONNX_INVALID'],
    ['a negative dimension', [number(1, -1), number(2, 1)], 'E_ONNX_INVALID'],
    ['floats in an integer tensor', [number(1, 1), number(2, 6), fixed(4, float32(1))], 'E_ONNX_INVALID'],
    [
      'external data in memory',
      [number(1, 1), number(2, 1), block(13, block(1, 'location'), block(2, 'w.bin')), number(14, 1)],
      'E_ONNX_EXTERNAL_ENTRY',
    ],
  ])('refuses %s', (_, fields, code) => {
    expect(codeOf(() => initializer(...fields))).toBe(code)
  })
})

describe('graph', () => {
  it('keeps names byte for byte, even invalid UTF-8 and a byte order mark', () => {
    const name = Buffer.from([0xef, 0xbb, 0xbf, 0x61, 0xff, 0xc3, 0x28, 0xe4, 0xb8, 0xad])
    const bytes = modelBytes([block(1, block(2, name), block(4, 'Constant'), block(3, name))])
    const model = parseModel(bytes)
    expect(Buffer.from(serializeModel(model)).includes(name)).toBe(true)
    expect(parseModel(serializeModel(model))).toEqual(model)
  })

  it('keeps initializers among the inputs apart and writes them back where they were', () => {
    const input = (name: string): Buffer => block(11, block(1, name))
    const weight = block(5, block(8, 'w'), number(1, 0), number(2, 1))
    const model = parseModel(modelBytes([weight, input('w'), input('x')]))
    expect(model.graph.inputs.map((info) => info.name)).toEqual(['x'])
    expect(model.graph.initializerInputs.map((info) => info.name)).toEqual(['w'])
    const text = Buffer.from(serializeModel(model)).toString('latin1')
    expect(text.lastIndexOf('w')).toBeLessThan(text.lastIndexOf('x'))
  })

  it('infers the attribute type where IR version 1 did not write it', () => {
    const node = block(1, block(4, 'Op'), block(5, block(1, 'k'), number(3, 7)))
    expect(parseModel(modelBytes([node])).graph.nodes[0]!.attributes[0]).toEqual({
      name: 'k',
      type: 'int',
      value: 7n,
    })
  })

  it('keeps references to function attributes verbatim', () => {
    const attribute = [block(1, 'k'), number(20, 2), block(21, 'outer')]
    const model = parseModel(modelBytes([block(1, block(4, 'Op'), block(5, ...attribute))]))
    expect(model.graph.nodes[0]!.attributes[0]).toMatchObject({ name: 'k', type: 'raw' })
    expect(parseModel(serializeModel(model))).toEqual(model)
  })

  it('keeps non-tensor types verbatim', () => {
    const sequence = block(4, block(1, block(1, number(1, 1))))
    const model = parseModel(modelBytes([block(12, block(1, 'y'), block(2, sequence))]))
    expect(Buffer.from(model.graph.outputs[0]!.rawType!)).toEqual(sequence)
    expect(parseModel(serializeModel(model))).toEqual(model)
  })

  it('sorts nodes that are out of order and refuses cycles', () => {
    const node = (from: string, to: string): Buffer =>
      block(1, block(1, from), block(2, to), block(4, 'Relu'))
    const model = parseModel(modelBytes([node('b', 'c'), node('a', 'b'), node('c', 'd')]))
    expect(model.graph.nodes.map((each) => each.outputs[0])).toEqual(['b', 'c', 'd'])
    expect(codeOf(() => parseModel(modelBytes([node('a', 'b'), node('b', 'a')])))).toBe('E_ONNX_GRAPH')
  })

  it('refuses graphs nested too deeply', () => {
    let graph = block(6, block(2, 'leaf'))
    for (let depth = 0; depth < 40; depth++) {
      graph = block(6, block(1, block(4, 'If'), block(5, block(1, 'g'), graph, number(20, 5))))
    }
    expect(
      codeOf(() =>
        parseModel(modelBytes([block(1, block(4, 'If'), block(5, block(1, 'g'), graph, number(20, 5)))])),
      ),
    ).toBe('E_ONNX_LIMIT')
  })
})

describe('what is not an ONNX model', () => {
  const good = modelBytes([block(2, 'graph')])

  it.each([
    ['an empty file', Buffer.alloc(0), 'E_ONNX_NOT_ONNX'],
    ['text', Buffer.from('hello world, this is no model'), 'E_ONNX_NOT_ONNX'],
    ['JSON', Buffer.from('{"model": 1}'), 'E_ONNX_NOT_ONNX'],
    ['a ZIP archive', Buffer.from('PK\u0003\u0004 and more'), 'E_ONNX_NOT_ONNX'],
    ['a Git LFS pointer', Buffer.from('version https://git-lfs.github.com/spec/v1\n'), 'E_ONNX_NOT_ONNX'],
    ['zeros', Buffer.alloc(1000), 'E_ONNX_NOT_ONNX'],
    ['a model without a graph', number(1, 8), 'E_ONNX_NOT_ONNX'],
    ['a model cut in its graph', good.subarray(0, 6), 'E_ONNX_TRUNCATED'],
    ['opset 6', modelBytes([], [], 6), 'E_ONNX_OPSET'],
    ['opset 23', modelBytes([], [], 23), 'E_ONNX_OPSET'],
    ['no opset at all', Buffer.concat([number(1, 8), block(7)]), 'E_ONNX_OPSET'],
  ])('refuses %s', (_, bytes, code) => {
    expect(codeOf(() => parseModel(bytes))).toBe(code)
  })
})

/** A field that onnx.proto does not have: number 60 and up, any wire type. */
const unknownField = fc.oneof(
  fc
    .tuple(fc.integer({ min: 60, max: 5000 }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }))
    .map(([f, v]) => number(f, v)),
  fc.tuple(fc.integer({ min: 60, max: 5000 }), fc.uint8Array({ maxLength: 40 })).map(([f, v]) => block(f, v)),
  fc
    .tuple(fc.integer({ min: 60, max: 5000 }), fc.uint8Array({ minLength: 4, maxLength: 4 }))
    .map(([f, v]) => fixed(f, v)),
  fc
    .tuple(fc.integer({ min: 60, max: 5000 }), fc.uint8Array({ minLength: 8, maxLength: 8 }))
    .map(([f, v]) => fixed(f, v)),
)
const unknownFields = fc.array(unknownField, { maxLength: 3 }).map((fields) => Buffer.concat(fields))

describe('unknown fields', () => {
  it('survive at every level', () => {
    fc.assert(
      fc.property(fc.array(unknownFields, { minLength: 12, maxLength: 12 }), (extra) => {
        const [model, graph, node, attribute, tensor, info, type, dense, shape, dimension, opset, metadata] =
          extra as [
            Buffer,
            Buffer,
            Buffer,
            Buffer,
            Buffer,
            Buffer,
            Buffer,
            Buffer,
            Buffer,
            Buffer,
            Buffer,
            Buffer,
          ]
        const bytes = Buffer.concat([
          number(1, 8),
          block(
            7,
            block(
              1,
              block(2, 'y'),
              block(4, 'Constant'),
              block(5, block(1, 'value_int'), number(3, 1), number(20, 2), attribute),
              node,
            ),
            block(5, block(8, 'w'), number(1, 1), number(2, 3), block(9, new Uint8Array(1)), tensor),
            block(
              12,
              block(1, 'y'),
              block(
                2,
                block(1, number(1, 7), block(2, block(1, number(1, 4), dimension), shape), dense),
                type,
              ),
              info,
            ),
            graph,
          ),
          block(8, number(2, 17), opset),
          block(14, block(1, 'key'), block(2, 'value'), metadata),
          model,
        ])
        const parsed = parseModel(bytes)
        const written = parseModel(serializeModel(parsed))
        expect(written).toEqual(parsed)
        const found = [
          parsed.unknown,
          parsed.graph.unknown,
          parsed.graph.nodes[0]!.unknown,
          parsed.graph.nodes[0]!.attributes[0]!.unknown,
          parsed.graph.initializers.get('w')!.unknown,
          parsed.graph.outputs[0]!.unknown,
          parsed.graph.outputs[0]!.typeUnknown?.type,
          parsed.graph.outputs[0]!.typeUnknown?.tensor,
          parsed.graph.outputs[0]!.typeUnknown?.shape,
          parsed.graph.outputs[0]!.shape![0]!.unknown,
          parsed.opsetImports[0]!.unknown,
          parsed.metadata[0]!.unknown,
        ].map((fields) => Buffer.from(fields ?? []))
        expect(found).toEqual(extra)
      }),
      { numRuns: 200 },
    )
  })

  it('keeps functions, training info, sparse initializers and quantization annotations', () => {
    const graph = [block(15, block(1, block(8, 'sparse'))), block(14, block(1, 'w'))]
    const model = [block(20, block(1, 'train')), block(25, block(1, 'function'))]
    const bytes = serializeModel(parseModel(modelBytes(graph, model)))
    for (const field of [...graph, ...model]) expect(Buffer.from(bytes).includes(field)).toBe(true)
  })
})

const seedModel = (): Buffer =>
  modelBytes([
    block(
      1,
      block(1, 'x'),
      block(1, 'w'),
      block(2, 'h'),
      block(3, 'conv'),
      block(4, 'Conv'),
      block(5, block(1, 'pads'), number(8, 1), number(8, 1), number(20, 7)),
    ),
    block(
      1,
      block(2, 'c'),
      block(4, 'Constant'),
      block(
        5,
        block(1, 'value'),
        block(5, number(1, 2), number(2, 7), block(9, new Uint8Array(16))),
        number(20, 4),
      ),
    ),
    block(
      1,
      block(1, 'h'),
      block(2, 'y'),
      block(4, 'If'),
      block(5, block(1, 'then_branch'), block(6, block(1, block(2, 'z'), block(4, 'Relu'))), number(20, 5)),
    ),
    block(5, block(8, 'w'), number(1, 2), number(1, 2), number(2, 1), block(9, new Uint8Array(16))),
    block(
      11,
      block(1, 'x'),
      block(2, block(1, number(1, 1), block(2, block(1, block(2, 'N')), block(1, number(1, 4))))),
    ),
    block(12, block(1, 'y')),
  ])

describe('damaged bytes', () => {
  const isHandled = (bytes: Uint8Array): Model | null => {
    try {
      return parseModel(bytes)
    } catch (thrown) {
      if (thrown instanceof AppError) return null
      throw thrown
    }
  }

  it('only ever raise product errors, whatever bytes change', () => {
    const seed = seedModel()
    const mutation = fc.record({ at: fc.nat(seed.length - 1), value: fc.integer({ min: 0, max: 255 }) })
    fc.assert(
      fc.property(
        fc.array(mutation, { minLength: 1, maxLength: 6 }),
        fc.nat(seed.length),
        (mutations, length) => {
          const bytes = Uint8Array.from(seed)
          for (const { at, value } of mutations) bytes[at] = value
          const model = isHandled(bytes)
          if (model) serializeModel(model)
          isHandled(bytes.subarray(0, length))
        },
      ),
      { numRuns: 3000 },
    )
  })

  it('only ever raise product errors on random bytes behind a plausible start', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (tail) => {
        isHandled(Buffer.concat([number(1, 8), tail]))
        isHandled(Buffer.concat([number(1, 8), block(8, number(2, 17)), block(7, tail)]))
      }),
      { numRuns: 2000 },
    )
  })

  it('round-trips whatever it accepts', () => {
    const seed = modelBytes([
      block(2, 'g'),
      block(5, block(8, 'w'), number(1, 3), number(2, 3), block(9, new Uint8Array(3))),
    ])
    fc.assert(
      fc.property(fc.nat(seed.length - 1), fc.integer({ min: 0, max: 255 }), (at, value) => {
        const bytes = Uint8Array.from(seed)
        bytes[at] = value
        const model = isHandled(bytes)
        if (model) expect(parseModel(serializeModel(model))).toEqual(model)
      }),
      { numRuns: 2000 },
    )
  })
})
