// Which constants may be replaced under their own names: those that nothing else reads.
import { indexGraph, type Model, type Node } from '../onnx/index.ts'
import { constantReaders, type ConstantValue } from './constants.ts'

export class Ownership {
  readonly #model: Model
  readonly #index
  readonly #outputs: ReadonlySet<string>

  constructor(model: Model) {
    this.#model = model
    this.#index = indexGraph(model.graph)
    this.#outputs = new Set(model.graph.outputs.map((output) => output.name))
  }

  /** Whether `nodes` are the only readers of a constant, and read it once each. */
  ownedBy(constant: ConstantValue, nodes: ReadonlySet<Node>): boolean {
    if (!this.#model.graph.initializers.has(constant.name) || this.#outputs.has(constant.name)) return false
    const readers = constantReaders(this.#index, this.#outputs, constant.name)
    return [...readers].every((reader) => nodes.has(reader) && this.#readsOnce(reader, constant))
  }

  /** A node that reads the constant twice, as weight and as something else, still needs the original. */
  #readsOnce(reader: Node, constant: ConstantValue): boolean {
    const aliases = new Set([constant.name, ...constant.via])
    return reader.inputs.filter((input) => aliases.has(input)).length === 1
  }
}
