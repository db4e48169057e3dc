// Every rule of the deploy linter: a model that keeps all of them, and for each rule one that breaks exactly it.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type LintCode, lintRules, lintText } from '../../../contract/lint.ts'
import { lintDeployModel, type LintOptions } from '../../../engine/analysis/lint/index.ts'
import {
  type AttributeValue,
  cloneModel,
  DataType,
  makeAttribute,
  makeNode,
  makeTensor,
  MAX_PROTOBUF_BYTES,
  type Model,
  type Node,
  setAttribute,
  type Tensor,
} from '../../../engine/onnx/index.ts'
import { makeGraph, makeModel, valueInfo } from '../../fixtures/onnx-build.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'lint-'))
afterAll(() => rmSync(folder, { recursive: true }))

function node(
  opType: string,
  name: string,
  inputs: string[],
  output: string,
  attributes: Record<string, AttributeValue> = {},
): Node {
  return makeNode({ opType, name, inputs, outputs: [output], attributes })
}

function quant(name: string, input: string, output: string, scale = 2, offset = 0): Node {
  const attributes = { scale: { float: scale }, offset: { float: offset }, dst_type: 'INT8' }
  return node('AscendQuant', name, [input], output, attributes)
}

/** fp32 bits in the low half. Halves and quarters survive the hardware's 19 bits. */
function parameters(name: string, scales: number[], high = 0n): Tensor {
  const bits = scales.map((scale) => BigInt(new Uint32Array(Float32Array.of(scale).buffer)[0] ?? 0))
  return makeTensor(
    name,
    DataType.UINT64,
    [scales.length],
    BigUint64Array.from(bits, (low) => low | (high << 32n)),
  )
}

function int8(name: string, dims: number[]): Tensor {
  return makeTensor(name, DataType.INT8, dims, new Int8Array(dims.reduce((a, b) => a * b, 1)))
}

function int32(name: string, count: number): Tensor {
  return makeTensor(name, DataType.INT32, [count], new Int32Array(count))
}

/** Conv with bias, ConvTranspose, MatMul with bias, Gemm, average pooling and an Add of quantized tensors. */
function deployModel(): Model {
  const dequant = (name: string, input: string, output: string): Node =>
    node('AscendDequant', `${name}.dequant`, [input, `${name}.dequant.param`], output, { dtype: 0 })
  const nodes = [
    quant('conv.quant', 'x', 'x8', 2, -3),
    node('Conv', 'conv', ['x8', 'conv.weight', 'conv.bias'], 'c32'),
    dequant('conv', 'c32', 'c'),
    quant('up.quant', 'c', 'c8'),
    node('ConvTranspose', 'up', ['c8', 'up.weight'], 'u32'),
    dequant('up', 'u32', 'u'),
    quant('pool.quant', 'u', 'u8'),
    node('AveragePool', 'pool', ['u8'], 'p32', { kernel_shape: [1, 1] }),
    dequant('pool', 'p32', 'p'),
    quant('fc.quant', 'p', 'p8'),
    node('MatMul', 'fc', ['p8', 'fc.weight'], 'm32'),
    node('Add', 'fc.add', ['m32', 'fc.bias'], 'a32'),
    dequant('fc', 'a32', 'm'),
    node('Flatten', 'flat', ['m'], 'f', { axis: 3 }),
    quant('gemm.quant', 'f', 'f8'),
    node('Gemm', 'gemm', ['f8', 'gemm.weight', 'gemm.bias'], 'g32'),
    dequant('gemm', 'g32', 'g'),
    quant('sum.quant', 'g', 'g8', 4, 1),
    node('AscendAntiQuant', 'sum.anti_quant', ['g8'], 'g16', {
      scale: { float: 0.25 },
      offset: { float: 1 },
    }),
    node('Add', 'sum', ['g16', 'half'], 'y'),
  ]
  const initializers = [
    int8('conv.weight', [4, 4, 1, 1]),
    int32('conv.bias', 4),
    parameters('conv.dequant.param', [0.5, 0.25, 0.5, 0.25]),
    int8('up.weight', [4, 4, 1, 1]),
    parameters('up.dequant.param', [0.5, 0.25, 0.5, 0.25]),
    parameters('pool.dequant.param', [0.5]),
    int8('fc.weight', [6, 6]),
    int32('fc.bias', 6),
    parameters('fc.dequant.param', [0.5]),
    int8('gemm.weight', [6, 2]),
    int32('gemm.bias', 2),
    parameters('gemm.dequant.param', [0.5]),
    makeTensor('half', DataType.FLOAT, [1], [0.5]),
  ]
  return makeModel(
    makeGraph({
      nodes,
      inputs: [valueInfo('x', DataType.FLOAT, [1, 4, 6, 6])],
      outputs: [valueInfo('y', DataType.FLOAT, [24, 2])],
      initializers: new Map(initializers.map((tensor) => [tensor.name, tensor])),
    }),
  )
}

function named(model: Model, name: string): Node {
  const found = model.graph.nodes.find((candidate) => candidate.name === name)
  if (!found) throw new Error(name)
  return found
}

function set(model: Model, name: string, attribute: string, value: AttributeValue): void {
  setAttribute(named(model, name), makeAttribute(attribute, value))
}

function put(model: Model, tensor: Tensor): void {
  model.graph.initializers.set(tensor.name, tensor)
}

/** Adds a floating-point operator between "g" and the end of the model. */
function insert(model: Model, added: Node): void {
  const place = model.graph.nodes.indexOf(named(model, 'sum.quant'))
  added.inputs[0] = 'g'
  added.outputs[0] = 'inserted'
  named(model, 'sum.quant').inputs[0] = 'inserted'
  model.graph.nodes.splice(place, 0, added)
}

function external(model: Model, place: string, size: number, exists = true): void {
  const modelFolder = path.join(folder, 'model')
  mkdirSync(path.join(modelFolder, path.dirname(place)), { recursive: true })
  model.path = path.join(modelFolder, 'm.onnx')
  const file = path.join(modelFolder, place)
  if (exists) {
    writeFileSync(file, '')
    truncateSync(file, size)
  }
  for (const name of ['conv.weight', 'up.weight']) {
    const tensor = model.graph.initializers.get(name) as Tensor
    put(model, { ...tensor, data: { kind: 'file', path: file, offset: 0, length: 16 } })
  }
}

type Case = (model: Model) => void

const CASES: Record<LintCode, [Case, LintOptions?]> = {
  qdq_nodes: [
    (model) => {
      put(model, makeTensor('zero', DataType.INT8, [], [0]))
      insert(model, node('DequantizeLinear', 'dq', ['', 'half'], ''))
    },
  ],
  operator_domain: [
    (model) =>
      insert(
        model,
        makeNode({ opType: 'Gelu', name: 'op', domain: 'com.microsoft', inputs: [''], outputs: [''] }),
      ),
  ],
  operator_unsupported: [(model) => insert(model, node('StringNormalizer', 'op', [''], ''))],
  operator_unknown: [(model) => insert(model, node('Attention', 'op', [''], ''))],
  subgraph: [
    (model) => {
      const branch = makeGraph({ nodes: [], outputs: [valueInfo('g', DataType.FLOAT, [24, 2])] })
      put(model, makeTensor('cond', DataType.BOOL, [], [1]))
      insert(model, node('If', 'op', [''], '', { then_branch: branch, else_branch: branch }))
      named(model, 'op').inputs = ['cond']
    },
  ],
  opset_range: [(model) => (model.opsetImports = [{ domain: '', version: 10 }])],
  opset_quant: [
    (model) => {
      model.opsetImports = [{ domain: '', version: 7 }]
    },
  ],
  ir_version: [(model) => (model.irVersion = 12)],
  model_size: [
    (model) => {
      model.path = path.join(folder, 'large.onnx')
      writeFileSync(model.path, '')
      truncateSync(model.path, MAX_PROTOBUF_BYTES + 1)
    },
  ],
  external_folder: [(model) => external(model, 'inner/weights.bin', 32)],
  external_missing: [(model) => external(model, 'gone.bin', 0, false)],
  external_shared: [(model) => external(model, 'shared.bin', 2_000_000_000)],
  node_name_duplicate: [(model) => (named(model, 'flat').name = 'conv')],
  node_name_empty: [(model) => (named(model, 'flat').name = '')],
  node_name_characters: [(model) => (named(model, 'flat').name = 'flat [0]')],
  input_name_characters: [
    (model) => {
      const input = model.graph.inputs[0] as { name: string }
      input.name = 'x;y'
      named(model, 'conv.quant').inputs = ['x;y']
    },
  ],
  input_dynamic: [(model) => (model.graph.inputs = [valueInfo('x', DataType.FLOAT, ['N', 4, 6, 6])])],
  input_dynamic_unsupported: [
    (model) => (model.graph.inputs = [valueInfo('x', DataType.FLOAT, ['N', 4, 6, 6])]),
    { soc: 'Ascend310B4' },
  ],
  input_type: [(model) => model.graph.inputs.push(valueInfo('text', DataType.STRING, [1]))],
  input_type_slow: [(model) => model.graph.inputs.push(valueInfo('ids', DataType.INT64, [1]))],
  quant_scale: [(model) => set(model, 'up.quant', 'scale', { float: Infinity })],
  quant_scale_float16: [(model) => set(model, 'up.quant', 'scale', { float: 100_000 })],
  quant_offset: [(model) => set(model, 'up.quant', 'offset', { float: 128 })],
  quant_type: [(model) => set(model, 'up.quant', 'dst_type', 'UINT8')],
  quant_input_type: [(model) => (model.graph.inputs = [valueInfo('x', DataType.INT32, [1, 4, 6, 6])])],
  quant_reader: [
    (model) => {
      const relu = node('Relu', 'relu', ['c8'], 'unused')
      model.graph.nodes.splice(model.graph.nodes.indexOf(named(model, 'up')), 0, relu)
    },
  ],
  quant_unused: [(model) => model.graph.nodes.push(quant('extra', 'y', 'y8'))],
  quant_differs: [
    (model) => {
      const other = quant('other.quant', 'c', 'other8', 3)
      const back = node('AscendAntiQuant', 'other', ['other8'], 'other', {
        scale: { float: 1 / 3 },
        offset: { float: 0 },
      })
      model.graph.nodes.push(other, back)
    },
  ],
  quant_repeated: [
    (model) => {
      const other = quant('other.quant', 'c', 'other8')
      const back = node('AscendAntiQuant', 'other', ['other8'], 'other', {
        scale: { float: 0.5 },
        offset: { float: 0 },
      })
      model.graph.nodes.push(other, back)
    },
  ],
  antiquant_input: [
    (model) => {
      put(model, int8('stored', [24, 2]))
      named(model, 'sum.anti_quant').inputs = ['stored']
      named(model, 'sum.quant').outputs = ['y8']
      model.graph.outputs.push(valueInfo('y8', DataType.INT8, [24, 2]))
    },
  ],
  antiquant_factors: [(model) => set(model, 'sum.anti_quant', 'scale', { float: 4 })],
  layer_undequantized: [
    (model) => {
      model.graph.nodes.push(node('Identity', 'raw', ['u32'], 'raw'))
    },
  ],
  weight_type: [
    (model) => put(model, makeTensor('up.weight', DataType.FLOAT, [4, 4, 1, 1], new Float32Array(16))),
  ],
  weight_rank: [(model) => put(model, int8('fc.weight', [1, 6, 6]))],
  weight_offset: [
    (model) => {
      put(model, makeTensor('offset', DataType.INT8, [1], [3]))
      const old = node('AscendWeightQuant', 'up.wq', ['up.weight', 'offset'], 'up.w8')
      model.graph.nodes.splice(model.graph.nodes.indexOf(named(model, 'up')), 0, old)
      named(model, 'up').inputs[1] = 'up.w8'
    },
  ],
  shape_conflict: [
    (model) => {
      set(model, 'conv', 'group', 2)
      put(model, int8('conv.weight', [4, 1, 1, 1]))
    },
  ],
  bias_type: [(model) => put(model, makeTensor('conv.bias', DataType.FLOAT, [4], new Float32Array(4)))],
  gemm_attributes: [(model) => set(model, 'gemm', 'alpha', { float: 0.5 })],
  matmul_bias: [(model) => named(model, 'fc.add').inputs.reverse()],
  matmul_dynamic: [
    (model) => {
      named(model, 'fc').inputs = ['p8', 'p8']
    },
  ],
  conv3d_quant: [
    (model) => {
      put(model, int8('deep.weight', [1, 1, 1, 1, 1]))
      put(model, makeTensor('deep', DataType.FLOAT, [1, 1, 2, 2, 2], new Float32Array(8)))
      model.graph.nodes.push(
        quant('deep.quant', 'deep', 'deep8', 2, 1),
        node('Conv', 'deep.conv', ['deep8', 'deep.weight'], 'deep32'),
        node('AscendDequant', 'deep.dequant', ['deep32', 'fc.dequant.param'], 'deep.y', { dtype: 0 }),
      )
    },
  ],
  transpose_dilation: [(model) => set(model, 'up', 'dilations', [2, 2])],
  pad_value: [
    (model) => {
      put(model, makeTensor('pads', DataType.INT64, [8], new BigInt64Array(8)))
      const pad = node('Pad', 'pad', ['c8', 'pads'], 'c8p', { mode: 'reflect' })
      model.graph.nodes.splice(model.graph.nodes.indexOf(named(model, 'up')), 0, pad)
      named(model, 'up').inputs[0] = 'c8p'
    },
  ],
  dequant_input: [
    (model) => {
      put(model, int32('stored', 4))
      const stray = node('AscendDequant', 'stray', ['stored', 'fc.dequant.param'], 'stray', { dtype: 0 })
      model.graph.nodes.push(stray)
    },
  ],
  dequant_parameter: [(model) => put(model, makeTensor('fc.dequant.param', DataType.FLOAT, [1], [0.5]))],
  dequant_length: [(model) => put(model, parameters('fc.dequant.param', [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]))],
  dequant_scale: [(model) => put(model, parameters('fc.dequant.param', [-1]))],
  dequant_high_bits: [(model) => put(model, parameters('fc.dequant.param', [0.5], 1n << 14n))],
  dequant_s19: [(model) => put(model, parameters('fc.dequant.param', [0.1]))],
  float16_constant: [(model) => put(model, makeTensor('half', DataType.FLOAT, [1], [-1e9]))],
}

/** Rules that cannot be broken alone, with what goes with them. */
const COMPANIONS: Partial<Record<LintCode, LintCode[]>> = {
  // Opset 7 is also outside of what ATC is tested with; Dequant, Quant and AntiQuant are each registered from 8 on.
  opset_quant: ['opset_quant', 'opset_quant', 'opset_quant', 'opset_range'],
}

describe('the deploy linter', () => {
  it('finds nothing in a model that keeps every rule', () => {
    expect(lintDeployModel(deployModel())).toEqual([])
  })

  it.each(Object.keys(CASES) as LintCode[])('%s', (code) => {
    const [breakRule, options] = CASES[code]
    const model = cloneModel(deployModel())
    breakRule(model)
    const findings = lintDeployModel(model, options)
    expect(findings.map((finding) => finding.code)).toEqual(COMPANIONS[code] ?? [code])
    for (const finding of findings) {
      expect(finding.severity).toBe(lintRules[finding.code].severity)
      for (const locale of ['en', 'zh'] as const) {
        const { message, hint } = lintText(finding, locale)
        expect(`${message} ${hint}`).not.toMatch(/\{\w+\}/)
        if (locale === 'zh') expect(message).toMatch(/[\u4e00-\u9fff]/)
      }
    }
  })

  it('is documented rule by rule', () => {
    const page = readFileSync(path.resolve(import.meta.dirname, '../../../docs/interop.md'), 'utf8')
    const rows = [...page.matchAll(/^\| `(\w+)` \| (error|warning|info) \|/gm)].map(([, code, severity]) => [
      code,
      severity,
    ])
    expect(rows).toEqual(Object.entries(lintRules).map(([code, { severity }]) => [code, severity]))
  })

  it('has a case for every rule', () => {
    expect(Object.keys(CASES).sort()).toEqual(Object.keys(lintRules).sort())
  })

  it.each([
    ['mask within FP16', (model: Model) => put(model, makeTensor('half', DataType.FLOAT, [1], [-65504]))],
    ['infinite mask', (model: Model) => put(model, makeTensor('half', DataType.FLOAT, [1], [-Infinity]))],
    [
      'quantized output',
      (model: Model) => {
        model.graph.nodes.push(quant('out', 'y', 'y8'))
        model.graph.outputs.push(valueInfo('y8', DataType.INT8, [24, 2]))
      },
    ],
    ['INT4 weights packed in pairs', (model: Model) => put(model, int8('fc.weight', [3, 6]))],
    [
      'msmodelslim: no dst_type, no dtype',
      (model: Model) => {
        for (const each of model.graph.nodes) {
          each.attributes = each.attributes.filter(({ name }) => name !== 'dst_type' && name !== 'dtype')
        }
      },
    ],
    [
      'an older AscendWeightQuant with offset 0',
      (model: Model) => {
        put(model, makeTensor('offset', DataType.INT8, [1], [0]))
        const old = node('AscendWeightQuant', 'up.wq', ['up.weight', 'offset'], 'up.w8')
        model.graph.nodes.splice(model.graph.nodes.indexOf(named(model, 'up')), 0, old)
        named(model, 'up').inputs[1] = 'up.w8'
      },
    ],
    [
      'padding with zero',
      (model: Model) => {
        put(model, makeTensor('pads', DataType.INT64, [8], new BigInt64Array(8)))
        const pad = node('Pad', 'pad', ['c8', 'pads'], 'c8p')
        model.graph.nodes.splice(model.graph.nodes.indexOf(named(model, 'up')), 0, pad)
        named(model, 'up').inputs[0] = 'c8p'
      },
    ],
  ])('has nothing against %s', (_title, change) => {
    const model = cloneModel(deployModel())
    change(model)
    expect(lintDeployModel(model)).toEqual([])
  })

  it('Ascend 950 computes AscendQuant in FP32: large scales are fine there', () => {
    const model = cloneModel(deployModel())
    set(model, 'up.quant', 'scale', { float: 100_000 })
    expect(lintDeployModel(model, { soc: 'Ascend950PR_9599' })).toEqual([])
  })

  it('a given shape closes open dimensions', () => {
    const model = cloneModel(deployModel())
    model.graph.inputs = [valueInfo('x', DataType.FLOAT, ['N', 4, 6, 6])]
    expect(lintDeployModel(model, { inputShapes: { x: [1, 4, 6, 6] } })).toEqual([])
  })

  it('lists twenty of a kind and counts the rest', () => {
    const model = cloneModel(deployModel())
    for (let count = 0; count < 30; count++)
      model.graph.nodes.push(quant(`extra${count}`, 'half', `e${count}`))
    const unused = lintDeployModel(model).filter((finding) => finding.code === 'quant_unused')
    expect(unused).toHaveLength(20)
    expect(unused.map((finding) => finding.more)).toEqual([...Array<number>(19).fill(0), 10])
  })

  it('puts errors before warnings before notes', () => {
    const model = cloneModel(deployModel())
    model.graph.inputs = [valueInfo('x', DataType.FLOAT, ['N', 4, 6, 6])]
    set(model, 'up.quant', 'offset', { float: 128 })
    put(model, makeTensor('half', DataType.FLOAT, [1], [-1e9]))
    expect(lintDeployModel(model).map((finding) => finding.severity)).toEqual(['error', 'warning', 'info'])
  })
})
