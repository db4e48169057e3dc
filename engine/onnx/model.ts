// The in-memory ONNX model: plain data, weights lazy, unknown protobuf fields carried along.
// Field meanings follow onnx.proto of the ONNX project (IR version 11).

/** TensorProto.DataType numbers. Not the numbers of ACL (aclDataType) nor of the OM protobuf. */
export const DataType = {
  UNDEFINED: 0,
  FLOAT: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  STRING: 8,
  BOOL: 9,
  FLOAT16: 10,
  DOUBLE: 11,
  UINT32: 12,
  UINT64: 13,
  COMPLEX64: 14,
  COMPLEX128: 15,
  BFLOAT16: 16,
  FLOAT8E4M3FN: 17,
  FLOAT8E4M3FNUZ: 18,
  FLOAT8E5M2: 19,
  FLOAT8E5M2FNUZ: 20,
  UINT4: 21,
  INT4: 22,
  FLOAT4E2M1: 23,
  FLOAT8E8M0: 24,
} as const
export type DataType = (typeof DataType)[keyof typeof DataType]

/** Where the bytes of a tensor are. `file` data is read only when asked for. */
export type TensorData =
  /** Little-endian raw bytes in memory, exactly as raw_data would hold them. */
  | { kind: 'bytes'; bytes: Uint8Array }
  /**
   * A slice of a file: inline raw_data of the model file, or external data. `stamp` tells the version of the file the
   * slice belongs to: reading from a file that changed since is an error. Absent: not checked.
   */
  | { kind: 'file'; path: string; offset: number; length: number; stamp?: string }
  /** string_data: only for STRING tensors. */
  | { kind: 'strings'; values: Uint8Array[] }

export interface Tensor {
  name: string
  dataType: DataType
  dims: number[]
  data: TensorData
  docString?: string
  /** Protobuf fields this codec does not know, verbatim. */
  unknown?: Uint8Array
}

export interface Dimension {
  /** Fixed size, or undefined when symbolic. */
  value?: number
  /** Symbol such as "N"; undefined for a fully unknown dimension. */
  symbol?: string
  /** Denotation and unknown fields, verbatim. */
  unknown?: Uint8Array
}

/** A graph input, output or value_info entry. `shape` undefined means unknown rank. */
export interface ValueInfo {
  name: string
  /** undefined when the type is absent or is not a tensor (see `rawType`). */
  elementType?: DataType
  shape?: Dimension[]
  docString?: string
  /** Verbatim TypeProto when it is not a dense tensor (sequence, map, optional, sparse). */
  rawType?: Uint8Array
  /** Unknown fields inside the type of a dense tensor, verbatim, by message: TypeProto, its Tensor, its shape. */
  typeUnknown?: { type?: Uint8Array; tensor?: Uint8Array; shape?: Uint8Array }
  unknown?: Uint8Array
}

export type Attribute = { name: string; docString?: string; unknown?: Uint8Array } & (
  | { type: 'float'; value: number }
  | { type: 'int'; value: bigint }
  | { type: 'string'; value: Uint8Array }
  | { type: 'tensor'; value: Tensor }
  | { type: 'graph'; value: Graph }
  | { type: 'floats'; value: number[] }
  | { type: 'ints'; value: bigint[] }
  | { type: 'strings'; value: Uint8Array[] }
  | { type: 'tensors'; value: Tensor[] }
  | { type: 'graphs'; value: Graph[] }
  /** ref_attr_name and types kept verbatim: sparse tensors, type protos. `value` is the whole AttributeProto. */
  | { type: 'raw'; value: Uint8Array }
)

export interface Node {
  name: string
  opType: string
  /** "" is ai.onnx. */
  domain: string
  /** "" marks an omitted optional input. */
  inputs: string[]
  outputs: string[]
  attributes: Attribute[]
  docString?: string
  unknown?: Uint8Array
}

export interface Graph {
  name: string
  /** Topologically sorted, as ONNX demands. */
  nodes: Node[]
  /** By name, in file order. */
  initializers: Map<string, Tensor>
  /** True graph inputs only; names that are also initializers (IR < 4 style) are in `initializerInputs`. */
  inputs: ValueInfo[]
  /** IR 3 models list initializers among the inputs: kept apart, written back where they were. */
  initializerInputs: ValueInfo[]
  /** Names of both kinds of inputs in file order, when they were interleaved. */
  inputOrder?: string[]
  outputs: ValueInfo[]
  valueInfo: ValueInfo[]
  docString?: string
  unknown?: Uint8Array
}

export interface OpsetImport {
  domain: string
  version: number
  unknown?: Uint8Array
}

export interface Model {
  irVersion: number
  producerName: string
  producerVersion: string
  domain: string
  modelVersion: bigint
  docString: string
  opsetImports: OpsetImport[]
  metadata: { key: string; value: string; unknown?: Uint8Array }[]
  graph: Graph
  /** FunctionProtos, training info and unknown fields, verbatim. */
  unknown?: Uint8Array
  /** File the model was opened from; undefined for a model built in memory. */
  path?: string
}
