// Handles of the ACL ABI. All are addresses (koffi gives bigint); brands keep one kind from being passed as another.

declare const brand: unique symbol
type Handle<Name extends string> = bigint & { readonly [brand]: Name }

export type DevicePointer = Handle<'device memory'>
/** Page-locked host memory of aclrtMallocHost. */
export type HostPointer = Handle<'pinned host memory'>
export type Context = Handle<'aclrtContext'>
export type Stream = Handle<'aclrtStream'>
export type Event = Handle<'aclrtEvent'>
export type ModelDesc = Handle<'aclmdlDesc'>
export type Dataset = Handle<'aclmdlDataset'>
export type DataBuffer = Handle<'aclDataBuffer'>

/** aclmdlLoadFromFile's id: a plain number, process-wide. */
export type ModelId = number & { readonly [brand]: 'model id' }
