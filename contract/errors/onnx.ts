// Errors of the onnx area.
import type { ErrorCatalog } from './catalog.ts'

export const onnxErrors = {
  E_ONNX_NOT_ONNX: {
    en: {
      message: '{path} is not an ONNX model: {reason}',
      hint: 'Give a .onnx file written by an exporter (for example torch.onnx.export).',
    },
    zh: {
      message: '{path} 不是 ONNX 模型：{reason}',
      hint: '请提供由导出工具（如 torch.onnx.export）生成的 .onnx 文件。',
    },
  },
  E_ONNX_TRUNCATED: {
    en: {
      message: '{path} ends too early: it has {actual} bytes but needs at least {expected}.',
      hint: 'The file was cut off while copying or downloading. Copy it again and compare the sizes.',
    },
    zh: {
      message: '{path} 不完整：文件有 {actual} 字节，至少需要 {expected} 字节。',
      hint: '文件在复制或下载时被截断，请重新获取并核对大小。',
    },
  },
  E_ONNX_INVALID: {
    en: {
      message: '{path}: damaged ONNX data at byte {offset}: {reason}',
      hint: 'Export or copy the model again; onnx.checker names the same place.',
    },
    zh: {
      message: '{path}：第 {offset} 字节处的 ONNX 数据已损坏：{reason}',
      hint: '请重新导出或复制模型文件。',
    },
  },
  E_ONNX_LIMIT: {
    en: {
      message: '{path}: {what} is {actual}, more than the limit of {limit}.',
      hint: 'The file is damaged or not meant to be loaded here. Split or simplify the model.',
    },
    zh: {
      message: '{path}：{what} 为 {actual}，超过上限 {limit}。',
      hint: '文件可能已损坏，或模型过大，请拆分或简化模型。',
    },
  },
  E_ONNX_OPSET: {
    en: {
      message: '{path}: opset {version} is not supported (supported: {minimum} to {maximum}).',
      hint: 'Export the model again with an opset between {minimum} and {maximum}; 17 is a good choice.',
    },
    zh: {
      message: '{path}：不支持 opset {version}（支持 {minimum} 到 {maximum}）。',
      hint: '请使用 {minimum} 到 {maximum} 之间的 opset 重新导出模型，推荐 17。',
    },
  },
  E_ONNX_TENSOR_SIZE: {
    en: {
      message: '{path}: tensor "{tensor}" ({dataType} [{dims}]) needs {expected} bytes but holds {actual}.',
      hint: 'The model file is damaged or was edited by hand. Export it again.',
    },
    zh: {
      message: '{path}：张量 "{tensor}"（{dataType} [{dims}]）需要 {expected} 字节，实际为 {actual} 字节。',
      hint: '模型文件已损坏或被手工修改，请重新导出。',
    },
  },
  E_ONNX_EXTERNAL_MISSING: {
    en: {
      message: '{path}: external data file "{location}" of tensor "{tensor}" is missing (looked for {file}).',
      hint: 'Copy the external data file into the folder of the model, under that name.',
    },
    zh: {
      message: '{path}：张量 "{tensor}" 的外部数据文件 "{location}" 不存在（查找位置：{file}）。',
      hint: '请将外部数据文件以该名称复制到模型所在目录。',
    },
  },
  E_ONNX_EXTERNAL_OUTSIDE: {
    en: {
      message:
        '{path}: external data "{location}" of tensor "{tensor}" lies outside the folder of the model.',
      hint: 'External data must be a file inside the folder {folder}. Move the real file there (no link) and fix the location.',
    },
    zh: {
      message: '{path}：张量 "{tensor}" 的外部数据 "{location}" 位于模型目录之外。',
      hint: '外部数据必须是目录 {folder} 内的真实文件（不能是指向外部的链接），请移动文件并修正路径。',
    },
  },
  E_ONNX_EXTERNAL_RANGE: {
    en: {
      message:
        '{path}: tensor "{tensor}" takes bytes {offset} to {end} of external data file {file}, which has only {size} bytes.',
      hint: 'The external data file is cut off or belongs to another model. Copy both files again.',
    },
    zh: {
      message:
        '{path}：张量 "{tensor}" 使用外部数据文件 {file} 的第 {offset} 到 {end} 字节，但该文件只有 {size} 字节。',
      hint: '外部数据文件被截断或属于其他模型，请重新复制两个文件。',
    },
  },
  E_ONNX_EXTERNAL_ENTRY: {
    en: {
      message: '{path}: external data of tensor "{tensor}": {reason}',
      hint: 'Export the model again; external data needs location, offset and length.',
    },
    zh: {
      message: '{path}：张量 "{tensor}" 的外部数据：{reason}',
      hint: '请重新导出模型；外部数据需要 location、offset 和 length。',
    },
  },
  E_ONNX_FILE_CHANGED: {
    en: {
      message: '{path} changed after the model was opened; tensor "{tensor}" can no longer be read.',
      hint: 'Open the model again.',
    },
    zh: { message: '{path} 在模型打开之后被修改，无法再读取张量 "{tensor}"。', hint: '请重新打开模型。' },
  },
  E_ONNX_TOO_LARGE: {
    en: {
      message: 'The model needs {bytes} bytes in one ONNX file; protobuf allows {limit}.',
      hint: 'Save it with external data.',
    },
    zh: {
      message: '模型写入单个 ONNX 文件需要 {bytes} 字节，protobuf 上限为 {limit}。',
      hint: '请使用外部数据方式保存。',
    },
  },
  E_ONNX_TENSOR_TYPE: {
    en: {
      message: 'Tensor "{tensor}" has type {dataType}; {expected} is needed.',
      hint: 'This tensor cannot be used this way. Check the model at that tensor.',
    },
    zh: {
      message: '张量 "{tensor}" 的类型为 {dataType}，需要 {expected}。',
      hint: '该张量不能这样使用，请检查模型中的该张量。',
    },
  },
  E_ONNX_GRAPH: {
    en: {
      message: '{path}: graph "{graph}": {reason}',
      hint: 'The graph is not valid ONNX. Export it again or check it with onnx.checker.',
    },
    zh: {
      message: '{path}：计算图 "{graph}"：{reason}',
      hint: '该计算图不是有效的 ONNX，请重新导出或用 onnx.checker 检查。',
    },
  },
  E_ONNX_ATTRIBUTE: {
    en: {
      message: 'Layer "{node}" ({opType}): attribute "{attribute}" {reason}',
      hint: 'The layer is not valid ONNX. Export the model again.',
    },
    zh: {
      message: '算子 "{node}"（{opType}）：属性 "{attribute}" {reason}',
      hint: '该算子不是有效的 ONNX，请重新导出模型。',
    },
  },
  E_ONNX_UPGRADE: {
    en: {
      message: 'Layer "{node}" ({opType}) cannot be upgraded from opset {from} to {to}: {reason}',
      hint: 'Export the model again with opset {to} or newer.',
    },
    zh: {
      message: '算子 "{node}"（{opType}）无法从 opset {from} 升级到 {to}：{reason}',
      hint: '请使用 opset {to} 或更高版本重新导出模型。',
    },
  },
  E_ONNX_INPUT_SHAPE: {
    en: {
      message: 'Input "{input}": shape [{given}] does not fit the model: {reason}',
      hint: 'The inputs of the model are: {inputs}.',
    },
    zh: { message: '输入 "{input}"：形状 [{given}] 与模型不符：{reason}', hint: '模型的输入为：{inputs}。' },
  },
  E_ONNX_SHAPE: {
    en: {
      message: 'Layer "{node}" ({opType}): shapes do not fit: {reason}',
      hint: 'Check the input shapes you gave and the model at that layer.',
    },
    zh: {
      message: '算子 "{node}"（{opType}）：形状不匹配：{reason}',
      hint: '请检查给定的输入形状以及模型中的该算子。',
    },
  },
} satisfies ErrorCatalog
