// Errors of the quantization area.
import type { ErrorCatalog } from './catalog.ts'

export const quantizationErrors = {
  E_LAYER_UNKNOWN: {
    en: {
      message: 'The recipe names "{layer}" in {list}, but no layer of {model} has that name.',
      hint: 'Nearest names: {suggestions}. A layer is named by node, module path or weight; * matches anything.',
    },
    zh: {
      message: '配置在 {list} 中写了 "{layer}"，但模型 {model} 中没有这个名字的层。',
      hint: '最接近的名字：{suggestions}。可用节点名、模块路径或权重名，* 匹配任意字符。',
    },
  },
  E_PRESET_UNKNOWN: {
    en: {
      message: 'This model has no preset "{id}".',
      hint: 'Its presets: {known}. aqw presets MODEL shows them with their reasons.',
    },
    zh: {
      message: '该模型没有预设 "{id}"。',
      hint: '可用预设：{known}。aqw presets MODEL 会列出各预设及理由。',
    },
  },
  E_QUANTIZE_NOTHING: {
    en: {
      message: 'Nothing to quantize in {model}: {candidates} candidate layers, {reasons}.',
      hint: 'Check the precision and the skip lists of the recipe. Conv, ConvTranspose, Gemm and MatMul with constant weights can be quantized.',
    },
    zh: {
      message: '模型 {model} 中没有可量化的层：候选 {candidates} 层，{reasons}。',
      hint: '请检查配置中的精度和跳过列表。可量化的是权重为常量的 Conv、ConvTranspose、Gemm 和 MatMul。',
    },
  },
  E_WEIGHT_NOT_FINITE: {
    en: {
      message: 'Layer {layer}: weight {weight} holds {value} at element {index}.',
      hint: 'The model itself is damaged: export it again, or add the layer to skip_layers.',
    },
    zh: {
      message: '层 {layer}：权重 {weight} 的第 {index} 个元素为 {value}。',
      hint: '模型本身已损坏：请重新导出，或把该层加入 skip_layers。',
    },
  },
  E_BIAS_OVERFLOW: {
    en: {
      message:
        'Layer {layer}: the bias of channel {channel} becomes {value}, outside the 32-bit range ' +
        '(bias {bias}, step {step}).',
      hint: 'Add the layer to skip_layers: its activation or weight range is too small for its bias.',
    },
    zh: {
      message:
        '层 {layer}：通道 {channel} 的偏置量化后为 {value}，超出 32 位范围（偏置 {bias}，步长 {step}）。',
      hint: '请把该层加入 skip_layers：其激活或权重范围相对偏置过小。',
    },
  },
  E_RECORD_SYNTAX: {
    en: {
      message: '{path}:{line}:{column}: {reason}',
      hint: 'A record file is protobuf text: record { key: "layer" value { scale_d: 0.1 offset_d: 0 scale_w: 0.2 } }.',
    },
    zh: {
      message: '{path}:{line}:{column}：{reason}',
      hint: '量化因子记录文件为 protobuf 文本：record { key: "layer" value { scale_d: 0.1 offset_d: 0 scale_w: 0.2 } }。',
    },
  },
  E_RECORD_VALUE: {
    en: {
      message: '{path}:{line}: layer "{layer}": {field} is {value}.',
      hint: 'Expected {expected}.',
    },
    zh: { message: '{path}:{line}：层 "{layer}"：{field} 的值为 {value}。', hint: '应为 {expected}。' },
  },
  E_QUANTIZE_SOURCE: {
    en: {
      message: '{path} is already quantized: it contains {opType} ({node}).',
      hint: 'Give the floating-point model it was made from.',
    },
    zh: { message: '{path} 已经是量化模型：包含 {opType}（{node}）。', hint: '请提供量化前的浮点模型。' },
  },
  E_REPAIR_BALANCE_CHANNELS: {
    en: {
      message: 'Layer {layer} cannot be balanced: {activation} channels of activations, {weight} of weights.',
      hint: 'Leave the layer out of repair.balance.layers, or leave balance out of the recipe.',
    },
    zh: {
      message: '层 {layer} 无法做均衡：激活有 {activation} 个通道，权重有 {weight} 个。',
      hint: '请不要在 repair.balance.layers 中列出该层，或从配置中去掉 balance。',
    },
  },
  E_REPAIR_BALANCE_FACTOR: {
    en: {
      message: 'Layer {layer}: the balance factor of channel {channel} is {value}.',
      hint: 'Expected a number between 1.19e-7 and its inverse. Leave the layer out of repair.balance.layers.',
    },
    zh: {
      message: '层 {layer}：通道 {channel} 的均衡因子为 {value}。',
      hint: '应在 1.19e-7 与其倒数之间。请不要在 repair.balance.layers 中列出该层。',
    },
  },
  E_REPAIR_WEIGHT_RANGE: {
    en: {
      message:
        'Layer {layer}: a weight or bias would exceed the range of its element type after weight repair.',
      hint: 'Leave the layer out of repair.balance.layers, or turn off repair.equalize.',
    },
    zh: {
      message: '层 {layer}：权重修复后，有权重或偏置超出其数据类型的范围。',
      hint: '请不要在 repair.balance.layers 中列出该层，或关闭 repair.equalize。',
    },
  },
} satisfies ErrorCatalog
