// The public face of engine/onnx.
export * from './model.ts'
export { MAX_OPSET, MIN_OPSET, openModel, opsetVersion, parseModel } from './open.ts'
export { AUTO_EXTERNAL_BYTES } from './save-options.ts'
export type { SaveOptions } from './save-options.ts'
export { MAX_PROTOBUF_BYTES, saveModel, serializeModel } from './save.ts'
export type { SavedModel } from './save.ts'
export { WeightReader } from './copy.ts'
export type { ExternalPlace } from './encode.ts'
export {
  dataTypeName,
  elementCount,
  elementSize,
  isDataType,
  makeScalar,
  makeTensor,
  tensorByteLength,
  tensorBytes,
  tensorDataLength,
  tensorToFloat32,
  tensorToNumbers,
  tensorToScalar,
} from './tensors.ts'
export {
  float16BitsToFloat32,
  float32ToBfloat16Bits,
  float32ToFloat16Bits,
  roundToFloat16,
} from './float16.ts'
export {
  findAttribute,
  floatAttribute,
  floatsAttribute,
  intAttribute,
  intsAttribute,
  makeAttribute,
  nodeLabel,
  removeAttribute,
  setAttribute,
  stringAttribute,
} from './attributes.ts'
export type { AttributeValue } from './attributes.ts'
export {
  allNames,
  capturedNames,
  cloneGraph,
  cloneModel,
  cloneNode,
  indexGraph,
  makeModel,
  makeNode,
  removeUnusedInitializers,
  renameUses,
  sortTopologically,
  subgraphs,
  uniqueName,
  uniqueNames,
  usedNames,
  visitGraphs,
} from './graph.ts'
export type { GraphIndex, NodeSpec } from './graph.ts'
export { allLayerNames, layerNames, matchLayers, nearestNames } from './names.ts'
export type { LayerName } from './names.ts'
export { validateModel } from './validate.ts'
export { hasShapeRule, inferShapes } from './infer-shapes.ts'
export type { InferredShape } from './infer-shapes.ts'
export { packedInt4Axis, unpackedDims } from './packed-int4.ts'
export { summarizeModel } from './summary.ts'
export { upgradeOpset } from './upgrade.ts'
