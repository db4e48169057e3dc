// Presets for language models and text encoders.
import type { RecipePreset } from '../../../contract/presets.ts'
import { composePreset, type Decision, type Policy } from './compose.ts'
import type { RecognisedModel } from './recognise.ts'

const HEAD: Decision = {
  precision: 'fp16',
  reason: {
    en: 'Its result decides between tokens whose scores lie close together; it runs once per token of the output.',
    zh: '其结果用于在得分接近的 token 之间抉择；每个输出 token 只运行一次。',
  },
}
const ROUTER: Decision = {
  precision: 'fp16',
  reason: {
    en: 'Chooses the experts: a small error sends a token to the wrong one. It is tiny.',
    zh: '选择专家：微小误差就会把 token 送错；其规模极小。',
  },
}
const DOWN: Decision = {
  precision: 'fp16',
  reason: {
    en: 'Reads the gated activations, where single channels are hundreds of times larger than the rest (massive activations): one scale per tensor loses the others.',
    zh: '读取门控后的激活，个别通道比其余大数百倍（massive activations）：单一张量缩放会丢失其余通道。',
  },
}
const DOWN_WEIGHTS: Decision = {
  precision: 'w8a16',
  reason: {
    en: 'Its inputs have outlier channels that multiply the errors of their weights: eight bits instead of four.',
    zh: '其输入存在离群通道，会放大对应权重的误差：使用 8 位而非 4 位。',
  },
}
const POOLED: Decision = {
  precision: 'fp16',
  reason: {
    en: 'The last layer writes the embedding that everything else is conditioned on; it runs once per text.',
    zh: '最后一层写出其余部分所依赖的嵌入；每段文本只运行一次。',
  },
}

const COMMON: Policy = { language_head: HEAD, router: ROUTER, output_projection: POOLED }

export function languagePresets(model: RecognisedModel): RecipePreset[] {
  return [
    composePreset(
      {
        id: 'language_w8a8',
        family: 'language',
        name: { en: 'Language W8A8', zh: '语言模型 W8A8' },
        description: {
          en: 'INT8 with outliers moved into the weights (SmoothQuant). Head, router and the second half of each feed-forward part stay FP16.',
          zh: 'INT8，并将离群值移入权重（SmoothQuant）；输出头、路由及各前馈部分的后半层保持 FP16。',
        },
        recipe: {
          activation: { method: 'auto' },
          repair: { balance: { method: 'smoothquant' } },
        },
        policy: { ...COMMON, feed_forward_output: DOWN },
      },
      model,
    ),
    composePreset(
      {
        id: 'language_w8a16',
        family: 'language',
        name: { en: 'Language, INT8 weights only', zh: '语言模型，仅权重 INT8' },
        description: {
          en: 'INT8 weights, FP16 activations: half the memory, hardly a difference in the output.',
          zh: '权重 INT8、激活 FP16：内存减半，输出几乎无差异。',
        },
        recipe: { precision: 'w8a16' },
        policy: COMMON,
      },
      model,
    ),
    composePreset(
      {
        id: 'language_w4a16',
        family: 'language',
        name: { en: 'Language, INT4 weights only', zh: '语言模型，仅权重 INT4' },
        description: {
          en: 'A study of what INT4 weights, rounded by GPTQ, cost in quality. No gain on the device: CANN documents no INT4 weights in ONNX, they stay FP16 there.',
          zh: '用于评估权重 INT4（GPTQ 舍入）的质量代价。设备上没有收益：CANN 未给出 ONNX 中 INT4 权重的形式，权重仍以 FP16 存放。',
        },
        recipe: { precision: 'w4a16', repair: { rounding: { method: 'gptq' } } },
        policy: { ...COMMON, feed_forward_output: DOWN_WEIGHTS },
      },
      model,
    ),
  ]
}
