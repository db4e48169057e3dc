// Numbers of the .om container: header, partition types, data types and formats of the Graph Engine and of ACL.
// Public interface facts of CANN's Graph Engine (framework/common/types.h, ge_ir.proto, acl_base.h).
import { DataType } from '../onnx/model.ts'

export const OM_MAGIC = 0x444f4d49
export const HEADER_BYTES = 256
export const VERSION_1 = 0x10000000
export const VERSION_2 = 0x20000000

/** ModelFileHeader.modeltype */
export const ModelType = { IR: 0, STANDARD: 1, TINY: 2, FLOW: 3, LITE: 4, BUNDLE: 5 } as const

export const Partition = {
  MODEL_DEF: 0,
  WEIGHTS_DATA: 1,
  TASK_INFO: 2,
  TBE_KERNELS: 3,
  CUST_AICPU_KERNELS: 4,
  SO_BINS: 5,
  FLOW_MODEL: 6,
  FLOW_SUBMODEL: 7,
  MODEL_INOUT_INFO: 8,
  BUNDLE_MODEL_INFO: 24,
} as const

const PARTITION_NAMES: Readonly<Record<number, string>> = {
  0: 'MODEL_DEF',
  1: 'WEIGHTS_DATA',
  2: 'TASK_INFO',
  3: 'TBE_KERNELS',
  4: 'CUST_AICPU_KERNELS',
  5: 'SO_BINS',
  6: 'FLOW_MODEL',
  7: 'FLOW_SUBMODEL',
  8: 'MODEL_INOUT_INFO',
  9: 'STATIC_TASK_DESC',
  10: 'DYNAMIC_TASK_DESC',
  11: 'TASK_PARAM',
  12: 'TILING_DATA',
  20: 'PRE_MODEL_DESC',
  21: 'PRE_MODEL_SQE',
  22: 'PRE_KERNEL_ARGS',
  23: 'PRE_MODEL_DESC_EXTEND',
  24: 'BUNDLE_MODEL_INFO',
  25: 'BUNDLE_MODEL_VAR_INFO',
  26: 'CUSTOM_OPS',
}

export function partitionName(type: number): string {
  return PARTITION_NAMES[type] ?? `PARTITION_${type}`
}

/** Entries of MODEL_INOUT_INFO. */
export const InOutInfo = {
  INPUT_DESC: 0,
  OUTPUT_DESC: 1,
  DYN_BATCH: 2,
  DYN_HW: 3,
  DYN_DIMS: 4,
  DYN_OUTPUT_SHAPE: 5,
  SHAPE_ORDER: 6,
} as const

/** Magic of our kernel store items ("AQSK"); the Graph Engine's own is 0x5D776EFD. */
export const KERNEL_MAGIC = 0x4b535141
export const MANIFEST_ITEM = 'aqw.manifest'
export const COST_ITEM = 'aqw.cost'

/** The helper input through which an application chooses the gear. */
export const GEAR_INPUT = 'ascend_mbatch_shape_data'

interface TypeNumbers {
  onnx: DataType
  acl: number
  ge: number
  name: string
  bytes: number
}

/** ONNX, ACL (aclDataType) and Graph Engine (ge.proto.DataType) count differently: one table, three columns. */
const TYPES: readonly TypeNumbers[] = [
  { onnx: DataType.FLOAT, acl: 0, ge: 1, name: 'float', bytes: 4 },
  { onnx: DataType.FLOAT16, acl: 1, ge: 2, name: 'float16', bytes: 2 },
  { onnx: DataType.INT8, acl: 2, ge: 3, name: 'int8', bytes: 1 },
  { onnx: DataType.INT32, acl: 3, ge: 7, name: 'int32', bytes: 4 },
  { onnx: DataType.UINT8, acl: 4, ge: 4, name: 'uint8', bytes: 1 },
  { onnx: DataType.INT16, acl: 6, ge: 5, name: 'int16', bytes: 2 },
  { onnx: DataType.UINT16, acl: 7, ge: 6, name: 'uint16', bytes: 2 },
  { onnx: DataType.UINT32, acl: 8, ge: 9, name: 'uint32', bytes: 4 },
  { onnx: DataType.INT64, acl: 9, ge: 8, name: 'int64', bytes: 8 },
  { onnx: DataType.UINT64, acl: 10, ge: 10, name: 'uint64', bytes: 8 },
  { onnx: DataType.DOUBLE, acl: 11, ge: 12, name: 'double', bytes: 8 },
  { onnx: DataType.BOOL, acl: 12, ge: 11, name: 'bool', bytes: 1 },
  { onnx: DataType.STRING, acl: 13, ge: 13, name: 'string', bytes: 0 },
  { onnx: DataType.COMPLEX64, acl: 16, ge: 16, name: 'complex64', bytes: 8 },
  { onnx: DataType.COMPLEX128, acl: 17, ge: 17, name: 'complex128', bytes: 16 },
  { onnx: DataType.BFLOAT16, acl: 27, ge: 27, name: 'bfloat16', bytes: 2 },
  { onnx: DataType.INT4, acl: 29, ge: 28, name: 'int4', bytes: 0.5 },
]

export function typeByOnnx(type: DataType): TypeNumbers | undefined {
  return TYPES.find((entry) => entry.onnx === type)
}

export function typeByAcl(type: number): TypeNumbers | undefined {
  return TYPES.find((entry) => entry.acl === type)
}

export function typeByGe(type: number): TypeNumbers | undefined {
  return TYPES.find((entry) => entry.ge === type)
}

export function typeByName(name: string): TypeNumbers | undefined {
  return TYPES.find((entry) => entry.name === name)
}

const FORMATS: Readonly<Record<number, string>> = {
  [-1]: 'UNDEFINED',
  0: 'NCHW',
  1: 'NHWC',
  2: 'ND',
  3: 'NC1HWC0',
  4: 'FRACTAL_Z',
  12: 'NC1HWC0_C04',
  16: 'HWCN',
  27: 'NDHWC',
  29: 'FRACTAL_NZ',
  30: 'NCDHW',
  32: 'NDC1HWC0',
  33: 'FRACTAL_Z_3D',
  35: 'NC',
  47: 'NCL',
}

export function formatName(format: number): string {
  return FORMATS[format] ?? `FORMAT_${format}`
}

/** aclFormat number of a format name; ND when unknown. */
export function formatNumber(name: string): number {
  const entry = Object.entries(FORMATS).find(([, value]) => value === name)
  return entry ? Number(entry[0]) : 2
}

/** Tensors inside a model are padded to 32 bytes plus one more block (Graph Engine memory assignment). */
export function paddedBytes(bytes: number): number {
  return Math.ceil(bytes / 32) * 32 + 32
}
