// The graph of Stable Diffusion's U-Net (UNet2DConditionModel of diffusers, v1.5 layout) at any width and depth.
// With channels 320, 640, 1280, 1280 and all three inputs it has the 859,520,964 parameters of the original.
import { GraphBuilder, type Value } from './graph-builder.ts'

export interface UnetShape {
  /** Channels per resolution level, highest resolution first. */
  channels: number[]
  /** Residual blocks per down level; up levels have one more. */
  layersPerBlock: number
  /** `single`: sample only, unconditional (no time embedding, no cross-attention). `full`: sample, timestep, text states. */
  inputs: 'single' | 'full'
  /** Latent height and width. */
  size: number
  /** Levels with transformer blocks; all but the one of lowest resolution when left out, as in Stable Diffusion. */
  attentionLevels?: number[] | undefined
}

/** Latent channels in and out, text tokens and text width of Stable Diffusion 1.x. */
export const LATENT_CHANNELS = 4
export const TEXT_TOKENS = 77
export const TEXT_WIDTH = 768
const TIME_EMBEDDING_FACTOR = 4
const MAX_GROUPS = 32
const MAX_HEADS = 8
const HEAD_WIDTH = 40

function gcd(left: number, right: number): number {
  return right === 0 ? left : gcd(right, left % right)
}

/** One U-Net under construction. */
class UnetGraph {
  readonly builder = new GraphBuilder('unet')
  readonly #shape: UnetShape
  readonly #groups: number
  readonly #heads: number
  #time: Value | undefined
  #text: Value | undefined

  constructor(shape: UnetShape) {
    this.#shape = shape
    this.#groups = shape.channels.reduce(gcd, MAX_GROUPS)
    // Stable Diffusion 1.x has 8 heads at every width; narrow models get fewer so that a head keeps its 40 channels.
    const heads = Math.max(1, Math.min(MAX_HEADS, Math.floor((shape.channels[0] ?? 0) / HEAD_WIDTH)))
    this.#heads = shape.channels.reduce(gcd, heads)
  }

  build(): Value {
    const { channels, size } = this.#shape
    const [first = 0] = channels
    const sample = this.builder.input('sample_input_tensor', [1, LATENT_CHANNELS, size, size])
    if (this.#shape.inputs === 'full') {
      this.#time = this.#timeEmbedding(this.builder.input('timestep', [1]), first)
      this.#text = this.builder.input('encoder_hidden_states', [1, TEXT_TOKENS, TEXT_WIDTH])
    }
    let value = this.builder.conv('conv_in', sample, first, 3)
    const skips = [value]
    for (const level of channels.keys()) value = this.#downBlock(level, value, skips)
    value = this.#middleBlock(value)
    for (const step of channels.keys()) value = this.#upBlock(step, value, skips)
    value = this.builder.groupNorm('conv_norm_out', value, this.#groups, 1e-5)
    value = this.builder.silu('conv_act', value)
    return this.builder.rename(this.builder.conv('conv_out', value, LATENT_CHANNELS, 3), 'noise_pred')
  }

  /** Sinusoidal embedding (cosines first), then two linear layers. */
  #timeEmbedding(timestep: Value, width: number): Value {
    const b = this.builder
    const half = width / 2
    const frequencies = Array.from({ length: half }, (_, index) =>
      Math.exp((-Math.log(10_000) * index) / half),
    )
    const column = b.single('time_proj', 'Unsqueeze', [timestep.name, b.integers([1])], [1, 1])
    const angles = b.single(
      'time_proj',
      'Mul',
      [column.name, b.floats('time_frequencies', frequencies, [1, half])],
      [1, half],
    )
    const cosines = b.single('time_proj', 'Cos', [angles.name], [1, half])
    const sines = b.single('time_proj', 'Sin', [angles.name], [1, half])
    const embedding = b.single('time_proj', 'Concat', [cosines.name, sines.name], [1, width], {
      axis: { int: 1 },
    })
    const wide = width * TIME_EMBEDDING_FACTOR
    const hidden = b.silu(
      'time_embedding/act',
      b.linear('time_embedding/linear_1', embedding, wide, { gain: 2 }),
    )
    return b.linear('time_embedding/linear_2', hidden, wide, { gain: 2 })
  }

  #hasAttention(level: number): boolean {
    const { attentionLevels, channels } = this.#shape
    return attentionLevels ? attentionLevels.includes(level) : level < channels.length - 1
  }

  #downBlock(level: number, input: Value, skips: Value[]): Value {
    const { channels, layersPerBlock } = this.#shape
    const width = channels[level] ?? 0
    const block = `down_blocks.${level}`
    let value = input
    for (let index = 0; index < layersPerBlock; index++) {
      value = this.#resnet(`${block}/resnets.${index}`, value, width)
      if (this.#hasAttention(level)) value = this.#transformer(`${block}/attentions.${index}`, value)
      skips.push(value)
    }
    if (level < channels.length - 1) {
      value = this.builder.conv(`${block}/downsamplers.0/conv`, value, width, 3, { stride: 2 })
      skips.push(value)
    }
    return value
  }

  #middleBlock(input: Value): Value {
    const width = this.#shape.channels.at(-1) ?? 0
    const first = this.#resnet('mid_block/resnets.0', input, width)
    const attended = this.#transformer('mid_block/attentions.0', first)
    return this.#resnet('mid_block/resnets.1', attended, width)
  }

  #upBlock(step: number, input: Value, skips: Value[]): Value {
    const { channels, layersPerBlock } = this.#shape
    const level = channels.length - 1 - step
    const width = channels[level] ?? 0
    const block = `up_blocks.${step}`
    let value = input
    for (let index = 0; index <= layersPerBlock; index++) {
      const skip = skips.pop()
      if (!skip) throw new Error('unbalanced skip connections')
      value = this.#concat(block, value, skip)
      value = this.#resnet(`${block}/resnets.${index}`, value, width)
      if (this.#hasAttention(level)) value = this.#transformer(`${block}/attentions.${index}`, value)
    }
    return level > 0 ? this.#upsample(`${block}/upsamplers.0`, value) : value
  }

  #concat(module: string, value: Value, skip: Value): Value {
    const [batch = 1, channels = 0, ...spatial] = value.dims
    const dims = [batch, channels + (skip.dims[1] ?? 0), ...spatial]
    return this.builder.single(module, 'Concat', [value.name, skip.name], dims, { axis: { int: 1 } })
  }

  #upsample(module: string, input: Value): Value {
    const [batch = 1, channels = 0, height = 0, width = 0] = input.dims
    const scales = this.builder.floats('upsample_scales', [1, 1, 2, 2])
    const dims = [batch, channels, height * 2, width * 2]
    const larger = this.builder.single(module, 'Resize', [input.name, '', scales], dims, {
      coordinate_transformation_mode: { string: 'asymmetric' },
      mode: { string: 'nearest' },
      nearest_mode: { string: 'floor' },
    })
    return this.builder.conv(`${module}/conv`, larger, channels, 3)
  }

  #resnet(module: string, input: Value, width: number): Value {
    const b = this.builder
    let hidden = b.silu(`${module}/nonlinearity`, b.groupNorm(`${module}/norm1`, input, this.#groups, 1e-5))
    hidden = b.conv(`${module}/conv1`, hidden, width, 3, { gain: 2 })
    if (this.#time) {
      const time = b.linear(`${module}/time_emb_proj`, b.silu(`${module}/nonlinearity`, this.#time), width)
      hidden = b.add(module, hidden, b.reshape(module, time, [1, width, 1, 1]))
    }
    hidden = b.silu(`${module}/nonlinearity`, b.groupNorm(`${module}/norm2`, hidden, this.#groups, 1e-5))
    hidden = b.conv(`${module}/conv2`, hidden, width, 3, { gain: 2 })
    const shortcut = input.dims[1] === width ? input : b.conv(`${module}/conv_shortcut`, input, width, 1)
    return b.add(module, shortcut, hidden)
  }

  /** Transformer2DModel with one BasicTransformerBlock, convolutional projections. */
  #transformer(module: string, input: Value): Value {
    const b = this.builder
    const [batch = 1, width = 0, height = 0, columns = 0] = input.dims
    const normed = b.groupNorm(`${module}/norm`, input, this.#groups, 1e-6)
    const projected = b.conv(`${module}/proj_in`, normed, width, 1)
    const tokensLast = b.reshape(module, projected, [batch, width, height * columns])
    const tokens = b.transpose(module, tokensLast, [0, 2, 1])
    const mixed = this.#transformerBlock(`${module}/transformer_blocks.0`, tokens)
    const back = b.reshape(module, b.transpose(module, mixed, [0, 2, 1]), input.dims)
    return b.add(module, b.conv(`${module}/proj_out`, back, width, 1), input)
  }

  #transformerBlock(module: string, input: Value): Value {
    const b = this.builder
    const normed = b.layerNorm(`${module}/norm1`, input)
    let value = b.add(module, this.#attention(`${module}/attn1`, normed, normed), input)
    if (this.#text) {
      const query = b.layerNorm(`${module}/norm2`, value)
      value = b.add(module, this.#attention(`${module}/attn2`, query, this.#text), value)
    }
    const hidden = this.#feedForward(`${module}/ff`, b.layerNorm(`${module}/norm3`, value))
    return b.add(module, hidden, value)
  }

  #attention(module: string, input: Value, context: Value): Value {
    const b = this.builder
    const [batch = 1, tokens = 0, width = 0] = input.dims
    const contextTokens = context.dims[1] ?? 0
    const heads = this.#heads
    const depth = width / heads
    const project = (field: string, source: Value): Value =>
      b.linear(`${module}/${field}`, source, width, { bias: false })
    const split = (value: Value, count: number, permutation: number[]): Value =>
      b.transpose(module, b.reshape(module, value, [batch, count, heads, depth]), permutation)
    const query = split(project('to_q', input), tokens, [0, 2, 1, 3])
    const key = split(project('to_k', context), contextTokens, [0, 2, 3, 1])
    const values = split(project('to_v', context), contextTokens, [0, 2, 1, 3])
    const scoreDims = [batch, heads, tokens, contextTokens]
    const products = b.single(module, 'MatMul', [query.name, key.name], scoreDims)
    const scores = b.single(module, 'Mul', [products.name, b.scalar(1 / Math.sqrt(depth))], scoreDims)
    const weights = b.single(module, 'Softmax', [scores.name], scoreDims, { axis: { int: -1 } })
    const mixed = b.single(module, 'MatMul', [weights.name, values.name], [batch, heads, tokens, depth])
    const joined = b.reshape(module, b.transpose(module, mixed, [0, 2, 1, 3]), input.dims)
    return b.linear(`${module}/to_out.0`, joined, width)
  }

  /** GEGLU with an inner width of four times the outer one. */
  #feedForward(module: string, input: Value): Value {
    const b = this.builder
    const width = input.dims.at(-1) ?? 0
    const inner = width * 4
    const both = b.linear(`${module}/net.0/proj`, input, inner * 2)
    const half = [...input.dims.slice(0, -1), inner]
    const [hidden, gate] = b.node(`${module}/net.0`, 'Split', [both.name], [half, half], {
      axis: { int: -1 },
    })
    if (!hidden || !gate) throw new Error('Split without outputs')
    const activated = b.gelu(`${module}/net.0`, gate)
    const product = b.single(`${module}/net.0`, 'Mul', [hidden.name, activated.name], half)
    return b.linear(`${module}/net.2`, product, width, { gain: 2 })
  }
}

/** Plans the graph; weights are described, not filled. */
export function planUnet(shape: UnetShape): { builder: GraphBuilder; output: Value } {
  const graph = new UnetGraph(shape)
  const output = graph.build()
  return { builder: graph.builder, output }
}

/** Learned parameters of a planned graph. */
export function countParameters(builder: GraphBuilder): number {
  return builder.weights.reduce(
    (sum, plan) => sum + plan.dims.reduce((product, size) => product * size, 1),
    0,
  )
}
