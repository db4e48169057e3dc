// Errors of the compile area: device names, .om files, the simulated compiler, the vendor's atc.
import type { ErrorCatalog } from './catalog.ts'

export const compileErrors = {
  E_SOC_UNKNOWN: {
    en: { message: 'Unknown SoC "{soc}".', hint: 'Did you mean {suggestions}? Known: {known}.' },
    zh: { message: '未知的 SoC "{soc}"。', hint: '是否想写 {suggestions}？已知的有：{known}。' },
  },
  E_COMPILE_INPUT_SHAPE: {
    en: {
      message: '{path}: the shape of input "{input}" is not fixed: {shape}',
      hint: 'Give it: --input-shape "{option}", or -1 with gears (--dynamic-batch, --dynamic-image-size, --dynamic-dims).',
    },
    zh: {
      message: '{path}：输入 "{input}" 的形状不固定：{shape}',
      hint: '请指定：--input-shape "{option}"，或写 -1 并给出分档（--dynamic-batch、--dynamic-image-size、--dynamic-dims）。',
    },
  },
  E_COMPILE_SHAPE_MISMATCH: {
    en: {
      message: '{path}: input "{input}" is {actual} in the model, but the given shape is {given}',
      hint: 'Give as many dimensions as the model has, and keep those that are fixed in the model.',
    },
    zh: {
      message: '{path}：模型中输入 "{input}" 为 {actual}，但给定的形状为 {given}',
      hint: '维数必须与模型一致，模型中固定的维度不能更改。',
    },
  },
  E_COMPILE_UNKNOWN_INPUT: {
    en: { message: '{path}: the model has no input "{input}"', hint: 'Did you mean {suggestions}?' },
    zh: { message: '{path}：模型没有输入 "{input}"', hint: '是否想写 {suggestions}？' },
  },
  E_COMPILE_GEARS: {
    en: { message: '{path}: {reason}', hint: '{expected}' },
    zh: { message: '{path}：{reason}', hint: '{expected}' },
  },
  E_COMPILE_UNSUPPORTED: {
    en: {
      message: '{path}: node "{node}" ({opType}) cannot be compiled: {reason}',
      hint: 'Change or remove that node, e.g. by exporting the model with other settings.',
    },
    zh: {
      message: '{path}：节点 "{node}"（{opType}）无法编译：{reason}',
      hint: '请修改或去掉该节点，例如换用其他导出设置。',
    },
  },
  E_COMPILE_QDQ: {
    en: {
      message: '{path}: node "{node}" is {opType}, which ATC does not accept',
      hint: 'Compile the deploy model (*_deploy_model.onnx, Ascend* nodes), not the one for ONNX Runtime.',
    },
    zh: {
      message: '{path}：节点 "{node}" 为 {opType}，ATC 不支持',
      hint: '请编译部署模型（*_deploy_model.onnx，含 Ascend* 节点），而不是供 ONNX Runtime 使用的模型。',
    },
  },
  E_COMPILE_DEPLOY: {
    en: {
      message: '{path}: node "{node}" ({opType}) of the deploy model: {reason}',
      hint: 'Quantize the model again; the pattern {expected} is what the compiler reads.',
    },
    zh: {
      message: '{path}：部署模型的节点 "{node}"（{opType}）：{reason}',
      hint: '请重新量化模型；编译器可识别的结构为 {expected}。',
    },
  },
  E_COMPILE_PRECISION: {
    en: {
      message: '{path}: precision int8 was asked for, but the model has no AscendQuant node',
      hint: 'Quantize the model first and compile its deploy model, or compile with precision fp16.',
    },
    zh: {
      message: '{path}：要求 int8 精度，但模型中没有 AscendQuant 节点',
      hint: '请先量化模型并编译其部署模型，或使用 fp16 精度编译。',
    },
  },
  E_COMPILE_TOO_LARGE: {
    en: {
      message:
        '{path}: the compiled payload would be {actual} bytes; the simulated runtime takes at most {limit}',
      hint: 'Compile with precision fp16 or int8, or split the model.',
    },
    zh: {
      message: '{path}：编译后的负载为 {actual} 字节，仿真运行时最多接受 {limit} 字节',
      hint: '请使用 fp16 或 int8 精度编译，或拆分模型。',
    },
  },
  E_OM_INVALID: {
    en: {
      message: '{path}: not a valid .om file: {reason} (at byte {offset})',
      hint: 'Copy or compile the file again; expected {expected}.',
    },
    zh: {
      message: '{path}：不是有效的 .om 文件：{reason}（字节 {offset} 处）',
      hint: '请重新复制或编译该文件；应为 {expected}。',
    },
  },
  E_OM_ENCRYPTED: {
    en: {
      message: '{path}: the .om file is encrypted',
      hint: 'Give an .om that was compiled without encryption.',
    },
    zh: { message: '{path}：该 .om 文件已加密', hint: '请提供未加密编译的 .om 文件。' },
  },
  E_OM_NOT_SIMULATED: {
    en: {
      message: '{path} was not written by the simulated compiler ({compiler}); it holds device code only',
      hint: 'Use it on an NPU, or compile the source model for a simulated device.',
    },
    zh: {
      message: '{path} 不是由仿真编译器生成的（{compiler}），其中只有设备代码',
      hint: '请在 NPU 上使用，或将源模型编译到仿真设备。',
    },
  },
  E_OM_REAL: {
    en: {
      message:
        '{path} is compiled for {soc} and cannot be quantized: an .om holds device code, not the network',
      hint: 'Give the source model instead: {source}.',
    },
    zh: {
      message: '{path} 已为 {soc} 编译，无法量化：.om 中是设备代码而不是网络',
      hint: '请改为提供源模型：{source}。',
    },
  },
  E_OM_QUANTIZED: {
    en: {
      message: '{path} is already quantized (int8)',
      hint: 'Give the model it was made from: {source}, or its FP16 .om.',
    },
    zh: { message: '{path} 已经是量化模型（int8）', hint: '请提供其来源模型：{source}，或其 FP16 .om。' },
  },
  E_ATC_NOT_FOUND: {
    en: {
      message: 'The ATC compiler was not found ({looked}).',
      hint: 'Install the CANN toolkit and run its set_env.sh, or choose a simulated device (--device sim:{soc}).',
    },
    zh: {
      message: '未找到 ATC 编译器（{looked}）。',
      hint: '请安装 CANN toolkit 并执行其 set_env.sh，或选择仿真设备（--device sim:{soc}）。',
    },
  },
  E_ATC_FAILED: {
    en: {
      message: 'atc failed on {path} with {atcCode}: {reason}',
      hint: '{cause} {solution} The log is {log}.',
    },
    zh: {
      message: 'atc 编译 {path} 失败，错误码 {atcCode}：{reason}',
      hint: '{cause} {solution} 日志见 {log}。',
    },
  },
} satisfies ErrorCatalog
