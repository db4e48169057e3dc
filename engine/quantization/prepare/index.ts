// Weight repair before quantization: changes to the graph and the weights that leave what the model computes as it is and
// make its integers more accurate (docs/weight-repair.md).
import type { RepairNote } from '../../../contract/repair.ts'
import type { Recipe } from '../../../contract/recipe.ts'
import type { WorkContext } from '../../../contract/work.ts'
import {
  type CalibrationDataset,
  type ChannelRequest,
  type ChannelStatistics,
  collectChannelStatistics,
  type RangeOptions,
} from '../../calibration/index.ts'
import { cloneModel, type Model, type Node } from '../../onnx/index.ts'
import { PatternMatcher } from '../patterns.ts'
import { selectLayers } from '../selection.ts'
import type { WeightStore } from '../weight-spill.ts'
import { balance } from './balance.ts'
import { equalize } from './equalize.ts'
import { foldBatchNorm } from './fold-batch-norm.ts'
import { type LinearLayer, linearLayers } from './linear-layer.ts'
import { ModelEditor } from './model-editor.ts'
import { type SplitCandidate, splitCandidates, splitConcat } from './split-concat.ts'

export { biasCorrector } from './bias-correction.ts'
export type { BiasCorrector } from './bias-correction.ts'

export interface PrepareOptions extends RangeOptions {
  /** Where rewritten weights are kept; in memory by default. */
  store?: WeightStore
}

export interface PreparedModel {
  model: Model
  notes: RepairNote[]
  /** What the input of each balanced layer is divided by, by node name: AMCT's tensor_balance_factor. */
  balanceFactors: ReadonlyMap<string, Float32Array>
}

/** The chosen layers of the model as it is now, and every other layer with a weight. */
interface Layers {
  chosen: { layer: LinearLayer; symmetric: boolean }[]
  all: LinearLayer[]
}

function layersOf(editor: ModelEditor, source: Model, recipe: Recipe): Layers {
  const all = linearLayers(editor)
  const byNode = new Map(all.map((layer) => [layer.node, layer]))
  const { nodes } = editor.model.graph
  const chosen = selectLayers(editor.model, recipe, source).chosen.flatMap(({ anatomy, observer }) => {
    const layer = byNode.get(nodes[anatomy.nodeIndex] as Node)
    return layer ? [{ layer, symmetric: observer.symmetric }] : []
  })
  return { chosen, all }
}

function flush(editor: ModelEditor, layers: readonly LinearLayer[]): void {
  for (const layer of layers) layer.flush(editor)
  editor.apply()
}

/** Layers that a list of patterns names; all when there is none. */
function named(
  editor: ModelEditor,
  source: Model,
  layers: readonly LinearLayer[],
  patterns: readonly string[] | undefined,
  list: string,
): LinearLayer[] {
  if (!patterns) return [...layers]
  const nodes = new PatternMatcher(editor.model, source).union(patterns, list)
  return layers.filter(({ node, add }) => nodes.has(node) || (add !== undefined && nodes.has(add)))
}

/** Sizes of the inputs, by which shapes of values are known. */
function inputShapes(dataset: CalibrationDataset): Record<string, number[]> {
  const feeds = dataset.count > 0 ? dataset.load(0) : {}
  return Object.fromEntries(Object.entries(feeds).map(([name, feed]) => [name, feed.dims]))
}

/** Every name is looked up, whatever comes of it: a misspelt one must not wait for the day it matters. */
function checkNames(source: Model, { repair }: Recipe): void {
  const matcher = new PatternMatcher(source)
  const { rounding } = repair
  matcher.union(repair.skip_fold_layers, 'repair.skip_fold_layers')
  matcher.union(repair.balance?.layers ?? [], 'repair.balance.layers')
  matcher.union(('layers' in rounding && rounding.layers) || [], 'repair.rounding.layers')
}

function asksForNothing(model: Model, { repair }: Recipe): boolean {
  const folds =
    repair.fold_batch_norm && model.graph.nodes.some((node) => node.opType === 'BatchNormalization')
  return !folds && !repair.equalize && !repair.balance && repair.split_concat.mode === 'off'
}

class Preparation {
  readonly #source: Model
  readonly #recipe: Recipe
  readonly #editor: ModelEditor
  readonly #notes: RepairNote[] = []
  #balanceFactors: ReadonlyMap<string, Float32Array> = new Map()

  constructor(source: Model, recipe: Recipe, dataset: CalibrationDataset, store: WeightStore | undefined) {
    this.#source = source
    this.#recipe = recipe
    this.#editor = new ModelEditor(cloneModel(source), inputShapes(dataset), store)
  }

  fold(): void {
    const { fold_batch_norm: wanted, skip_fold_layers: patterns } = this.#recipe.repair
    if (!wanted) return
    const skipped = new PatternMatcher(this.#editor.model).union(patterns, 'repair.skip_fold_layers')
    this.#notes.push(...foldBatchNorm(this.#editor, skipped))
  }

  equalize(): void {
    if (!this.#recipe.repair.equalize) return
    const { chosen } = this.#layers()
    const layers = chosen.map(({ layer }) => layer)
    this.#notes.push(...equalize(this.#editor, layers))
    flush(this.#editor, layers)
  }

  /** Both need to know the ranges of channels: one pass over the data serves them. */
  async splitAndBalance(
    dataset: CalibrationDataset,
    options: PrepareOptions,
    context: WorkContext,
  ): Promise<void> {
    const { split_concat: split, balance: settings } = this.#recipe.repair
    if (split.mode === 'off' && !settings) return
    const { chosen } = this.#layers()
    const candidates = split.mode === 'off' ? [] : this.#splitCandidates(chosen)
    const observed = settings ? chosen : candidates
    const statistics = await this.#statistics(
      observed.map(({ layer }) => layer),
      dataset,
      options,
      context,
    )
    this.#notes.push(...splitConcat(this.#editor, candidates, split, statistics))
    if (settings) this.#balance(statistics)
  }

  #layers(): Layers {
    return layersOf(this.#editor, this.#source, this.#recipe)
  }

  #splitCandidates(chosen: Layers['chosen']): (SplitCandidate & { symmetric: boolean })[] {
    const symmetric = new Map(chosen.map((entry) => [entry.layer, entry.symmetric]))
    const found = splitCandidates(this.#editor, [...symmetric.keys()])
    return found.map((entry) => ({ ...entry, symmetric: symmetric.get(entry.layer) ?? false }))
  }

  #statistics(
    layers: readonly LinearLayer[],
    dataset: CalibrationDataset,
    options: PrepareOptions,
    context: WorkContext,
  ): Promise<Map<string, ChannelStatistics>> {
    const requests = layers.map((layer): ChannelRequest => ({
      tensor: layer.anatomy.activation,
      axis: layer.inputAxis,
    }))
    const float16 = layers.filter(({ anatomy }) => anatomy.float16).map(({ anatomy }) => anatomy.activation)
    const own = { ...options, float16Tensors: new Set(float16) }
    return collectChannelStatistics(this.#editor.model, dataset, requests, own, context)
  }

  #balance(statistics: ReadonlyMap<string, ChannelStatistics>): void {
    const settings = this.#recipe.repair.balance
    if (!settings) return
    const { chosen, all } = this.#layers()
    const layers = chosen.map(({ layer }) => layer)
    const wanted = named(this.#editor, this.#source, layers, settings.layers, 'repair.balance.layers')
    const { notes, factors } = balance(this.#editor, wanted, all, settings, statistics)
    flush(this.#editor, all)
    this.#notes.push(...notes)
    this.#balanceFactors = factors
  }

  result(): PreparedModel {
    const changed = this.#notes.length > 0
    return {
      model: changed ? this.#editor.model : this.#source,
      notes: this.#notes,
      balanceFactors: this.#balanceFactors,
    }
  }
}

/**
 * Carries out what `recipe.repair` asks for of the graph and the weights: BatchNormalization folding, cross-layer
 * equalization, splits at joints, balance, in this order. What the model computes stays the same within float rounding.
 * @param source Opset 13 or newer; not changed. It is returned itself when there is nothing to do.
 * @throws E_LAYER_UNKNOWN for a pattern of the recipe that names nothing; E_REPAIR_*; what collectChannelStatistics throws
 */
export async function prepareModel(
  source: Model,
  recipe: Recipe,
  dataset: CalibrationDataset,
  options: PrepareOptions = {},
  context: WorkContext = {},
): Promise<PreparedModel> {
  checkNames(source, recipe)
  if (asksForNothing(source, recipe)) return { model: source, notes: [], balanceFactors: new Map() }
  const preparation = new Preparation(source, recipe, dataset, options.store)
  preparation.fold()
  preparation.equalize()
  await preparation.splitAndBalance(dataset, options, context)
  return preparation.result()
}

/** Which nodes of the source the nodes that repair changed or added stand for; others stand for themselves. */
export function sourceNodes(notes: readonly RepairNote[]): Map<string, string[]> {
  const origins = new Map<string, string[]>()
  const originsOf = (name: string): string[] => origins.get(name) ?? [name]
  for (const note of notes) {
    if (note.kind === 'fold_batch_norm') {
      origins.set(note.layer, [...originsOf(note.layer), note.normalization])
    } else if (note.kind === 'split_concat') {
      for (const part of note.parts) origins.set(part.layer, [])
      origins.set(note.sum, originsOf(note.layer))
    }
  }
  return origins
}
