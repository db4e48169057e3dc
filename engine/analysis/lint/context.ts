// What every rule of the linter looks at: the graph with its index, shapes, and which values are integers and from where.
import {
  DataType,
  type Graph,
  type GraphIndex,
  indexGraph,
  type InferredShape,
  inferShapes,
  type Model,
  type Node,
  nodeLabel,
  type Tensor,
} from '../../onnx/index.ts'
import { AppError } from '../../../contract/errors/index.ts'
import { type LintCode, type LintFinding, lintRules } from '../../../contract/lint.ts'
import { INTEGER_LAYERS, MOVES_INTEGERS } from './operators.ts'

export interface LintOptions {
  /** `--soc_version`; Ascend310P3 when left out. */
  soc?: string
  /** Sizes of inputs that the model leaves open. */
  inputShapes?: Readonly<Record<string, readonly number[]>>
}

/** So many findings of a code are listed; the rest is counted. */
const LISTED = 20

export class LintContext {
  readonly model: Model
  readonly graph: Graph
  readonly index: GraphIndex
  readonly outputs: ReadonlySet<string>
  readonly soc: string
  readonly inputShapes: Readonly<Record<string, readonly number[]>>
  /** The AscendQuant that made the integers of a value, followed through operators that move data. */
  readonly integers: ReadonlyMap<string, Node>
  readonly #shapes: ReadonlyMap<string, InferredShape>
  readonly #findings: LintFinding[] = []
  readonly #counts = new Map<LintCode, number>()

  constructor(model: Model, options: LintOptions) {
    this.model = model
    this.graph = model.graph
    this.index = indexGraph(model.graph)
    this.outputs = new Set(model.graph.outputs.map((output) => output.name))
    this.soc = options.soc ?? 'Ascend310P3'
    this.inputShapes = options.inputShapes ?? {}
    this.#shapes = this.#inferred()
    this.integers = this.#traceIntegers()
  }

  /** Shapes that contradict each other are a finding; nothing is known of shapes then. */
  #inferred(): ReadonlyMap<string, InferredShape> {
    try {
      return inferShapes(this.model, shapesOf(this.inputShapes))
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'E_ONNX_SHAPE') throw error
      const { node, opType, reason } = error.details
      const label = String(node)
      this.#counts.set('shape_conflict', 1)
      this.#findings.push({
        code: 'shape_conflict',
        severity: lintRules.shape_conflict.severity,
        node: label,
        details: { node: label, opType: String(opType), reason: String(reason) },
        more: 0,
      })
      return new Map()
    }
  }

  #traceIntegers(): Map<string, Node> {
    const integers = new Map<string, Node>()
    for (const node of this.graph.nodes) {
      const source = node.opType === 'AscendQuant' ? node : integers.get(node.inputs[0] ?? '')
      if (!source || (node !== source && !MOVES_INTEGERS.has(node.opType))) continue
      for (const output of node.outputs) if (output !== '') integers.set(output, source)
    }
    return integers
  }

  /** Element type of a value; undefined when unknown. */
  type(value: string): DataType | undefined {
    const dataType = this.constant(value)?.dataType ?? this.#shapes.get(value)?.dataType
    return dataType === DataType.UNDEFINED ? undefined : dataType
  }

  /** An initializer, or the tensor of a Constant node. */
  constant(name: string): Tensor | undefined {
    const producer = this.index.producers.get(name)
    const attribute = producer?.opType === 'Constant' ? producer.attributes[0] : undefined
    return this.graph.initializers.get(name) ?? (attribute?.type === 'tensor' ? attribute.value : undefined)
  }

  /** Layers that read integers. */
  integerLayers(): Node[] {
    return this.graph.nodes.filter(
      (node) => INTEGER_LAYERS.has(node.opType) && this.integers.has(node.inputs[0] ?? ''),
    )
  }

  report(code: LintCode, node: Node | null, details: LintFinding['details'] = {}): void {
    const count = (this.#counts.get(code) ?? 0) + 1
    this.#counts.set(code, count)
    if (count > LISTED) return
    const label = node && nodeLabel(node)
    this.#findings.push({
      code,
      severity: lintRules[code].severity,
      node: label,
      details: { ...(node && { node: label ?? '', opType: node.opType }), ...details },
      more: 0,
    })
  }

  /** Everything reported, errors first; the last listed one of a code says how many more there are. */
  findings(): LintFinding[] {
    const order = { error: 0, warning: 1, info: 2 }
    const last = new Map(this.#findings.map((finding, place) => [finding.code, place]))
    return this.#findings
      .map((finding, place) => {
        const hidden = (this.#counts.get(finding.code) ?? 0) - LISTED
        return last.get(finding.code) === place && hidden > 0 ? { ...finding, more: hidden } : finding
      })
      .toSorted((a, b) => order[a.severity] - order[b.severity])
  }
}

function shapesOf(shapes: Readonly<Record<string, readonly number[]>>): Record<string, number[]> {
  return Object.fromEntries(
    Object.entries(shapes)
      .filter(([, dims]) => dims.every((size) => size >= 0))
      .map(([name, dims]) => [name, [...dims]]),
  )
}
