// Raising the opset of a model, as far as quantization needs it.
import { AppError } from '../../contract/errors/index.ts'
import { findAttribute, nodeLabel } from './attributes.ts'
import { cloneModel, indexGraph, subgraphs, uniqueNames } from './graph.ts'
import { inferShapes } from './infer-shapes.ts'
import type { InferredShape } from './infer-shapes.ts'
import { DataType } from './model.ts'
import type { Graph, Model, Node, Tensor } from './model.ts'
import { MAX_OPSET, opsetVersion } from './open.ts'
import { makeTensor } from './tensors.ts'
import { UPGRADE_RULES } from './upgrade-rules.ts'
import type { UpgradeTools } from './upgrade-rules.ts'

/** First IR version of the ONNX release that brought each opset (onnx/helper.py, VERSION_TABLE). */
const IR_OF_OPSET: readonly (readonly [opset: number, ir: number])[] = [
  [21, 10],
  [19, 9],
  [15, 8],
  [12, 7],
  [11, 6],
  [10, 5],
  [9, 4],
]

/** From this IR version on initializers need not be listed among the inputs. */
const FREE_INITIALIZERS_IR = 4

/**
 * The model with ai.onnx at opset `minimum` or newer and IR version 4 or newer. The same object when it is that
 * already, else a changed copy; a model that lists its initializers among the inputs (IR 3) no longer does.
 * @throws E_ONNX_UPGRADE when a layer cannot be expressed in the newer opset, E_ARGUMENT when `minimum` is not supported
 */
export function upgradeOpset(model: Model, minimum: number): Model {
  const from = opsetVersion(model)
  if (minimum > MAX_OPSET) {
    const reason = `${minimum} is not supported`
    throw new AppError('E_ARGUMENT', { name: 'opset', reason, expected: `at most ${MAX_OPSET}` })
  }
  const to = Math.max(from ?? minimum, minimum)
  if (from === to && model.irVersion >= FREE_INITIALIZERS_IR) return model
  const upgraded = cloneModel(model)
  if (from !== undefined) new Upgrade(upgraded, from, to).run()
  raiseVersions(upgraded, to)
  return upgraded
}

function raiseVersions(model: Model, opset: number): void {
  if (model.irVersion < FREE_INITIALIZERS_IR) {
    model.graph.initializerInputs = []
    delete model.graph.inputOrder
  }
  const needed = IR_OF_OPSET.find(([version]) => opset >= version)?.[1] ?? FREE_INITIALIZERS_IR
  model.irVersion = Math.max(model.irVersion, needed)
  const entry = model.opsetImports.find(({ domain }) => domain === '' || domain === 'ai.onnx')
  if (entry) entry.version = opset
  else model.opsetImports.push({ domain: '', version: opset })
}

class Upgrade {
  private readonly model: Model
  private readonly from: number
  private readonly to: number
  private readonly freshName: (base: string) => string
  private readonly shapes: ReadonlyMap<string, InferredShape>

  constructor(model: Model, from: number, to: number) {
    this.model = model
    this.from = from
    this.to = to
    this.freshName = uniqueNames(model)
    this.shapes = from < to ? inferShapes(model) : new Map()
  }

  run(): void {
    for (let opset = this.from + 1; opset <= this.to; opset++) {
      const rules = UPGRADE_RULES[opset]
      if (rules) this.step(this.model.graph, opset)
    }
  }

  private step(graph: Graph, opset: number): void {
    const tools = this.toolsFor(graph)
    const rules = UPGRADE_RULES[opset]!
    graph.nodes = graph.nodes.flatMap((node) => {
      for (const inner of subgraphs(node)) this.step(inner, opset)
      const rule = node.domain === '' && Object.hasOwn(rules, node.opType) ? rules[node.opType] : undefined
      return rule?.(node, tools) ?? node
    })
  }

  private toolsFor(graph: Graph): UpgradeTools {
    const { producers, consumers } = indexGraph(graph)
    const outputs = new Set(graph.outputs.map((output) => output.name))
    return {
      constant: (node, role, dataType, dims, values) => {
        const name = this.freshName(`${nodeLabel(node)}_${role}`)
        graph.initializers.set(name, makeTensor(name, dataType, dims, values))
        return name
      },
      valueName: (node, role) => this.freshName(`${nodeLabel(node)}_${role}`),
      dataType: (name) => this.dataTypeOf(graph, name),
      rank: (name) => this.shapes.get(name)?.dims?.length,
      tensor: (name) => graph.initializers.get(name) ?? constantOf(producers.get(name)),
      isUsed: (name) => consumers.has(name) || outputs.has(name),
      refuse: (node, reason) =>
        new AppError('E_ONNX_UPGRADE', {
          node: nodeLabel(node),
          opType: node.opType,
          from: this.from,
          to: this.to,
          reason,
        }),
    }
  }

  /** Names of values inside nested graphs are not inferred: those the graph declares are used. */
  private dataTypeOf(graph: Graph, name: string): DataType {
    const inferred = this.shapes.get(name)?.dataType ?? DataType.UNDEFINED
    if (inferred !== DataType.UNDEFINED) return inferred
    const declared = [...graph.inputs, ...graph.valueInfo].find((info) => info.name === name)
    return declared?.elementType ?? DataType.UNDEFINED
  }
}

/** The tensor of a Constant node. */
function constantOf(node: Node | undefined): Tensor | undefined {
  const value = node?.opType === 'Constant' ? findAttribute(node, 'value') : undefined
  return value?.type === 'tensor' ? value.value : undefined
}
