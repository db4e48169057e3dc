// Shape rules of quantization operators: ONNX, the Ascend deploy format (AMCT), the simulated compiler, com.microsoft.
import { findAttribute, stringAttribute } from '../attributes.ts'
import { DataType } from '../model.ts'
import type { Node } from '../model.ts'
import { layerRules, plainProduct } from './layers.ts'
import { broadcast } from './context.ts'
import type { OpContext, ShapeRule } from './context.ts'

/** Output has the shape of the first input and the given type. */
function typed(type: (context: OpContext) => DataType): ShapeRule {
  return (context) => context.set(0, type(context), context.dims(0))
}

/** Quantized type: that of the zero point, else output_dtype (opset 21), else uint8. */
const quantizeLinear = typed((context) =>
  context.has(2) ? context.type(2) : ((context.int('output_dtype', 0) || DataType.UINT8) as DataType),
)

const dequantizeLinear = typed((context) => context.type(1))

const dynamicQuantizeLinear: ShapeRule = (context) => {
  context.set(0, DataType.UINT8, context.dims(0))
  context.set(1, DataType.FLOAT, [])
  context.set(2, DataType.UINT8, [])
}

/** AscendQuant's dst_type: INT8 unless said otherwise. */
function destinationType(node: Node): DataType {
  const name = findAttribute(node, 'dst_type') ? stringAttribute(node, 'dst_type') : 'INT8'
  if (name === 'INT4') return DataType.INT4
  return name === 'INT16' ? DataType.INT16 : DataType.INT8
}

/** AscendDequant and AscendAntiQuant write float32 (dtype 0) or float16 (dtype 1). */
const ascendFloat = typed((context) => (context.int('dtype', 0) === 1 ? DataType.FLOAT16 : DataType.FLOAT))

/** com.microsoft QLinearAdd and its kind: (A, A_scale, A_zero_point, B, B_scale, B_zero_point, C_scale, C_zero_point). */
const qlinearBinary: ShapeRule = (context) => {
  context.set(0, context.type(0), broadcast(context, [context.dims(0), context.dims(3)]))
}

const sameAsFirst = typed((context) => context.type(0))

/** SkipLayerNormalization: (output, mean, inverse deviation, sum of input and skip). */
const skipNormalization: ShapeRule = (context) => {
  context.set(0, context.type(0), context.dims(0))
  const statistics = context.dims(0)?.map((dim, axis, all) => (axis === all.length - 1 ? 1 : dim)) ?? null
  context.set(1, DataType.FLOAT, statistics)
  context.set(2, DataType.FLOAT, statistics)
  context.set(3, context.type(0), context.dims(0))
}

/** Operators of the default domain that AMCT adds for ATC, next to the ONNX ones. */
export const quantizedRules: Readonly<Record<string, ShapeRule>> = {
  QuantizeLinear: quantizeLinear,
  DequantizeLinear: dequantizeLinear,
  DynamicQuantizeLinear: dynamicQuantizeLinear,
  AscendQuant: typed((context) => destinationType(context.node)),
  AscendDequant: ascendFloat,
  AscendAntiQuant: ascendFloat,
  AscendWeightQuant: typed((context) => destinationType(context.node)),
  AscendRequant: typed(() => DataType.INT8),
  // CANN's weight-only product: (x, weight, antiquant_scale, ...).
  NPUWeightQuantBatchMatmulV2: plainProduct,
}

/** Domain of the simulated compiler's payload, docs/om-format.md. */
export const ascendsimRules: Readonly<Record<string, ShapeRule>> = {
  RoundFp16: sameAsFirst,
  AscendQuant: typed(() => DataType.UINT8),
  AscendQuantS8: typed(() => DataType.INT8),
  AscendBias: typed(() => DataType.INT32),
  AscendDequant: typed(() => DataType.FLOAT),
  AscendAntiQuant: typed(() => DataType.FLOAT),
}

/** Contrib operators of ONNX Runtime that its optimizer and its quantizer write. */
export const microsoftRules: Readonly<Record<string, ShapeRule>> = {
  Gelu: sameAsFirst,
  FastGelu: sameAsFirst,
  QuickGelu: sameAsFirst,
  BiasGelu: sameAsFirst,
  BiasSoftmax: sameAsFirst,
  GroupNorm: sameAsFirst,
  RotaryEmbedding: sameAsFirst,
  SimplifiedLayerNormalization: skipNormalization,
  SkipLayerNormalization: skipNormalization,
  SkipSimplifiedLayerNormalization: skipNormalization,
  QuantizeLinear: quantizeLinear,
  DequantizeLinear: dequantizeLinear,
  QLinearAdd: qlinearBinary,
  QLinearMul: qlinearBinary,
  QLinearSigmoid: sameAsFirst,
  QLinearLeakyRelu: sameAsFirst,
  QLinearSoftmax: sameAsFirst,
  QGemm: (context) => {
    const transposed = context.int('transB', 0) === 1
    const columns = context.dims(3)?.[transposed ? 0 : 1] ?? null
    context.set(0, context.has(8) ? context.type(8) : DataType.FLOAT, [context.dims(0)?.[0] ?? null, columns])
  },
  FusedConv: layerRules['Conv']!,
  FusedGemm: layerRules['Gemm']!,
  LayerNormalization: layerRules['LayerNormalization']!,
}
