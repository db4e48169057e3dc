// Running models of one float input in ONNX Runtime, and how near two results are.
import ort from 'onnxruntime-node'

/** The output `y`. */
export async function runOnnx(
  modelPath: string,
  name: string,
  data: Float32Array,
  dims: number[],
): Promise<Float32Array> {
  const session = await ort.InferenceSession.create(modelPath)
  const results = await session.run({ [name]: new ort.Tensor('float32', data, dims) })
  await session.release()
  return results.y?.data as Float32Array
}

/** Signal to quantization noise, in dB. */
export function sqnr(reference: ArrayLike<number>, test: ArrayLike<number>): number {
  let [signal, noise] = [0, 0]
  for (let index = 0; index < reference.length; index++) {
    const [a, b] = [reference[index] as number, test[index] as number]
    signal += a * a
    noise += (a - b) ** 2
  }
  return 10 * Math.log10(signal / noise)
}
