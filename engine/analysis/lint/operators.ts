// Which ONNX operators ATC has plug-ins for. Sources: the ONNX operator specification of the CANN documentation (opset 11 to
// 18), and the plug-ins published with CANN (framework/onnx_plugin; hicann/ops-nn, ops-math, ops-cv: *_onnx_plugin.cpp).

const names = (text: string): readonly string[] => text.trim().split(/\s+/)

export const ATC_OPERATORS: ReadonlySet<string> = new Set([
  // Elementwise and logic.
  ...names(`Abs Acos Acosh Add And Asin Asinh Atan Atanh Bernoulli BitShift Cast CastLike Ceil Celu Clip Cos Cosh Div Elu
    Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual
    Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus
    Softsign Sqrt Sub Sum Tan Tanh ThresholdedRelu Where Xor`),
  // Reductions and normalizations.
  ...names(`ArgMax ArgMin BatchNormalization CumSum GroupNormalization Hardmax InstanceNormalization LRN LayerNormalization
    LogSoftmax LpNormalization MeanVarianceNormalization ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
    ReduceMin ReduceProd ReduceSum ReduceSumSquare Softmax`),
  // Layers.
  ...names(`AveragePool Conv ConvTranspose DeformableConv2D Det Einsum GRU Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool
    LSTM LpPool MatMul MaxPool MaxRoiPool MaxUnpool RNN RoiAlign`),
  // Moving and shaping data.
  ...names(`Compress Concat Constant ConstantOfShape DepthToSpace Dropout Expand EyeLike Flatten Gather GatherElements GatherND
    GridSample Multinomial NonMaxSuppression NonZero OneHot Pad RandomNormal RandomNormalLike RandomUniform RandomUniformLike
    Range Reshape Resize ReverseSequence Scatter ScatterElements ScatterND Shape Size Slice SpaceToDepth Split Squeeze
    TfIdfVectorizer Tile TopK Transpose Trilu Unsqueeze Upsample If ConcatFromSequence SplitToSequence`),
  // Operators of Ascend itself, in the default domain.
  ...names(`AscendQuant AscendDequant AscendAntiQuant AscendWeightQuant AscendRequant AscendRequantS16 AscendDequantS16
    BasicLSTMInplaceFillWindowCache BasicGRUInplaceFillWindowCache BatchMatMul AdaptiveAvgPool2D AdaptiveMaxPool2D
    NPUAscendQuantV2 NPUAntiQuant NPUQuantize NPUDynamicQuant NPUDynamicQuantV2 NPUGroupQuant QuantBatchMatMul
    NPUWeightQuantBatchmatmulV2 NPUWeightQuantBatchMatmulV2`),
])

/** Operators that are known to be missing, with the reason. */
export const ATC_MISSING: Readonly<Record<string, string>> = {
  Loop: 'ATC has no plug-in for loops',
  Scan: 'ATC has no plug-in for loops',
  DynamicQuantizeLinear: 'ATC has no plug-in for quantization at run time',
  ImageDecoder: 'images cannot be decoded on the device',
  StringNormalizer: 'there are no strings on the device',
  StringConcat: 'there are no strings on the device',
  StringSplit: 'there are no strings on the device',
  RegexFullMatch: 'there are no strings on the device',
  LabelEncoder: 'there are no strings on the device',
  OptionalHasElement: 'there are no optional values on the device',
  OptionalGetElement: 'there are no optional values on the device',
}

/** ONNX's own quantized operators; none has a plug-in, Ascend's take their place. */
export const QDQ_OPERATOR = /^(QuantizeLinear|DequantizeLinear|QLinear\w+|ConvInteger|MatMulInteger)$/

/** Operators that hand integers on unchanged. */
export const MOVES_INTEGERS: ReadonlySet<string> = new Set([
  'Concat',
  'DepthToSpace',
  'Expand',
  'Flatten',
  'Gather',
  'Identity',
  'MaxPool',
  'Pad',
  'Reshape',
  'Slice',
  'SpaceToDepth',
  'Split',
  'Squeeze',
  'Tile',
  'Transpose',
  'Unsqueeze',
])

/** Layers that compute on integers. */
export const INTEGER_LAYERS: ReadonlySet<string> = new Set([
  'Conv',
  'ConvTranspose',
  'Gemm',
  'MatMul',
  'AveragePool',
])

/** Opset ranges of Ascend's operators (hicann/ops-nn, quant/*\/framework/*_onnx_plugin.cpp). */
export const ASCEND_OPSETS: Readonly<Record<string, readonly [number, number]>> = {
  AscendQuant: [8, 22],
  AscendDequant: [8, 22],
  AscendAntiQuant: [8, 22],
  NPUWeightQuantBatchMatmulV2: [11, 19],
}
