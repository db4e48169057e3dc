// A model of very many small layers, for the layer table.
import { DataType, makeNode, makeTensor, saveModel, type Model } from '../../../engine/onnx/index.ts'

const identity = (size: number): Float32Array =>
  Float32Array.from({ length: size * size }, (_, index) => (index % (size + 1) === 0 ? 1 : 0))

/** A chain of 1x1 convolutions, each with a weight of its own, named like blocks of a network. */
function chain(count: number, channels: number): Model {
  const name = (index: number): string => `blocks.${Math.floor(index / 100)}.layers.${index % 100}`
  const nodes = Array.from({ length: count }, (_, index) =>
    makeNode({
      opType: 'Conv',
      name: `/${name(index).replaceAll('.', '/')}/Conv`,
      inputs: [index === 0 ? 'x' : `t${index}`, `${name(index)}.weight`],
      outputs: [index === count - 1 ? 'y' : `t${index + 1}`],
    }),
  )
  const weight = (index: number) =>
    makeTensor(`${name(index)}.weight`, DataType.FLOAT, [channels, channels, 1, 1], identity(channels))
  const io = (which: string) => ({
    name: which,
    elementType: DataType.FLOAT,
    shape: [1, channels, 4, 4].map((value) => ({ value })),
  })
  return {
    irVersion: 8,
    producerName: 'test',
    producerVersion: '',
    domain: '',
    modelVersion: 0n,
    docString: '',
    opsetImports: [{ domain: '', version: 17 }],
    metadata: [],
    graph: {
      name: 'layers',
      nodes,
      initializers: new Map(nodes.map((_, index) => [`${name(index)}.weight`, weight(index)])),
      inputs: [io('x')],
      initializerInputs: [],
      outputs: [io('y')],
      valueInfo: [],
    },
  }
}

export function saveLayers(count: number, file: string, channels = 2): void {
  saveModel(chain(count, channels), file)
}
