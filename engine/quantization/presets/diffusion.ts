// Presets for the parts of a diffusion pipeline: U-Nets and transformers, and the autoencoder's halves.
import type { RecipePreset } from '../../../contract/presets.ts'
import { composePreset, type Decision, type Policy } from './compose.ts'
import type { RecognisedModel } from './recognise.ts'

const SKIP: Decision = {
  precision: 'fp16',
  reason: {
    en: 'Carries the residual stream itself, without a normalization before it: its range follows the time step (30 to 2 on the sample model), and one scale leaves late steps few levels.',
    zh: '直接承载残差流，之前没有归一化：其范围随时间步变化（样例模型上从 30 到 2），单一缩放系数使后期步骤可用的级数很少。',
  },
}
const FIRST: Decision = {
  precision: 'fp16',
  reason: {
    en: 'The first layer reads the noisy sample, and everything after it inherits its error; it costs about a hundredth of the work.',
    zh: '第一层直接读取带噪样本，其误差会传给之后的所有层；其计算量仅占约百分之一。',
  },
}
const LAST: Decision = {
  precision: 'fp16',
  reason: {
    en: 'The last layer writes the prediction: its error is added to the result as it is, in every step of the sampler.',
    zh: '最后一层直接写出预测结果：其误差在采样的每一步都原样进入结果。',
  },
}
const TIME: Decision = {
  precision: 'fp16',
  reason: {
    en: 'Carries which time step it is. Less than a thousandth of the work, so nothing is gained by quantizing it.',
    zh: '承载时间步信息；计算量不足千分之一，量化没有收益。',
  },
}
const MODULATION: Decision = {
  precision: 'fp16',
  reason: {
    en: 'Scales and shifts whole channels by the time step: an error here is multiplied into every token. It runs once per step, not per token.',
    zh: '按时间步对整个通道缩放和平移：此处的误差会乘到每个 token 上；每步只运行一次，而非逐 token。',
  },
}
const CONTEXT: Decision = {
  precision: 'fp16',
  reason: {
    en: 'Projects the text states, whose first token is far larger than the rest, once per image.',
    zh: '对文本状态做投影，其首个 token 远大于其余 token；每幅图像只运行一次。',
  },
}
const FEED_FORWARD_OUT: Decision = {
  precision: 'int8',
  reason: {
    en: 'Reads the gated activations, which have outlier channels: four bits for its weights are too few, eight stay.',
    zh: '读取门控后的激活，存在离群通道：权重 4 位不足，保留 8 位。',
  },
}
const TRANSFORMER_ENDS: Decision = {
  precision: 'int8',
  reason: {
    en: 'Between image and tokens all information passes through this small layer: its weights keep eight bits.',
    zh: '图像与 token 之间的全部信息都经过这一小层：其权重保留 8 位。',
  },
}
const RESAMPLER: Decision = {
  precision: 'int8',
  reason: {
    en: 'Every later layer of its resolution depends on it: its weights keep eight bits.',
    zh: '同一分辨率的后续各层都依赖它：其权重保留 8 位。',
  },
}

/** Of 0.3 to 0.8 the best for the worst sample of the sample U-Net that does not cost the mean. */
const FULL_STRENGTH = 0.65

/** Measured on the sample U-Net one role at a time: the first three decide, the others cost nothing. */
const DENOISER: Policy = {
  skip_convolution: SKIP,
  input_convolution: FIRST,
  patch_embedding: FIRST,
  output_convolution: LAST,
  output_projection: LAST,
  time_embedding: TIME,
  time_projection: TIME,
  added_embedding: TIME,
  modulation: MODULATION,
  context_projection: CONTEXT,
}

function denoiserPresets(model: RecognisedModel): RecipePreset[] {
  return [
    composePreset(
      {
        id: 'diffusion_w8a8',
        family: 'diffusion',
        name: { en: 'Diffusion W8A8', zh: '扩散模型 W8A8' },
        description: {
          en: 'INT8 with the best range per tensor and corrected biases. Skip convolutions, first and last layer and the time embedding stay FP16.',
          zh: 'INT8，逐张量取最佳范围并校正偏置；跳连卷积、首末层与时间嵌入保持 FP16。',
        },
        recipe: { activation: { method: 'auto' }, repair: { bias_correction: true } },
        policy: DENOISER,
      },
      model,
    ),
    composePreset(
      {
        id: 'diffusion_w8a8_full',
        family: 'diffusion',
        name: { en: 'Diffusion W8A8, every layer', zh: '扩散模型 W8A8，所有层' },
        description: {
          en: 'Every layer INT8, outliers moved into the weights and biases corrected: for the last bit of speed. Late time steps lose quality.',
          zh: '所有层均为 INT8，将离群值移入权重并校正偏置：追求极致速度，后期时间步的质量会下降。',
        },
        recipe: {
          activation: { method: 'auto' },
          repair: { balance: { method: 'dmq', strength: FULL_STRENGTH }, bias_correction: true },
        },
        policy: {},
      },
      model,
    ),
    composePreset(
      {
        id: 'diffusion_w4a8',
        family: 'diffusion',
        name: { en: 'Diffusion W4A8', zh: '扩散模型 W4A8' },
        description: {
          en: 'INT4 weights rounded by GPTQ, INT8 activations: a quarter of the size of FP16. Layers that four bits harm most keep INT8 weights.',
          zh: '权重 INT4（GPTQ 舍入）、激活 INT8：大小约为 FP16 的四分之一；对 4 位最敏感的层保留 INT8 权重。',
        },
        recipe: {
          precision: 'w4a8',
          activation: { method: 'auto' },
          weight: { method: 'mse' },
          repair: { bias_correction: true, rounding: { method: 'gptq' } },
        },
        policy: {
          ...DENOISER,
          feed_forward_output: FEED_FORWARD_OUT,
          transformer_input: TRANSFORMER_ENDS,
          transformer_output: TRANSFORMER_ENDS,
          downsampler: RESAMPLER,
          upsampler: RESAMPLER,
        },
      },
      model,
    ),
  ]
}

/** The decoder's output is the picture: its errors are seen as they are. */
function autoencoderPresets(model: RecognisedModel): RecipePreset[] {
  const parts: Policy = { input_convolution: FIRST, output_convolution: LAST, skip_convolution: SKIP }
  return [
    composePreset(
      {
        id: 'autoencoder_w8a8',
        family: 'diffusion',
        name: { en: 'Autoencoder W8A8', zh: '自编码器 W8A8' },
        description: {
          en: 'INT8 with the best range per tensor; first, last and skip convolutions stay FP16. Look at the pictures before you ship it.',
          zh: 'INT8，逐张量取最佳范围；首、末及跳连卷积保持 FP16。发布前请查看图像。',
        },
        recipe: { activation: { method: 'auto' } },
        policy: parts,
      },
      model,
    ),
    composePreset(
      {
        id: 'autoencoder_w8a16',
        family: 'diffusion',
        name: { en: 'Autoencoder, INT8 weights only', zh: '自编码器，仅权重 INT8' },
        description: {
          en: 'A study of what INT8 weights cost in quality, activations in FP16. No gain on the device: it has no such convolution, rounded weights stay FP16 there.',
          zh: '用于评估权重 INT8 的质量代价，激活保持 FP16。设备上没有收益：设备没有此类卷积，舍入后的权重仍以 FP16 存放。',
        },
        recipe: { precision: 'w8a16' },
        policy: parts,
      },
      model,
    ),
  ]
}

export function diffusionPresets(model: RecognisedModel): RecipePreset[] {
  const isAutoencoder = model.kind === 'vae_decoder' || model.kind === 'vae_encoder'
  return isAutoencoder ? autoencoderPresets(model) : denoiserPresets(model)
}
