// What every observer of an activation tensor is: it sees the values sample by sample and names a range in the end.

/** The range a quantization grid is laid over; values outside are clipped. */
export interface ClipRange {
  min: number
  max: number
}

/** Values of one tensor in one run of the model, all finite. */
export interface TensorValues {
  data: Float32Array
  min: number
  max: number
}

export interface Observer {
  add: (values: TensorValues) => void
  /** The chosen range; { min: 0, max: 0 } when nothing was added. */
  range: () => ClipRange
}

/** How the integers are laid over a range. */
export interface GridOptions {
  symmetric: boolean
  bits: number
}

/** Bits of a quantized activation (Ascend: INT8). */
export const ACTIVATION_BITS = 8

/** An empty tensor's values, or none at all. */
export const EMPTY_RANGE: Readonly<ClipRange> = { min: 0, max: 0 }
