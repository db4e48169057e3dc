// Roles by the names that diffusers, LDM, DiT, transformers (LLaMA, BERT, GPT, T5) and torchvision give their modules.
import type { LayerRole } from '../../../contract/presets.ts'
import type { GraphLayer } from './view.ts'
import { isPointwise } from './view.ts'

interface Rule {
  role: LayerRole
  path: RegExp
  /** What else must hold; names alone mislead where two frameworks use one word. */
  when?: (layer: GraphLayer) => boolean
}

const spatial = (layer: GraphLayer): boolean => layer.isConvolution && !isPointwise(layer)
const pointwise = (layer: GraphLayer): boolean => isPointwise(layer)
const linear = (layer: GraphLayer): boolean => !layer.isConvolution

/** The first rule that fits decides: special names before those they contain. */
const RULES: readonly Rule[] = [
  // Embeddings of the time step and of whole conditions.
  { role: 'time_projection', path: /(^|\.)(time_emb_proj|emb_layers(\.\d+)?|temb_proj)$/ },
  {
    role: 'modulation',
    path: /(^|\.)(ada_?ln\w*|ada_?norm\w*|modulation\w*|scale_shift\w*|norm\w*|\w*_mod)(\.(\d+|linear|lin|proj|fc))+$/,
    when: linear,
  },
  { role: 'modulation', path: /(^|\.)(ada_?ln|modulation)\w*(\.|$)/, when: linear },
  {
    role: 'added_embedding',
    path: /(^|\.)(add_embedding|label_emb\w*|class_embedding|class_embed|y_embedder|guidance_embedder|guidance_in|vector_in|pooled_\w+|text_embedder\b.*|time_text_embed\.text_embedder)(\.|$)/,
  },
  {
    role: 'time_embedding',
    path: /(^|\.)(time_embed|time_embedding|time_embedder|timestep_embedder|timestep_embedding|t_embedder|time_in|time_mlp|temb\.dense)(\.|$)/,
  },
  {
    role: 'context_projection',
    path: /(^|\.)(context_embedder|caption_projection|condition_embedder|encoder_hid_proj|caption_embedder|txt_in|context_proj)(\.|$)/,
  },
  // First and last layers.
  { role: 'patch_embedding', path: /(^|\.)(patch_embed\w*|x_embedder|pos_embed|patch_embedding)(\.|$)/ },
  {
    role: 'input_convolution',
    path: /(^|\.)(conv_in|input_blocks\.0\.0)$/,
    when: (layer) => layer.isConvolution,
  },
  { role: 'output_convolution', path: /(^|\.)(conv_out|out\.2)$/, when: (layer) => layer.isConvolution },
  {
    role: 'language_head',
    path: /(^|\.)(lm_head|embed_out|output_layer|predictions\.decoder)$/,
    when: linear,
  },
  { role: 'output_projection', path: /(^|\.)final_layer\.linear$/, when: linear },
  {
    role: 'output_projection',
    path: /^([^.]+\.)?proj_out$/,
    when: linear,
  },
  { role: 'feed_forward_output', path: /DenseReluDense\.wo$/i, when: linear },
  // Attention. The output projection first: its name may hold that of the inputs.
  {
    role: 'attention_output',
    path: /(^|\.)(to_out(\.\d+)?|to_add_out|o_proj|out_proj|wo|out_lin)$/,
    when: pointwise,
  },
  { role: 'attention_output', path: /attention\.output\.dense$/, when: linear },
  { role: 'attention_output', path: /attn\w*\.(proj|c_proj|dense|proj_attn)$/, when: pointwise },
  { role: 'attention_output', path: /(self_)?attention\.dense$/, when: linear },
  {
    role: 'attention_qkv',
    path: /(^|\.)(to_qkv|qkv|qkv_proj|c_attn|query_key_value|in_proj|wqkv|to_added_qkv)$/,
    when: pointwise,
  },
  { role: 'attention_query', path: /(^|\.)(to_q|q_proj|query|wq|q_lin|add_q_proj)$/, when: pointwise },
  { role: 'attention_key', path: /(^|\.)(to_k|k_proj|key|wk|k_lin|add_k_proj)$/, when: pointwise },
  { role: 'attention_value', path: /(^|\.)(to_v|v_proj|value|wv|v_lin|add_v_proj)$/, when: pointwise },
  // Feed-forward parts and experts.
  { role: 'router', path: /(^|\.)(router(\.\w+)?|mlp\.gate|block_sparse_moe\.gate|gate\.wg)$/, when: linear },
  { role: 'feed_forward_gate', path: /(^|\.)(gate_proj|wi_0)$/, when: pointwise },
  { role: 'feed_forward_gate', path: /(feed_forward|mlp|experts\.\d+)\.w1$/, when: pointwise },
  {
    role: 'feed_forward_input',
    path: /(^|\.)(up_proj|gate_up_proj|dense_h_to_4h|c_fc|wi_1|wi|ff\w*\.net\.0(\.proj)?|intermediate\.dense|fc1)$/,
    when: pointwise,
  },
  { role: 'feed_forward_input', path: /(feed_forward|mlp|experts\.\d+)\.w3$/, when: pointwise },
  {
    role: 'feed_forward_output',
    path: /(^|\.)(down_proj|dense_4h_to_h|ff\w*\.net\.2|mlp\.c_proj|fc2)$/,
    when: pointwise,
  },
  { role: 'feed_forward_output', path: /(feed_forward|mlp|experts\.\d+)\.w2$/, when: pointwise },
  { role: 'feed_forward_output', path: /layer\.\d+\.output\.dense$/, when: linear },
  // Spatial transformers of diffusion U-Nets.
  { role: 'transformer_input', path: /(^|\.)proj_in$/, when: pointwise },
  { role: 'transformer_output', path: /(^|\.)proj_out$/, when: pointwise },
  // Convolutional networks.
  { role: 'skip_convolution', path: /(^|\.)(conv_shortcut|nin_shortcut|skip_connection)$/, when: pointwise },
  { role: 'skip_convolution', path: /(^|\.)(downsample(\.\d+)?|shortcut(\.\d+)?)$/, when: pointwise },
  {
    role: 'downsampler',
    path: /(^|\.)(downsamplers?(\.\d+)?(\.conv)?|down_?sample\.conv|op)$/,
    when: spatial,
  },
  {
    role: 'upsampler',
    path: /(^|\.)(upsamplers?(\.\d+)?(\.conv)?|up_?sample\.conv)$/,
    when: (layer) => layer.isConvolution,
  },
]

/** The role that a layer's name tells; undefined when it tells none. */
export function roleByName(layer: GraphLayer): LayerRole | undefined {
  if (layer.weightDims === null) return undefined
  const paths = [layer.modulePath, ...layer.aliases]
    .filter((path) => path !== undefined)
    .map((path) => path.replace(/\.(weight|base_layer|weight_quant)$/, ''))
  for (const path of new Set(paths)) {
    const rule = RULES.find((candidate) => candidate.path.test(path) && candidate.when?.(layer) !== false)
    if (rule) return rule.role
  }
  return undefined
}
