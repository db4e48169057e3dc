// The two matrix products of reconstruction, computed by ONNX Runtime: its kernels are tens of times faster than loops
// over typed arrays. The order of additions depends on the processor, not on the number of threads.
import ort from 'onnxruntime-node'
import { DataType, makeNode, type Model, type NodeSpec, serializeModel } from '../../onnx/index.ts'

/** Gemm takes two operands, without a third to add, from this opset on. */
const OPSET = 13

function productModel(node: NodeSpec): Model {
  return {
    irVersion: 8,
    producerName: '',
    producerVersion: '',
    domain: '',
    modelVersion: 0n,
    docString: '',
    opsetImports: [{ domain: '', version: OPSET }],
    metadata: [],
    graph: {
      name: 'product',
      nodes: [makeNode(node)],
      initializers: new Map(),
      inputs: [...new Set(node.inputs)].map((name) => ({
        name,
        elementType: DataType.FLOAT,
        shape: [{ symbol: `${name}.rows` }, { symbol: `${name}.columns` }],
      })),
      initializerInputs: [],
      outputs: [{ name: 'product', elementType: DataType.FLOAT }],
      valueInfo: [],
    },
  }
}

function matrix(values: Float32Array, rows: number, columns: number): ort.Tensor {
  return new ort.Tensor('float32', values, [rows, columns])
}

/** Sessions of one operator each, made when first needed. */
export class MatrixProducts implements AsyncDisposable {
  readonly #options: ort.InferenceSession.SessionOptions
  #gram: Promise<ort.InferenceSession> | undefined
  #product: Promise<ort.InferenceSession> | undefined

  /** @param threads Inside an operator; all cores by default. */
  constructor(threads?: number) {
    this.#options = {
      logSeverityLevel: 3,
      // Between products this thread computes: waiting threads must not keep the cores busy.
      extra: { session: { intra_op: { allow_spinning: '0' } } },
      ...(threads !== undefined && { intraOpNumThreads: threads }),
    }
  }

  #open(node: NodeSpec): Promise<ort.InferenceSession> {
    return ort.InferenceSession.create(serializeModel(productModel(node)), this.#options)
  }

  /** x^T x of a rows x columns matrix. */
  async gram(x: Float32Array, rows: number, columns: number): Promise<Float32Array> {
    this.#gram ??= this.#open({
      opType: 'Gemm',
      name: 'gram',
      inputs: ['x', 'x'],
      outputs: ['product'],
      attributes: { transA: 1 },
    })
    const results = await (await this.#gram).run({ x: matrix(x, rows, columns) })
    return results['product']?.data as Float32Array
  }

  /** a b of a rows x inner and an inner x columns matrix. */
  async product(
    a: Float32Array,
    b: Float32Array,
    [rows, inner, columns]: readonly [number, number, number],
  ): Promise<Float32Array> {
    this.#product ??= this.#open({
      opType: 'MatMul',
      name: 'product',
      inputs: ['a', 'b'],
      outputs: ['product'],
    })
    const feeds = { a: matrix(a, rows, inner), b: matrix(b, inner, columns) }
    const results = await (await this.#product).run(feeds)
    return results['product']?.data as Float32Array
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const sessions = await Promise.all([this.#gram, this.#product])
    for (const session of sessions) await session?.release()
  }
}
