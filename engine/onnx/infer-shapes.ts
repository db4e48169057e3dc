// Static type and shape inference over a whole model, with folding of shape arithmetic.
import { AppError } from '../../contract/errors/index.ts'
import { nodeLabel } from './attributes.ts'
import { DataType } from './model.ts'
import type { Graph, Model, Node, Tensor, ValueInfo } from './model.ts'
import { opsetVersion } from './open.ts'
import { arrangeRules } from './shapes/arrange.ts'
import { MAX_FOLDED_ELEMENTS, OpContext } from './shapes/context.ts'
import type { Dim, Dims, Scope, ShapeRule, Values, ValueShape } from './shapes/context.ts'
import { elementwiseRules } from './shapes/elementwise.ts'
import { generateRules, isFoldable } from './shapes/generate.ts'
import { layerRules } from './shapes/layers.ts'
import { ascendsimRules, microsoftRules, quantizedRules } from './shapes/quantized.ts'
import { reduceRules } from './shapes/reduce.ts'
import { selectRules } from './shapes/select.ts'
import { elementCount, tensorToNumbers } from './tensors.ts'

/** Type and shape of a value: a dimension is null when unknown, `dims` when the rank is unknown. */
export type InferredShape = ValueShape

const defaultRules: Readonly<Record<string, ShapeRule>> = {
  ...elementwiseRules,
  ...layerRules,
  ...arrangeRules,
  ...selectRules,
  ...reduceRules,
  ...generateRules,
  ...quantizedRules,
}

const RULES: Readonly<Record<string, Readonly<Record<string, ShapeRule>>>> = {
  '': defaultRules,
  'com.microsoft': microsoftRules,
  ascendsim: ascendsimRules,
}

/** True when shapes of the outputs of this operator can be inferred. */
export function hasShapeRule(node: Pick<Node, 'domain' | 'opType'>): boolean {
  return ruleFor(node) !== undefined
}

function ruleFor(node: Pick<Node, 'domain' | 'opType'>): ShapeRule | undefined {
  const rules = RULES[node.domain]
  return rules && Object.hasOwn(rules, node.opType) ? rules[node.opType] : undefined
}

/**
 * Infers type and shape of every value of the main graph: inputs, weights, intermediate values, outputs.
 * @param inputShapes sizes of inputs by name; symbols of the model ("N") they bind hold for all other values. Inputs
 *   not named keep the model's own sizes.
 * @throws E_ONNX_INPUT_SHAPE when a given shape does not fit the model's inputs, E_ONNX_SHAPE when a layer cannot take
 *   the shapes that reach it
 */
export function inferShapes(
  model: Model,
  inputShapes: Readonly<Record<string, readonly number[]>> = {},
): Map<string, InferredShape> {
  const symbols = bindSymbols(model.graph, inputShapes)
  const scope = new GraphScope(model.graph, null, symbols)
  for (const info of [...model.graph.initializerInputs, ...model.graph.inputs]) {
    const given = inputShapes[info.name]
    if (given || !model.graph.initializers.has(info.name)) {
      scope.define(
        info.name,
        given ? { ...declared(info, symbols), dims: [...given] } : declared(info, symbols),
      )
    }
  }
  inferNodes(model.graph, scope, opsetVersion(model) ?? 1)
  return scope.result()
}

/** Sizes of the model's symbols that follow from the given input shapes. */
function bindSymbols(
  graph: Graph,
  inputShapes: Readonly<Record<string, readonly number[]>>,
): Map<string, number> {
  const symbols = new Map<string, number>()
  const inputs = [...graph.inputs, ...graph.initializerInputs]
  for (const [name, given] of Object.entries(inputShapes)) {
    const info = inputs.find((input) => input.name === name)
    if (!info) throw inputError(graph, name, given, 'the model has no such input')
    const { shape } = info
    if (!shape) continue
    if (shape.length !== given.length)
      throw inputError(graph, name, given, `the input has ${shape.length} dimensions`)
    shape.forEach((dimension, axis) => {
      const size = given[axis]!
      const bound = dimension.symbol === undefined ? undefined : symbols.get(dimension.symbol)
      const expected = dimension.value ?? bound
      if (!Number.isSafeInteger(size) || size < 0 || (expected !== undefined && expected !== size)) {
        const wanted = expected ?? 'a size'
        throw inputError(graph, name, given, `dimension ${axis} is ${size}, expected ${wanted}`)
      }
      if (dimension.symbol !== undefined) symbols.set(dimension.symbol, size)
    })
  }
  return symbols
}

function inputError(graph: Graph, input: string, given: readonly number[], reason: string): AppError {
  const inputs = graph.inputs.map((info) => {
    const dims = info.shape?.map((dimension) => dimension.value ?? dimension.symbol ?? '?')
    return `${info.name}${dims ? ` [${dims.join(', ')}]` : ''}`
  })
  return new AppError('E_ONNX_INPUT_SHAPE', { input, given, reason, inputs })
}

/** What a ValueInfo says, with symbols replaced by their sizes. */
function declared(info: ValueInfo, symbols: ReadonlyMap<string, number>): ValueShape {
  const dims = info.shape?.map((dimension): Dim => {
    if (dimension.value !== undefined) return dimension.value
    return dimension.symbol === undefined ? null : (symbols.get(dimension.symbol) ?? null)
  })
  return { dataType: info.elementType ?? DataType.UNDEFINED, dims: dims ?? null }
}

class GraphScope implements Scope {
  private readonly outer: Scope | null
  private readonly initializers: ReadonlyMap<string, Tensor>
  private readonly declarations: ReadonlyMap<string, ValueShape>
  private readonly shapes = new Map<string, ValueShape>()
  private readonly known = new Map<string, Values>()

  constructor(graph: Graph, outer: Scope | null, symbols: ReadonlyMap<string, number>) {
    this.outer = outer
    this.initializers = graph.initializers
    this.declarations = new Map(
      [...graph.valueInfo, ...graph.outputs].map((info) => [info.name, declared(info, symbols)]),
    )
    for (const [name, { dataType, dims }] of graph.initializers) this.shapes.set(name, { dataType, dims })
  }

  define(name: string, shape: ValueShape, values?: Values): void {
    this.shapes.set(name, refine(shape, this.declarations.get(name)))
    if (values) this.known.set(name, values)
  }

  shape(name: string): ValueShape | undefined {
    return this.shapes.get(name) ?? this.outer?.shape(name)
  }

  values(name: string): Values | undefined {
    const known = this.known.get(name)
    if (known) return known
    const tensor = this.initializers.get(name)
    if (!tensor) return this.shapes.has(name) ? undefined : this.outer?.values(name)
    if (!isFoldable(tensor.dataType) || elementCount(tensor.dims) > MAX_FOLDED_ELEMENTS) return undefined
    const values = tensorToNumbers(tensor)
    this.known.set(name, values)
    return values
  }

  result(): Map<string, ValueShape> {
    return this.shapes
  }
}

/** Fills what is not known of a value from what the model declares about it. */
function refine(shape: ValueShape, declaration: ValueShape | undefined): ValueShape {
  if (!declaration) return shape
  const dataType = shape.dataType === DataType.UNDEFINED ? declaration.dataType : shape.dataType
  const { dims } = declaration
  if (!shape.dims || !dims || dims.length !== shape.dims.length) return { dataType, dims: shape.dims ?? dims }
  return { dataType, dims: shape.dims.map((dim, axis) => dim ?? dims[axis]!) }
}

function inferNodes(graph: Graph, scope: GraphScope, opset: number): void {
  const inferGraph = (inner: Graph, outer: Scope, inputs: (ValueShape | undefined)[]): ValueShape[] => {
    const nested = new GraphScope(inner, outer, new Map())
    inner.inputs.forEach((info, index) => {
      const own = declared(info, new Map())
      nested.define(info.name, inputs[index] ? refine(inputs[index], own) : own)
    })
    inferNodes(inner, nested, opset)
    return inner.outputs.map((info) => nested.shape(info.name) ?? declared(info, new Map()))
  }
  for (const node of graph.nodes) {
    const context = new OpContext(node, opset, scope, inferGraph)
    ruleFor(node)?.(context)
    node.outputs.forEach((output, index) => {
      if (output === '') return
      const result = context.results[index]
      scope.define(output, result ?? { dataType: DataType.UNDEFINED, dims: null }, result?.values)
      checkDims(node, scope.shape(output)!.dims)
    })
  }
}

function checkDims(node: Node, dims: Dims): void {
  if (!dims?.some((dim) => dim !== null && (dim < 0 || !Number.isSafeInteger(dim)))) return
  const reason = `the result would be [${dims.map((dim) => dim ?? '?').join(', ')}]`
  throw new AppError('E_ONNX_SHAPE', { node: nodeLabel(node), opType: node.opType, reason })
}
