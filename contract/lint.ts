// What the deploy linter finds: constraints of ATC that a model breaks, before ATC is run. Each rule has a stable code, a
// severity, and its texts in every language; findings carry what fills them.
import { z } from 'zod'
import type { ErrorText, Locale } from './errors/catalog.ts'
import { fillText } from './text.ts'

/** `error`: ATC refuses the model or the result is wrong. `warning`: likely trouble. `info`: good to know. */
export const lintSeveritySchema = z.enum(['error', 'warning', 'info'])
export type LintSeverity = z.infer<typeof lintSeveritySchema>

interface LintRule extends Record<Locale, ErrorText> {
  severity: LintSeverity
}

const rules = {
  // Operators.
  qdq_nodes: {
    severity: 'error',
    en: {
      message: '{node} is {opType}: ATC has no plug-in for it.',
      hint: 'Convert the model: aqw convert IN.onnx OUT.onnx --to ascend.',
    },
    zh: {
      message: '{node} 是 {opType}：ATC 没有对应的插件。',
      hint: '请先转换模型：aqw convert IN.onnx OUT.onnx --to ascend。',
    },
  },
  operator_domain: {
    severity: 'error',
    en: {
      message: '{node} is {opType} of the domain {domain}, which ATC does not know.',
      hint: 'Export without optimization for a certain runtime, or register a plug-in for the operator.',
    },
    zh: {
      message: '{node} 是 {domain} 域的 {opType}，ATC 不认识该域。',
      hint: '导出时请勿针对特定运行时做优化，或为该算子注册插件。',
    },
  },
  operator_unsupported: {
    severity: 'error',
    en: {
      message: '{node} is {opType}: {reason}.',
      hint: 'Rewrite that part of the model without the operator, then export again.',
    },
    zh: { message: '{node} 是 {opType}：{reason}。', hint: '请改写模型中的该部分后重新导出。' },
  },
  operator_unknown: {
    severity: 'warning',
    en: {
      message: '{node} is {opType}, which is not among the published ONNX plug-ins of CANN.',
      hint: 'Newer versions may know it. If ATC answers E13010, replace the operator or write a plug-in.',
    },
    zh: {
      message: '{node} 是 {opType}，不在 CANN 公开的 ONNX 插件之列。',
      hint: '新版本可能支持；若 ATC 报 E13010，请替换该算子或编写插件。',
    },
  },
  subgraph: {
    severity: 'warning',
    en: {
      message: '{node} is {opType}: control flow makes ATC build a dynamic model.',
      hint: 'Fix the condition at export time (constant folding), so that one branch remains.',
    },
    zh: {
      message: '{node} 是 {opType}：控制流会使 ATC 生成动态模型。',
      hint: '请在导出时固定条件（常量折叠），只保留一个分支。',
    },
  },
  // The file.
  opset_range: {
    severity: 'warning',
    en: {
      message: 'Opset {version}: ATC is tested with {minimum} to {maximum}.',
      hint: 'Export with an opset in that range; 13 is the most used one.',
    },
    zh: {
      message: 'Opset 为 {version}：ATC 的验证范围是 {minimum} 到 {maximum}。',
      hint: '请使用该范围内的 opset 导出，最常用的是 13。',
    },
  },
  opset_quant: {
    severity: 'error',
    en: {
      message: 'Opset {version}: {opType} ({node}) is registered for opsets {minimum} to {maximum} only.',
      hint: 'Export the model with an opset in that range.',
    },
    zh: {
      message: 'Opset 为 {version}：{opType}（{node}）只在 opset {minimum} 到 {maximum} 注册。',
      hint: '请使用该范围内的 opset 导出模型。',
    },
  },
  ir_version: {
    severity: 'warning',
    en: {
      message: 'IR version {version}: known to work are {minimum} to {maximum}.',
      hint: 'Save the model with an older onnx package, or set ir_version.',
    },
    zh: {
      message: 'IR 版本为 {version}：已知可用的是 {minimum} 到 {maximum}。',
      hint: '请用较旧的 onnx 包保存，或设置 ir_version。',
    },
  },
  model_size: {
    severity: 'error',
    en: {
      message: 'The model file has {bytes} bytes; protobuf ends at {limit}.',
      hint: 'Save the weights as external data in the folder of the model.',
    },
    zh: {
      message: '模型文件为 {bytes} 字节，超过 protobuf 的上限 {limit}。',
      hint: '请把权重保存为同目录下的外部数据。',
    },
  },
  external_folder: {
    severity: 'error',
    en: {
      message: 'The data of {tensor} is in {folder}, not in the folder of the model.',
      hint: 'ATC reads external data from the folder of the model: save both together.',
    },
    zh: {
      message: '{tensor} 的数据位于 {folder}，不在模型所在目录。',
      hint: 'ATC 只从模型所在目录读取外部数据，请放在一起。',
    },
  },
  external_missing: {
    severity: 'error',
    en: {
      message: 'The data of {tensor} should be in {file}, which is missing.',
      hint: 'Copy the file next to the model.',
    },
    zh: { message: '{tensor} 的数据应在 {file}，但文件不存在。', hint: '请把该文件复制到模型旁边。' },
  },
  external_shared: {
    severity: 'info',
    en: {
      message:
        '{tensors} tensors share the external file {file} ({bytes} bytes); AMCT writes one file per tensor.',
      hint: 'If ATC cannot read it, save with one file per tensor.',
    },
    zh: {
      message: '{tensors} 个张量共用外部文件 {file}（{bytes} 字节）；AMCT 为每个张量写一个文件。',
      hint: '若 ATC 无法读取，请改为每个张量一个文件。',
    },
  },
  // Names.
  node_name_duplicate: {
    severity: 'error',
    en: {
      message: '{count} nodes are called "{node}"; ATC answers E13009.',
      hint: 'Give every node a name of its own.',
    },
    zh: { message: '有 {count} 个节点同名 "{node}"，ATC 会报 E13009。', hint: '请为每个节点取唯一的名字。' },
  },
  node_name_empty: {
    severity: 'info',
    en: {
      message: '{count} nodes have no name, the first is {opType} before "{output}".',
      hint: 'ATC makes names up; dumps and profiles are then hard to match to the model.',
    },
    zh: {
      message: '{count} 个节点没有名字，第一个是 "{output}" 之前的 {opType}。',
      hint: 'ATC 会自动命名，dump 与 profiling 结果将难以与模型对应。',
    },
  },
  node_name_characters: {
    severity: 'warning',
    en: {
      message: 'The name "{node}" has characters other than letters, digits and _ . / - :',
      hint: 'Rename the node: options such as --out_nodes and --keep_dtype cannot name it.',
    },
    zh: {
      message: '名字 "{node}" 含有字母、数字和 _ . / - : 以外的字符。',
      hint: '请改名：--out_nodes、--keep_dtype 等选项无法引用它。',
    },
  },
  input_name_characters: {
    severity: 'error',
    en: {
      message: 'The input "{input}" has a semicolon, comma, quote or blank in its name.',
      hint: 'Rename it: --input_shape could not say it.',
    },
    zh: {
      message: '输入 "{input}" 的名字中有分号、逗号、引号或空白。',
      hint: '请改名：--input_shape 无法表达。',
    },
  },
  // Inputs.
  input_dynamic: {
    severity: 'info',
    en: {
      message: 'The input "{input}" has open dimensions {dims}.',
      hint: 'Fix them with --input_shape, or give gears; -1 makes a dynamic-shape model.',
    },
    zh: {
      message: '输入 "{input}" 含未定维度 {dims}。',
      hint: '请用 --input_shape 固定，或给出档位；-1 会生成动态 shape 模型。',
    },
  },
  input_dynamic_unsupported: {
    severity: 'error',
    en: {
      message: 'The input "{input}" has open dimensions {dims}; {soc} has no dynamic shapes.',
      hint: 'Give its shape (--input-shape), or gears.',
    },
    zh: {
      message: '输入 "{input}" 含未定维度 {dims}；{soc} 不支持动态 shape。',
      hint: '请给出形状（--input-shape）或档位。',
    },
  },
  input_type: {
    severity: 'error',
    en: {
      message: 'The input "{input}" is {type}, which no device takes.',
      hint: 'Export the model with numbers as inputs.',
    },
    zh: { message: '输入 "{input}" 的类型为 {type}，设备不支持。', hint: '请导出以数值为输入的模型。' },
  },
  input_type_slow: {
    severity: 'info',
    en: {
      message: 'The input "{input}" is {type}: operators on it run on the AI CPU, or behind casts.',
      hint: 'INT32 inputs are faster where the values allow it.',
    },
    zh: {
      message: '输入 "{input}" 的类型为 {type}：相关算子在 AI CPU 上运行或需要类型转换。',
      hint: '若取值允许，INT32 更快。',
    },
  },
  // AscendQuant.
  quant_scale: {
    severity: 'error',
    en: {
      message: '{node}: scale {value} stands for a step of {step}, outside {minimum} to {maximum}.',
      hint: 'Calibrate again, or leave the layer out: its input has almost no range, or a broken one.',
    },
    zh: {
      message: '{node}：scale {value} 对应步长 {step}，超出 {minimum} 到 {maximum}。',
      hint: '请重新校准或跳过该层：其输入几乎没有范围，或范围异常。',
    },
  },
  quant_scale_float16: {
    severity: 'warning',
    en: {
      message: '{node}: scale {value} is {half} in FP16, in which the device computes AscendQuant.',
      hint: 'Leave the layer in floating point, or compile for Ascend 950, which computes it in FP32.',
    },
    zh: {
      message: '{node}：scale {value} 的 FP16 值为 {half}，而设备以 FP16 计算 AscendQuant。',
      hint: '请让该层保持浮点，或面向以 FP32 计算的 Ascend 950 编译。',
    },
  },
  quant_offset: {
    severity: 'error',
    en: {
      message: '{node}: offset {value} is not a whole number from {minimum} to {maximum}.',
      hint: 'Quantize again; offsets are values of the integer type.',
    },
    zh: {
      message: '{node}：offset {value} 不是 {minimum} 到 {maximum} 的整数。',
      hint: '请重新量化；offset 必须是该整数类型的值。',
    },
  },
  quant_type: {
    severity: 'error',
    en: { message: '{node}: dst_type {value} is unknown.', hint: 'ATC knows INT8, INT4 and INT16.' },
    zh: { message: '{node}：未知的 dst_type {value}。', hint: 'ATC 支持 INT8、INT4 和 INT16。' },
  },
  quant_input_type: {
    severity: 'error',
    en: {
      message: '{node} quantizes "{tensor}" of type {type}.',
      hint: 'AscendQuant takes FLOAT and FLOAT16.',
    },
    zh: {
      message: '{node} 量化的 "{tensor}" 类型为 {type}。',
      hint: 'AscendQuant 只接受 FLOAT 和 FLOAT16。',
    },
  },
  quant_reader: {
    severity: 'error',
    en: {
      message: '{node} gives integers to {reader} ({opType}), which computes in floating point.',
      hint: 'Integers may go to Conv, ConvTranspose, Gemm, MatMul, AveragePool, AscendAntiQuant, or be moved around.',
    },
    zh: {
      message: '{node} 的整数结果送入了以浮点计算的 {reader}（{opType}）。',
      hint: '整数只能送入 Conv、ConvTranspose、Gemm、MatMul、AveragePool、AscendAntiQuant 或搬运类算子。',
    },
  },
  quant_unused: {
    severity: 'warning',
    en: { message: 'Nothing reads the result of {node}.', hint: 'Remove the node.' },
    zh: { message: '{node} 的结果没有被使用。', hint: '请删除该节点。' },
  },
  quant_differs: {
    severity: 'warning',
    en: {
      message: '"{tensor}" is quantized {count} times with different factors: {nodes}.',
      hint: 'Give the layers that read it one range: each further AscendQuant costs time.',
    },
    zh: {
      message: '"{tensor}" 以不同的因子被量化 {count} 次：{nodes}。',
      hint: '请让读取它的层使用同一范围：每多一个 AscendQuant 都有开销。',
    },
  },
  quant_repeated: {
    severity: 'info',
    en: {
      message: '"{tensor}" is quantized {count} times with the same factors: {nodes}.',
      hint: 'One AscendQuant can serve all readers.',
    },
    zh: {
      message: '"{tensor}" 以相同的因子被量化 {count} 次：{nodes}。',
      hint: '一个 AscendQuant 即可供所有读取者使用。',
    },
  },
  antiquant_input: {
    severity: 'error',
    en: {
      message: '{node} reads "{tensor}", which no AscendQuant writes.',
      hint: 'AscendAntiQuant turns the integers of an AscendQuant back.',
    },
    zh: {
      message: '{node} 读取的 "{tensor}" 不是 AscendQuant 的输出。',
      hint: 'AscendAntiQuant 用于还原 AscendQuant 的整数。',
    },
  },
  antiquant_factors: {
    severity: 'warning',
    en: {
      message:
        '{node} has scale {scale} and offset {offset}; {quant} before it {expectedScale} and {expectedOffset}.',
      hint: 'AscendAntiQuant takes the step itself as its scale, AscendQuant the reciprocal.',
    },
    zh: {
      message:
        '{node} 的 scale 为 {scale}、offset 为 {offset}；其前的 {quant} 为 {expectedScale} 和 {expectedOffset}。',
      hint: 'AscendAntiQuant 的 scale 是步长本身，AscendQuant 的是倒数。',
    },
  },
  // Integer layers.
  shape_conflict: {
    severity: 'error',
    en: {
      message: '{node} ({opType}): {reason}.',
      hint: 'Export the model again. A packed INT4 weight has half of the input channels: one group, an even number.',
    },
    zh: {
      message: '{node}（{opType}）形状不符：{reason}。',
      hint: '请重新导出模型。打包的 INT4 权重输入通道数减半：要求 group 为 1 且通道为偶数。',
    },
  },
  layer_undequantized: {
    severity: 'error',
    en: {
      message: 'The integer result of {node} ({opType}) goes to {reader} without AscendDequant.',
      hint: 'Put an AscendDequant behind the layer, and behind the bias of a MatMul.',
    },
    zh: {
      message: '{node}（{opType}）的整数结果未经 AscendDequant 就送入 {reader}。',
      hint: '请在该层（以及 MatMul 的偏置）之后加 AscendDequant。',
    },
  },
  weight_type: {
    severity: 'error',
    en: {
      message: '{node} ({opType}) reads integers, but its weight "{weight}" is {type}.',
      hint: 'The weight must be an INT8 constant.',
    },
    zh: {
      message: '{node}（{opType}）的输入为整数，但权重 "{weight}" 为 {type}。',
      hint: '权重必须是 INT8 常量。',
    },
  },
  weight_rank: {
    severity: 'error',
    en: {
      message: '{node} ({opType}): its weight "{weight}" has shape [{dims}].',
      hint: 'Expected {expected}.',
    },
    zh: { message: '{node}（{opType}）：权重 "{weight}" 的形状为 [{dims}]。', hint: '应为 {expected}。' },
  },
  weight_offset: {
    severity: 'error',
    en: {
      message: '{node}: the weight offset of "{weight}" is not 0.',
      hint: 'Ascend takes symmetric weights.',
    },
    zh: { message: '{node}："{weight}" 的权重 offset 不为 0。', hint: 'Ascend 只支持对称权重。' },
  },
  bias_type: {
    severity: 'error',
    en: {
      message: '{node} ({opType}) computes in integers, but its bias "{bias}" is {type} with {count} values.',
      hint: 'Expected an INT32 constant with {expected} values: round(bias / (scale_d * scale_w)).',
    },
    zh: {
      message: '{node}（{opType}）以整数计算，但偏置 "{bias}" 为 {type}，有 {count} 个值。',
      hint: '应为含 {expected} 个值的 INT32 常量：round(bias / (scale_d * scale_w))。',
    },
  },
  gemm_attributes: {
    severity: 'error',
    en: {
      message: 'The integer Gemm {node} has {what}.',
      hint: 'transA, transB must be 0, alpha and beta 1: transpose the weight and scale beforehand.',
    },
    zh: {
      message: '整数 Gemm {node} 设置了 {what}。',
      hint: 'transA、transB 必须为 0，alpha、beta 为 1：请预先转置权重和缩放。',
    },
  },
  matmul_bias: {
    severity: 'warning',
    en: {
      message: 'The bias of MatMul {node} is the first input of {add}.',
      hint: 'Make it the second input; AMCT and ATC look for it there.',
    },
    zh: {
      message: 'MatMul {node} 的偏置是 {add} 的第一个输入。',
      hint: '请把它放在第二个输入；AMCT 和 ATC 在那里查找。',
    },
  },
  matmul_dynamic: {
    severity: 'error',
    en: {
      message: 'MatMul {node} reads integers on both sides.',
      hint: 'Ascend multiplies integers by constant weights only in an ONNX model: keep it in FP16.',
    },
    zh: {
      message: 'MatMul {node} 的两个输入都是整数。',
      hint: 'ONNX 模型中 Ascend 的整数乘法要求权重为常量：请保持 FP16。',
    },
  },
  conv3d_quant: {
    severity: 'error',
    en: {
      message: 'The integer Conv3d {node} has {what}.',
      hint: 'Quantize its input symmetrically (offset 0), without dilation in depth; or keep it in floating point.',
    },
    zh: {
      message: '整数 Conv3d {node} 的 {what}。',
      hint: '其输入需对称量化（offset 为 0）且深度方向无膨胀，否则请保持浮点。',
    },
  },
  transpose_dilation: {
    severity: 'warning',
    en: {
      message: 'The integer ConvTranspose {node} has {what}.',
      hint: 'ATC documents quantized ConvTranspose for 4-D weights without dilation.',
    },
    zh: {
      message: '整数 ConvTranspose {node} 的 {what}。',
      hint: 'ATC 文档仅支持 4 维权重且无膨胀的量化 ConvTranspose。',
    },
  },
  pad_value: {
    severity: 'error',
    en: {
      message: '{node} pads integers by {what}.',
      hint: 'Between AscendQuant and its layer only padding with zero is possible: pad before AscendQuant.',
    },
    zh: {
      message: '{node} 以 {what} 填充整数。',
      hint: 'AscendQuant 与其层之间只能填零：请在 AscendQuant 之前填充。',
    },
  },
  // AscendDequant.
  dequant_input: {
    severity: 'error',
    en: {
      message: '{node} reads "{tensor}", which is not the result of an integer layer.',
      hint: 'AscendDequant follows a quantized layer, or the bias added behind a MatMul.',
    },
    zh: {
      message: '{node} 读取的 "{tensor}" 不是整数层的结果。',
      hint: 'AscendDequant 应跟在量化层（或 MatMul 的偏置加法）之后。',
    },
  },
  dequant_parameter: {
    severity: 'error',
    en: {
      message: '{node}: its parameter "{parameter}" is {type}.',
      hint: 'Expected a UINT64 constant that holds the bits of the FP32 scale in its low half.',
    },
    zh: {
      message: '{node}：参数 "{parameter}" 为 {type}。',
      hint: '应为 UINT64 常量，低 32 位是 FP32 scale 的比特。',
    },
  },
  dequant_length: {
    severity: 'error',
    en: {
      message: '{node} has {count} scales for {layer} ({opType}), which takes {expected}.',
      hint: 'One scale per output channel is for Conv and ConvTranspose; MatMul and Gemm have one.',
    },
    zh: {
      message: '{node} 为 {layer}（{opType}）提供了 {count} 个 scale，应为 {expected}。',
      hint: '逐通道 scale 只用于 Conv 和 ConvTranspose；MatMul 与 Gemm 只有一个。',
    },
  },
  dequant_scale: {
    severity: 'error',
    en: {
      message: '{node}: scale {index} is {value}.',
      hint: 'Expected a positive FP32 number that stays above 0 when its low 13 bits are cut off.',
    },
    zh: {
      message: '{node}：第 {index} 个 scale 为 {value}。',
      hint: '应为正的 FP32 数，且去掉低 13 位后仍大于 0。',
    },
  },
  dequant_high_bits: {
    severity: 'error',
    en: {
      message: '{node}: the high half of parameter {index} is {value}.',
      hint: 'It must be 0: bit 46 belongs to TransQuantParamV2 of another interface, weight offsets are not supported.',
    },
    zh: {
      message: '{node}：第 {index} 个参数的高 32 位为 {value}。',
      hint: '必须为 0：第 46 位属于另一接口的 TransQuantParamV2，且不支持权重 offset。',
    },
  },
  dequant_s19: {
    severity: 'info',
    en: {
      message:
        'The hardware keeps 19 bits of a dequantization scale: they shrink by up to {percent} % ({node}).',
      hint: 'The simulated device computes with the shortened scales.',
    },
    zh: {
      message: '硬件只保留反量化 scale 的 19 位：最多减小 {percent} %（{node}）。',
      hint: '模拟设备按截断后的 scale 计算。',
    },
  },
  // Numbers.
  float16_constant: {
    severity: 'warning',
    en: {
      message: 'The constant "{tensor}" holds {value}, which is infinite in FP16 (read by {node}, {opType}).',
      hint: 'ATC computes in FP16 by default: use values within 65504, such as -65504 for attention masks.',
    },
    zh: {
      message: '常量 "{tensor}" 含有 {value}，FP16 下为无穷（由 {node}（{opType}）读取）。',
      hint: 'ATC 默认以 FP16 计算：请使用 65504 以内的值，如注意力掩码用 -65504。',
    },
  },
} satisfies Record<string, LintRule>

export type LintCode = keyof typeof rules

/** Every rule with its severity and texts, for documentation and tests. */
export const lintRules: Readonly<Record<LintCode, LintRule>> = rules

export const lintFindingSchema = z.object({
  code: z.enum(Object.keys(rules) as [LintCode, ...LintCode[]]),
  severity: lintSeveritySchema,
  /** The node or layer it is about; null when it is about the whole model. */
  node: z.string().nullable(),
  /** The evidence: what fills the texts. */
  details: z.record(z.string(), z.union([z.string(), z.number()])),
  /** How many more findings of this code there are that are not listed. */
  more: z.number().int().nonnegative(),
})
export type LintFinding = z.infer<typeof lintFindingSchema>

/** Message and hint of a finding. */
export function lintText(finding: LintFinding, locale: Locale = 'en'): ErrorText {
  const text = rules[finding.code][locale]
  return { message: fillText(text.message, finding.details), hint: fillText(text.hint, finding.details) }
}

/** What `aqw lint` and the window get: findings, worst first, and the command that compiles the model. */
export const lintReportSchema = z.object({
  path: z.string(),
  soc: z.string(),
  findings: z.array(lintFindingSchema),
  counts: z.object({ error: z.number(), warning: z.number(), info: z.number() }),
  /** Words of the atc command line; a dimension that is still open is -1. */
  command: z.array(z.string()),
})
export type LintReport = z.infer<typeof lintReportSchema>
