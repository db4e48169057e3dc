// What a model is and what each of its layers does: by names where they tell, by structure where they are lost.
import type { LayerRole, ModelKind, PresetFamily, Recognition } from '../../../contract/presets.ts'
import { DataType, type Model } from '../../onnx/index.ts'
import { isStepInput } from '../../calibration/timesteps.ts'
import { attentionRoles } from './attention.ts'
import { roleByName } from './names.ts'
import { feedForwardRoles, type ModelTraits, roleByPlace } from './structure.ts'
import { timeRoles } from './time.ts'
import { type GraphLayer, GraphView } from './view.ts'

export interface RoledLayer {
  layer: GraphLayer
  role: LayerRole
}

export interface RecognisedModel extends Recognition {
  kind: ModelKind
  family: PresetFamily
  /** In graph order. */
  layers: RoledLayer[]
  view: GraphView
}

const FAMILIES: Record<ModelKind, PresetFamily> = {
  diffusion_unet: 'diffusion',
  diffusion_transformer: 'diffusion',
  vae_decoder: 'diffusion',
  vae_encoder: 'diffusion',
  text_encoder: 'language',
  language_model: 'language',
  convolutional_network: 'convolutional',
  vision_transformer: 'general',
  other: 'general',
}

const INTEGERS = new Set<DataType | undefined>([DataType.INT32, DataType.INT64])
/** Layout operators between an input and what it indexes. */
const MAX_INDEX_STEPS = 8
/** A table of embeddings has a row per token; smaller ones hold schedules and the like. */
const LEAST_VOCABULARY = 8

/** Rows of the tables of weights that integers of an input choose from; empty when no tokens come in. */
function vocabularies(view: GraphView): number[] {
  const { graph } = view.model
  const integers = new Set(
    graph.inputs
      .filter(({ elementType, name }) => INTEGERS.has(elementType) && !isStepInput(name))
      .map(({ name }) => name),
  )
  return graph.nodes.flatMap((node) => {
    const [table = '', indices = ''] = node.inputs
    const [rows = 0, ...width] = graph.initializers.get(table)?.dims ?? []
    const isTable = node.opType === 'Gather' && width.length === 1 && rows >= LEAST_VOCABULARY
    return isTable && reachesInput(view, indices, integers) ? [rows] : []
  })
}

function reachesInput(view: GraphView, value: string, inputs: ReadonlySet<string>): boolean {
  let current: string | undefined = value
  for (let step = 0; step < MAX_INDEX_STEPS && current !== undefined; step++) {
    if (inputs.has(current)) return true
    const node = view.producer(current)
    current = node && view.isLayout(node) ? view.dynamicInputs(node)[0] : undefined
  }
  return false
}

function assignRoles(view: GraphView, traits: ModelTraits): RoledLayer[] {
  const structural = new Map<GraphLayer, LayerRole>([
    ...feedForwardRoles(view),
    ...attentionRoles(view),
    ...timeRoles(view),
  ])
  return view.layers.map((layer) => {
    const product = layer.weightDims === null ? (structural.get(layer) ?? 'projection') : undefined
    const role = product ?? roleByName(layer) ?? structural.get(layer) ?? roleByPlace(view, layer, traits)
    return { layer, role }
  })
}

/** An image comes in and an image goes out, as far as their ranks are known. */
function isImageToImage(view: GraphView): boolean {
  const { inputs, outputs } = view.model.graph
  const images = (infos: typeof inputs): boolean =>
    infos.some(({ shape }) => shape?.length === 4 || shape?.length === 5)
  return images(inputs) && images(outputs)
}

/** As many channels come out as go in. */
function keepsChannels(view: GraphView): boolean {
  const { inputs, outputs } = view.model.graph
  const channels = (infos: typeof inputs): (number | undefined)[] =>
    infos.filter(({ shape }) => shape?.length === 4).map(({ shape }) => shape?.[1]?.value)
  const incoming = channels(inputs)
  return channels(outputs).some((count) => count !== undefined && incoming.includes(count))
}

function kindOf(view: GraphView, layers: readonly RoledLayer[], tokens: boolean): ModelKind {
  const has = (...roles: LayerRole[]): boolean => layers.some(({ role }) => roles.includes(role))
  const convolutions = layers.filter(
    ({ layer }) => layer.isConvolution && layer.kernel.some((size) => size > 1),
  )
  const attention = has('attention_scores', 'attention_qkv', 'attention_query')
  const timed = has('time_embedding', 'time_projection', 'modulation')
  const up = has('upsampler')
  const down = has('downsampler')
  if (timed && !tokens) return convolutions.length > 2 ? 'diffusion_unet' : 'diffusion_transformer'
  if (tokens) return has('language_head') ? 'language_model' : 'text_encoder'
  if (isImageToImage(view)) {
    const resnets = has('input_convolution') && has('output_convolution')
    if (resnets && up && down && keepsChannels(view)) return 'diffusion_unet'
    if (resnets && up && !down) return 'vae_decoder'
    if (resnets && down && !up) return 'vae_encoder'
  }
  if (has('patch_embedding') && attention) return 'vision_transformer'
  return convolutions.length > 0 ? 'convolutional_network' : 'other'
}

/** Recognises a model. Never fails: what is not known is called plain. */
export function recogniseModel(model: Model): RecognisedModel {
  const view = new GraphView(model)
  const traits = { vocabularies: vocabularies(view) }
  const layers = assignRoles(view, traits)
  const kind = kindOf(view, layers, traits.vocabularies.length > 0)
  const groups = Map.groupBy(layers, ({ role }) => role)
  return {
    kind,
    family: FAMILIES[kind],
    roles: [...groups].map(([role, members]) => ({ role, layers: members.length })),
    layers,
    view,
  }
}
