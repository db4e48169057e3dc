// The model of the host CPU's probe: y = x + x over four floats, built in memory.
import { DataType, makeNode, serializeModel, type Model, type ValueInfo } from '../onnx/index.ts'

export const PROBE_INPUT = 'x'
export const PROBE_OUTPUT = 'y'

/** Bytes of an ONNX file (IR 8, opset 17) with one Add. */
export function probeModel(): Uint8Array {
  const value = (name: string): ValueInfo => ({ name, elementType: DataType.FLOAT, shape: [{ value: 4 }] })
  const model: Model = {
    irVersion: 8,
    producerName: 'ascend-quant-workbench',
    producerVersion: '',
    domain: '',
    modelVersion: 0n,
    docString: '',
    opsetImports: [{ domain: '', version: 17 }],
    metadata: [],
    graph: {
      name: 'probe',
      nodes: [
        makeNode({ opType: 'Add', name: 'add', inputs: [PROBE_INPUT, PROBE_INPUT], outputs: [PROBE_OUTPUT] }),
      ],
      initializers: new Map(),
      inputs: [value(PROBE_INPUT)],
      initializerInputs: [],
      outputs: [value(PROBE_OUTPUT)],
      valueInfo: [],
    },
  }
  return serializeModel(model)
}
