// How a model is to be written.

/** From this size on "auto" writes external data, as AMCT does. */
export const AUTO_EXTERNAL_BYTES = 2_000_000_000

export interface SaveOptions {
  /** 'auto' (default): inline below 2 000 000 000 bytes, else 'single-file'. */
  external?: 'auto' | 'inline' | 'single-file' | 'per-tensor'
  /**
   * What external data files are called: '<model file><suffix>' for single-file (default ".data"), '<tensor><suffix>'
   * for per-tensor (default ".external").
   */
  externalSuffix?: string
}
