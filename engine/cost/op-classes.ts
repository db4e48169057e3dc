// What kinds of work the ONNX operators are on the device, and what a vector instruction of each costs.

/** Cube operators: convolution and matrix multiplication, integer forms included. */
export const CUBE_OPS: ReadonlySet<string> = new Set([
  'Conv',
  'ConvTranspose',
  'Gemm',
  'MatMul',
  'ConvInteger',
  'MatMulInteger',
  'NPUWeightQuantBatchMatmulV2',
])

export const CONVOLUTION_OPS: ReadonlySet<string> = new Set(['Conv', 'ConvTranspose', 'ConvInteger'])

/** Reinterpret a tensor; the compiler removes them. */
export const FREE_OPS: ReadonlySet<string> = new Set([
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Identity',
  'Dropout',
])

/** Data movement that changes no value. */
export const MOVE_OPS: ReadonlySet<string> = new Set([
  'Transpose',
  'Concat',
  'Split',
  'Slice',
  'Gather',
  'GatherElements',
  'GatherND',
  'Expand',
  'Tile',
  'Pad',
  'DepthToSpace',
  'SpaceToDepth',
  'Resize',
  'Upsample',
])

export const POOL_OPS: ReadonlySet<string> = new Set([
  'MaxPool',
  'AveragePool',
  'LpPool',
  'GlobalAveragePool',
  'GlobalMaxPool',
  'GlobalLpPool',
])

export const NORM_OPS: ReadonlySet<string> = new Set([
  'LayerNormalization',
  'GroupNormalization',
  'InstanceNormalization',
  'RMSNormalization',
  'SimplifiedLayerNormalization',
  'LpNormalization',
  'MeanVarianceNormalization',
  'LRN',
])

export const SOFTMAX_OPS: ReadonlySet<string> = new Set(['Softmax', 'LogSoftmax', 'Hardmax'])

export const REDUCE_OPS: ReadonlySet<string> = new Set([
  'ReduceMean',
  'ReduceSum',
  'ReduceMax',
  'ReduceMin',
  'ReduceSumSquare',
  'ReduceL2',
  'ReduceL1',
  'ReduceProd',
])

/**
 * Cost of one FP16 element in units of a full-rate instruction (128 elements per cycle). From Huawei's measured cycles
 * per element (hicann/ge, perf_param_v1.cpp: Adds .0071, Mul .0110, Exp .0311, Sqrt .0312, Div .0460, Sigmoid .101,
 * Gather .187, Tanh .198, Erf .700; times 128); whole activations as they were counted when the model was fitted.
 */
const VECTOR_FACTOR: Readonly<Record<string, number>> = {
  Add: 1,
  Sub: 1,
  Mul: 1,
  Max: 1,
  Min: 1,
  Relu: 1,
  LeakyRelu: 2,
  PRelu: 2,
  Clip: 2,
  Neg: 1,
  Abs: 1,
  Floor: 1,
  Ceil: 1,
  Round: 1,
  Sign: 1,
  Cast: 2,
  Where: 2,
  Not: 1,
  And: 1,
  Or: 1,
  Xor: 1,
  Equal: 1,
  Greater: 1,
  GreaterOrEqual: 1,
  Less: 1,
  LessOrEqual: 1,
  HardSigmoid: 3,
  HardSwish: 5,
  Exp: 4,
  Log: 4,
  Sqrt: 4,
  Reciprocal: 4,
  Div: 6,
  Pow: 8,
  Sin: 12,
  Cos: 12,
  Sigmoid: 13,
  Swish: 14,
  Elu: 6,
  Selu: 6,
  Softplus: 9,
  Tanh: 25,
  Mish: 30,
  Gelu: 29,
  Erf: 90,
  // Folded into weights and bias when it follows a cube operator; a multiply and an add on its own.
  BatchNormalization: 2,
  AscendDequant: 0,
  AscendQuant: 1,
  AscendAntiQuant: 2,
}

/** Operators that work element by element and can be fused with each other. */
export const ELEMENTWISE_OPS: ReadonlySet<string> = new Set(
  Object.keys(VECTOR_FACTOR).filter((name) => name !== 'AscendQuant' && name !== 'AscendAntiQuant'),
)

/** Cost factor of an element-wise operator; 1 for unknown ones. */
export function vectorFactor(opType: string): number {
  return VECTOR_FACTOR[opType] ?? 1
}

/** Passes over the data of a normalisation or softmax, in full-rate instructions per element (value of the fit). */
export const NORM_FACTOR = 10
export const GATHER_FACTOR = 24
