// A model with every kind of layer that AMCT's configurations speak of, for tests of reading and writing them.
import { DataType, makeTensor, type Model, type Tensor } from '../../../engine/onnx/index.ts'
import { makeNode } from '../../../engine/onnx/index.ts'
import { makeGraph, makeModel, valueInfo } from '../../fixtures/onnx-build.ts'

function weight(name: string, dims: number[]): Tensor {
  const count = dims.reduce((product, dim) => product * dim, 1)
  return makeTensor(
    name,
    DataType.FLOAT,
    dims,
    Float32Array.from({ length: count }, (_, index) => Math.sin(index)),
  )
}

/** conv1 -> layer1 -> pool -> fc -> attention (two dynamic inputs). */
export function amctModel(): Model {
  const node = (opType: string, name: string, inputs: string[], output: string) =>
    makeNode({ opType, name, inputs, outputs: [output] })
  const nodes = [
    node('Conv', 'conv1', ['x', 'w1'], 'a'),
    node('Relu', 'relu1', ['a'], 'b'),
    node('Conv', 'layer1', ['b', 'w2'], 'c'),
    node('Conv', 'layer1.inner', ['c', 'w3'], 'd'),
    makeNode({
      opType: 'AveragePool',
      name: 'pool',
      inputs: ['d'],
      outputs: ['e'],
      attributes: { kernel_shape: [1, 1] },
    }),
    node('MatMul', 'fc', ['e', 'w4'], 'f'),
    node('MatMul', 'scores', ['f', 'f'], 'y'),
  ]
  const initializers = [
    weight('w1', [4, 4, 1, 1]),
    weight('w2', [4, 4, 1, 1]),
    weight('w3', [4, 4, 1, 1]),
    weight('w4', [6, 6]),
  ]
  return makeModel(
    makeGraph({
      nodes,
      inputs: [valueInfo('x', DataType.FLOAT, [1, 4, 6, 6])],
      outputs: [valueInfo('y', DataType.FLOAT, [1, 4, 6, 6])],
      initializers: new Map(initializers.map((tensor) => [tensor.name, tensor])),
    }),
  )
}
