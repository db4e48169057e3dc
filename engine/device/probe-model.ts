// The model of the host CPU's probe: y = x + x over four floats, built in memory.
import { DataType, makeModel, makeNode, serializeModel, type ValueInfo } from '../onnx/index.ts'

export const PROBE_INPUT = 'x'
export const PROBE_OUTPUT = 'y'

/** Bytes of an ONNX file with one Add. */
export function probeModel(): Uint8Array {
  const value = (name: string): ValueInfo => ({ name, elementType: DataType.FLOAT, shape: [{ value: 4 }] })
  const add = makeNode({
    opType: 'Add',
    name: 'add',
    inputs: [PROBE_INPUT, PROBE_INPUT],
    outputs: [PROBE_OUTPUT],
  })
  const graph = { name: 'probe', nodes: [add], inputs: [value(PROBE_INPUT)], outputs: [value(PROBE_OUTPUT)] }
  return serializeModel(makeModel(graph))
}
