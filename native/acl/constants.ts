// Enum values of the ACL headers that the workbench uses (acl_base.h, acl_rt.h, acl_mdl.h).
import type { ElementType } from '../../contract/device.ts'

export const ACL_SUCCESS = 0

/** aclError values that change what we do, rather than only what we say. */
export const AclStatus = {
  REPEAT_INITIALIZE: 100002,
  COMPILING_STUB_MODE: 100039,
  INVALID_DEVICE: 107001,
} as const

export const RunMode = { DEVICE: 0, HOST: 1 } as const

export const MemcpyKind = {
  HOST_TO_HOST: 0,
  HOST_TO_DEVICE: 1,
  DEVICE_TO_HOST: 2,
  DEVICE_TO_DEVICE: 3,
} as const

export const MallocPolicy = { HUGE_FIRST: 0, HUGE_ONLY: 1, NORMAL_ONLY: 2 } as const

export const MemoryAttribute = { DDR: 0, HBM: 1 } as const

/** aclrtCreateEventWithFlag: the event carries a time stamp. */
export const EVENT_TIME_LINE = 0x8

export const MAX_DIMS = 128
export const MAX_NAME_BYTES = 128

/** Extra last input of a model compiled with dynamic batch, image size or dims. */
export const DYNAMIC_GEAR_INPUT = 'ascend_mbatch_shape_data'

/** aclDataType -> element type. ACL's own numbering: neither ONNX's nor the OM protobuf's. */
const elementTypes: Readonly<Record<number, ElementType>> = {
  0: 'float32',
  1: 'float16',
  2: 'int8',
  3: 'int32',
  4: 'uint8',
  6: 'int16',
  7: 'uint16',
  8: 'uint32',
  9: 'int64',
  10: 'uint64',
  11: 'float64',
  12: 'bool',
  27: 'bfloat16',
}

/** Element type of an aclDataType; `other` for complex, string, sub-byte and 8-bit float types. */
export function elementTypeOfAcl(dataType: number): ElementType {
  return elementTypes[dataType] ?? 'other'
}
