// New names for nodes and values added to a graph, without walking the graph for each.
import { allNames, type Model } from '../onnx/index.ts'

export class FreshNames {
  readonly #taken: Set<string>

  constructor(model: Model) {
    this.#taken = allNames(model.graph)
  }

  /** `base`, or `base_1`, `base_2`, ... : the first that nothing in the graph has; taken from now on. */
  take(base: string): string {
    let name = base
    for (let count = 1; this.#taken.has(name); count++) name = `${base}_${count}`
    this.#taken.add(name)
    return name
  }
}
