// Exchange with other tools: the forms a recipe is written in, and what a form could not say.
import { z } from 'zod'
import type { Locale } from './errors/catalog.ts'
import { fillText } from './text.ts'

/**
 * `recipe`: ours. `amct_tool`: the amct_config.json of `amct_tool`. `amct_json`: the config.json that AMCT's
 * create_quant_config writes. `amct_cfg`: AMCT's simplified configuration, protobuf text.
 */
export const recipeFormSchema = z.enum(['recipe', 'amct_tool', 'amct_json', 'amct_cfg'])
export type RecipeForm = z.infer<typeof recipeFormSchema>

/** Everything that may be lost or changed on the way from one form or format to another. */
export const interopNotes = {
  // Reading AMCT's configurations.
  batch_num: {
    en: 'batch_num {count}: a recipe says nothing about the amount of data; limit it with --count.',
    zh: 'batch_num {count}：配方不规定数据量，请用 --count 限制。',
  },
  joint_quant: {
    en: 'joint_quant is left out: Eltwise inputs are not quantized together.',
    zh: '已忽略 joint_quant：不支持 Eltwise 联合量化。',
  },
  fakequant_precision: {
    en: 'fakequant_precision_mode is left out: the runnable twin computes in float32, simulated devices in float16 like the chip.',
    zh: '已忽略 fakequant_precision_mode：仿真模型以 float32 计算，模拟设备与芯片一致以 float16 计算。',
  },
  tensor_quantize: {
    en: 'tensor_quantize of {layer} is left out: inputs of other layers than {types} stay in floating point.',
    zh: '已忽略 {layer} 的 tensor_quantize：除 {types} 外的输入保持浮点。',
  },
  layer_stays_float: {
    en: '{layer} ({opType}) stays in floating point: {reason}.',
    zh: '{layer}（{opType}）保持浮点：{reason}。',
  },
  skipped_override: {
    en: 'The settings for {layer} have no effect: the layer is skipped.',
    zh: '{layer} 的设置不生效：该层被跳过。',
  },
  channel_wise: {
    en: 'channel_wise of {layer} has no effect: MatMul and Gemm have one weight scale.',
    zh: '{layer} 的 channel_wise 不生效：MatMul 与 Gemm 只有一个权重 scale。',
  },
  rounding_differs: {
    en: 'ada_quantize has other parameters for {layers} than for the rest: the first ones apply to all.',
    zh: '{layers} 的 ada_quantize 参数与其他层不同：统一使用第一组参数。',
  },
  rounding_everywhere: {
    en: 'Without the model, ada_quantize of common_config applies to every layer, overridden ones included.',
    zh: '未提供模型：common_config 的 ada_quantize 对所有层生效，包括被重写的层。',
  },
  rounding_off: {
    en: 'num_iteration 0: weights are rounded to the nearest.',
    zh: 'num_iteration 为 0：权重按最近值取整。',
  },
  balance_differs: {
    en: 'dmq_balancer has another strength for {layers} than for the rest: {strength} applies to all.',
    zh: '{layers} 的 dmq_balancer 强度与其他层不同：统一使用 {strength}。',
  },
  balance_everywhere: {
    en: 'Without the model, dmq_balancer of common_config applies to every layer, overridden ones included.',
    zh: '未提供模型：common_config 的 dmq_balancer 对所有层生效，包括被重写的层。',
  },
  types_need_model: {
    en: '{what} for the type {type} is left out: which layers these are is only known with the model.',
    zh: '已忽略类型 {type} 的 {what}：需要模型才能确定是哪些层。',
  },
  pooling_needs_model: {
    en: 'AMCT also quantizes average pooling; give the model to have it in the recipe.',
    zh: 'AMCT 还会量化平均池化；提供模型后可写入配方。',
  },
  type_absent: {
    en: 'The model has no layer of type {type}: the rule for it is left out.',
    zh: '模型中没有类型为 {type} 的层：已忽略其规则。',
  },
  type_never_quantized: {
    en: 'Layers of type {type} stay in floating point anyway.',
    zh: '类型为 {type} 的层本来就保持浮点。',
  },
  // Writing AMCT's configurations.
  method_unknown: {
    en: 'AMCT has no counterpart of the range method {method} ({layers}): IFMR with its defaults is written.',
    zh: 'AMCT 没有与范围方法 {method} 对应的算法（{layers}）：写为默认参数的 IFMR。',
  },
  method_percentile: {
    en: 'percentile ({layers}) is written as IFMR that only trims, which cuts off the same share up to one value.',
    zh: 'percentile（{layers}）写为仅截断的 IFMR，截断比例相同，最多相差一个值。',
  },
  bins: {
    en: 'AMCT has no {bins} bins for this method: left out.',
    zh: 'AMCT 的该方法没有 {bins} 个 bin 的选项：已忽略。',
  },
  weight_method_unknown: {
    en: 'AMCT takes scales of the largest magnitude for arq_quantize and searched ones for ada_quantize: {method} is left out.',
    zh: 'AMCT 的 arq_quantize 按最大绝对值、ada_quantize 按搜索确定权重 scale：已忽略 {method}。',
  },
  weight_only: {
    en: '{layers}: weights in integers with floating-point activations have no counterpart; the layers are not quantized.',
    zh: '{layers}：仅权重量化没有对应写法，这些层不量化。',
  },
  fp16_is_float: {
    en: 'Layers kept in FP16 are written as not quantized: {layers}.',
    zh: 'FP16 层写为不量化：{layers}。',
  },
  smoothquant_is_dmq: {
    en: 'Balancing by smoothquant is written as dmq_balancer, which has the same form.',
    zh: 'smoothquant 均衡写为形式相同的 dmq_balancer。',
  },
  repair_unknown: {
    en: 'AMCT has no counterpart of {what}: left out.',
    zh: 'AMCT 没有与 {what} 对应的功能：已忽略。',
  },
  wildcard: {
    en: '"{pattern}" in {list} names several layers, which AMCT cannot: left out. With the model it is written layer by layer.',
    zh: '{list} 中的 "{pattern}" 表示多个层，AMCT 无法表达：已忽略。提供模型后可逐层写出。',
  },
  name_lost: {
    en: 'The name of the recipe is left out.',
    zh: '已忽略配方名称。',
  },
  rule_precision: {
    en: 'The precision {precision} of the rule for {layer} has no counterpart: left out.',
    zh: '{layer} 规则中的精度 {precision} 没有对应写法：已忽略。',
  },
  parameters_lost: {
    en: '{what} has no counterpart: left out.',
    zh: '{what} 没有对应写法：已忽略。',
  },
  // Records.
  record_fields: {
    en: 'Record of {layer}: {fields} is passed over.',
    zh: '{layer} 的记录：已忽略 {fields}。',
  },
  record_entry: {
    en: 'Record "{layer}" is passed over: {reason}.',
    zh: '已忽略记录 "{layer}"：{reason}。',
  },
  record_shift: {
    en: 'Record of {layer}: shift_bit is passed over: it belongs to the 16-bit accumulators of Ascend 310.',
    zh: '{layer} 的记录：已忽略 shift_bit：它用于 Ascend 310 的 16 位累加。',
  },
  // Converting quantized models.
  pair_dropped: {
    en: 'The quantization of "{tensor}" before {readers} is dropped: Ascend computes these layers in floating point.',
    zh: '已去掉 "{tensor}" 在 {readers} 之前的量化：Ascend 以浮点计算这些层。',
  },
  output_pair_dropped: {
    en: 'The quantization of the output "{tensor}" is dropped.',
    zh: '已去掉输出 "{tensor}" 的量化。',
  },
  layer_left_float: {
    en: '{opType} "{layer}" becomes floating point: {reason}.',
    zh: '{opType} "{layer}" 变为浮点：{reason}。',
  },
  constant_unpacked: {
    en: 'The quantized constant "{tensor}" is stored as floating point for {readers}.',
    zh: '量化常量 "{tensor}" 以浮点形式保存，供 {readers} 使用。',
  },
  weight_requantized: {
    en: '{opType} "{layer}": its weight had {count} scales and now has one (largest change {error} of a step).',
    zh: '{opType} "{layer}"：权重原有 {count} 个 scale，现为一个（最大变化为 {error} 个步长）。',
  },
  bias_requantized: {
    en: '"{layer}": its bias was quantized with other scales than activation x weight; it is rounded again (largest change {error}).',
    zh: '"{layer}"：偏置的 scale 与激活×权重不一致，已重新取整（最大变化 {error}）。',
  },
  output_quantized: {
    en: 'The output "{tensor}" is int8 now: value = {type} value - {shift}.',
    zh: '输出 "{tensor}" 现为 int8：值 = {type} 值 - {shift}。',
  },
  dequant_relu: {
    en: '"{layer}": relu_flag of its AscendDequant becomes a Relu.',
    zh: '"{layer}"：AscendDequant 的 relu_flag 变为 Relu。',
  },
} satisfies Record<string, Record<Locale, string>>

export type InteropNoteCode = keyof typeof interopNotes

export const interopNoteSchema = z.object({
  code: z.enum(Object.keys(interopNotes) as [InteropNoteCode, ...InteropNoteCode[]]),
  details: z.record(z.string(), z.union([z.string(), z.number()])),
})
export type InteropNote = z.infer<typeof interopNoteSchema>

export function makeNote(code: InteropNoteCode, details: InteropNote['details'] = {}): InteropNote {
  return { code, details }
}

/** The text of a note. */
export function noteText(note: InteropNote, locale: Locale = 'en'): string {
  return fillText(interopNotes[note.code][locale], note.details)
}
