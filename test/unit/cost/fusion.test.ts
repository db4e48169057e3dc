// Splitting graphs into kernels and pricing them: fusion rules, INT8 rules, layouts, agreement with the layer records.
import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import type { CostTable } from '../../../contract/cost.ts'
import { estimateGraph, estimateLayers } from '../../../engine/cost/index.ts'
import type { LayerRecord } from '../../../engine/cost/index.ts'
import { DataType, makeNode, makeTensor } from '../../../engine/onnx/index.ts'
import type { Model, Node, Tensor } from '../../../engine/onnx/index.ts'

/** Builds a graph node by node; weights are zeros. */
class Builder {
  readonly nodes: Node[] = []
  readonly weights = new Map<string, Tensor>()

  weight(name: string, dims: number[], type: DataType = DataType.FLOAT): string {
    const bytes = new Uint8Array(
      dims.reduce((a, b) => a * b, 1) * ({ 1: 4, 3: 1, 6: 4, 7: 8, 13: 8 }[type as 1] ?? 4),
    )
    this.weights.set(name, makeTensor(name, type, dims, bytes))
    return name
  }

  add(
    opType: string,
    inputs: string[],
    attributes: Parameters<typeof makeNode>[0]['attributes'] = {},
  ): string {
    const name = `${opType}_${this.nodes.length}`
    this.nodes.push(makeNode({ opType, name, inputs, outputs: [`${name}_out`], attributes }))
    return `${name}_out`
  }

  conv(x: string, from: number, to: number, kernel = 3, stride = 1, group = 1): string {
    const weight = this.weight(`w${this.nodes.length}`, [to, from / group, kernel, kernel])
    const pad = (kernel - 1) / 2
    const attributes = {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [pad, pad, pad, pad],
      group,
    }
    return this.add('Conv', [x, weight, this.weight(`b${this.nodes.length}`, [to])], attributes)
  }

  model(input: number[], output: string): Model {
    const shape = input.map((value) => ({ value }))
    return {
      irVersion: 8,
      producerName: '',
      producerVersion: '',
      domain: '',
      modelVersion: 0n,
      docString: '',
      opsetImports: [{ domain: '', version: 17 }],
      metadata: [],
      graph: {
        name: 'g',
        nodes: this.nodes,
        initializers: this.weights,
        inputs: [{ name: 'x', elementType: DataType.FLOAT, shape }],
        initializerInputs: [],
        outputs: [{ name: output, elementType: DataType.FLOAT }],
        valueInfo: [],
      },
    }
  }
}

const price = (model: Model, precision: 'fp16' | 'int8' = 'fp16'): CostTable =>
  estimateGraph(model, { soc: 'Ascend310P3', precision })
const types = (table: CostTable): string[] => table.kernels.map((kernel) => kernel.opType)

describe('fusion', () => {
  it('convolution takes bias, normalisation, activation and residual sum', () => {
    const b = new Builder()
    const stem = b.add('Relu', [b.conv('x', 3, 16)])
    const norm = [1, 2, 3, 4].map((i) => b.weight(`n${i}`, [16]))
    const left = b.add('BatchNormalization', [b.conv(stem, 16, 16), ...norm])
    const sum = b.add('Relu', [b.add('Add', [left, stem])])
    const table = price(b.model([1, 3, 32, 32], sum))
    expect(types(table)).toEqual(['TransData', 'Conv2D', 'Conv2D', 'TransData'])
    expect(table.kernels[2]!.nodes).toHaveLength(4)
  })

  it('activations of several nodes are one epilogue or one kernel', () => {
    const b = new Builder()
    const half = b.weight('half', [])
    const silu = (x: string): string => b.add('Mul', [x, b.add('Sigmoid', [x])])
    const h = b.add('MatMul', [silu('x'), b.weight('w', [64, 64])])
    const erf = b.add('Add', [b.add('Erf', [b.add('Div', [h, half])]), half])
    const gelu = b.add('Mul', [b.add('Mul', [h, erf]), half])
    expect(types(price(b.model([8, 64], gelu)))).toEqual(['Swish', 'BatchMatMulV2'])
  })

  it('decomposed layer norm, RMS norm, softmax and group norm are one kernel each', () => {
    const b = new Builder()
    const axes = { axes: [-1] }
    const [two, eps] = [b.weight('two', []), b.weight('eps', [])]
    const centred = b.add('Sub', ['x', b.add('ReduceMean', ['x'], axes)])
    const variance = b.add('ReduceMean', [b.add('Pow', [centred, two])], axes)
    const normed = b.add('Div', [centred, b.add('Sqrt', [b.add('Add', [variance, eps])])])
    const layer = b.add('Add', [b.add('Mul', [normed, b.weight('g', [64])]), b.weight('h', [64])])
    const mm = b.add('MatMul', [layer, b.weight('w', [64, 64])])
    const mean = b.add('ReduceMean', [b.add('Pow', [mm, two])], axes)
    const rms = b.add('Mul', [
      b.add('Div', [mm, b.add('Sqrt', [b.add('Add', [mean, eps])])]),
      b.weight('g2', [64]),
    ])
    const mm2 = b.add('MatMul', [rms, b.weight('w2', [64, 64])])
    const exp = b.add('Exp', [b.add('Sub', [mm2, b.add('ReduceMax', [mm2], axes)])])
    const soft = b.add('Div', [exp, b.add('ReduceSum', [exp, b.weight('ax', [1], DataType.INT64)])])
    expect(types(price(b.model([4, 16, 64], soft)))).toEqual([
      'LayerNorm',
      'BatchMatMulV2',
      'RmsNorm',
      'BatchMatMulV2',
      'SoftmaxV2',
    ])
  })

  it('a gate is not swallowed by what it scales', () => {
    const b = new Builder()
    const h = b.conv('x', 16, 16)
    const gate = b.add('Sigmoid', [b.conv(b.add('GlobalAveragePool', [h]), 16, 16, 1)])
    const y = b.add('Mul', [h, gate])
    const table = price(b.model([1, 16, 8, 8], y))
    expect(types(table).filter((type) => type !== 'TransData')).toEqual([
      'Conv2D',
      'ReduceMeanD',
      'Conv2D',
      'Mul',
    ])
  })
})

describe('INT8 rules', () => {
  const quantized = (
    channels: number,
    group: number,
    between: (b: Builder, x: string) => string,
  ): CostTable => {
    const b = new Builder()
    const layer = (x: string): string => {
      const q = b.add('AscendQuant', [x], { scale: { float: 1 }, offset: { float: 0 } })
      const w = b.weight(`w${b.nodes.length}`, [channels, channels / group, 3, 3], DataType.INT8)
      const acc = b.add('Conv', [q, w], { group, pads: [1, 1, 1, 1], kernel_shape: [3, 3] })
      return b.add('AscendDequant', [acc, b.weight(`d${b.nodes.length}`, [channels], DataType.UINT64)])
    }
    const y = layer(between(b, layer('x')))
    return price(b.model([1, channels, 56, 56], y), 'int8')
  }
  const cube = (table: CostTable, index: number): number =>
    table.kernels.filter((kernel) => kernel.opType === 'Conv2D')[index]!.terms.cube

  it('dequantisation and requantisation between convolutions are free; the first quantisation is a kernel', () => {
    const table = quantized(64, 1, (b, x) => b.add('Relu', [x]))
    expect(types(table)).toEqual(['AscendQuant', 'TransData', 'Conv2D', 'Conv2D', 'TransData'])
    expect(table.kernels[2]!.precision).toBe('int8')
  })

  it('behind a softmax or a transpose, quantisation is a kernel of its own', () => {
    const table = quantized(64, 1, (b, x) => b.add('Softmax', [x], { axis: 1 }))
    expect(types(table).filter((type) => type === 'AscendQuant')).toHaveLength(2)
  })

  it('halves the cube time of 64 channels, not of 16, and leaves depthwise alone', () => {
    const float = (channels: number, group: number): CostTable => {
      const b = new Builder()
      const y = b.conv('x', channels, channels, 3, 1, group)
      return price(b.model([1, channels, 56, 56], y))
    }
    const same = (b: Builder, x: string): string => b.add('Relu', [x])
    expect(cube(quantized(64, 1, same), 0) / cube(float(64, 1), 0)).toBeCloseTo(0.5, 6)
    expect(cube(quantized(16, 1, same), 0) / cube(float(16, 1), 0)).toBeCloseTo(1, 6)
    expect(cube(quantized(64, 64, same), 0) / cube(float(64, 64), 0)).toBeCloseTo(1, 6)
  })
})

describe('agreement with the layer records of the fit', () => {
  it('ResNet-50 as a graph costs what its records cost', () => {
    const b = new Builder()
    const relu = (x: string): string => b.add('Relu', [x])
    let x = b.add('MaxPool', [relu(b.conv('x', 3, 64, 7, 2))], {
      kernel_shape: [3, 3],
      strides: [2, 2],
      pads: [1, 1, 1, 1],
    })
    let from = 64
    for (const [blocks, width, firstStride] of [
      [3, 64, 1],
      [4, 128, 2],
      [6, 256, 2],
      [3, 512, 2],
    ] as const) {
      for (let block = 0; block < blocks; block++) {
        const stride = block === 0 ? firstStride : 1
        const h = relu(b.conv(relu(b.conv(x, from, width, 1)), width, width, 3, stride))
        const main = b.conv(h, width, width * 4, 1)
        const skip = block === 0 ? b.conv(x, from, width * 4, 1, stride) : x
        x = relu(b.add('Add', [main, skip]))
        from = width * 4
      }
    }
    const flat = b.add('Flatten', [b.add('GlobalAveragePool', [x])])
    const y = b.add('Gemm', [flat, b.weight('fc', [1000, 2048]), b.weight('fcb', [1000])], { transB: 1 })
    const table = price(b.model([1, 3, 224, 224], y))
    const fixture = JSON.parse(
      fs.readFileSync(
        path.join(import.meta.dirname, '../../fixtures/cost/reference-predictions.json'),
        'utf8',
      ),
    ) as { networks: Record<string, LayerRecord[]> }
    const records = fixture.networks.resnet50!
    const { seconds } = estimateLayers(records, { soc: 'Ascend310P3', batch: 1, precision: 'fp16' })
    const kernels = table.kernels.filter((kernel) => kernel.opType !== 'TransData')
    expect(kernels).toHaveLength(records.length)
    // The records have no layout conversions and count no activations of the classifier.
    const ns = kernels.reduce((sum, kernel) => sum + kernel.ns, 0)
    expect(Math.abs(ns / (seconds * 1e9) - 1)).toBeLessThan(0.01)
    const macs = table.kernels.reduce((sum, kernel) => sum + kernel.macs, 0)
    expect(macs / 1e9).toBeCloseTo(4.09, 2)
  })

  it('labels every estimate', () => {
    const b = new Builder()
    const model = b.model([1, 16, 8, 8], b.conv('x', 16, 16))
    expect(price(model).validation.status).toBe('fitted')
    const other = estimateGraph(model, { soc: 'Ascend910B4', precision: 'fp16' }).validation
    expect(other.status).toBe('not validated')
    expect(other.text).toContain('not validated')
  })
})
