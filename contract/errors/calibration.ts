// Errors of the calibration area.
import type { ErrorCatalog } from './catalog.ts'

export const calibrationErrors = {
  E_CALIBRATION_FOLDER: {
    en: {
      message: 'Calibration folder {path}: {reason}.',
      hint: 'Give the folder that holds the .bin files; relative paths start at {base}.',
    },
    zh: {
      message: '校准数据目录 {path}：{reason}。',
      hint: '请给出存放 .bin 文件的目录；相对路径以 {base} 为起点。',
    },
  },
  E_CALIBRATION_EMPTY: {
    en: {
      message: 'No calibration data in {folder} for inputs {inputs}.',
      hint: 'Expected {expected}.',
    },
    zh: { message: '目录 {folder} 中没有输入 {inputs} 的校准数据。', hint: '应为 {expected}。' },
  },
  E_CALIBRATION_COUNT: {
    en: {
      message: '{folder} holds {available} calibration samples, but {wanted} were asked for.',
      hint: 'Ask for at most {available}, or add {missing} more.',
    },
    zh: {
      message: '{folder} 中有 {available} 个校准样本，但要求 {wanted} 个。',
      hint: '请最多要求 {available} 个，或再补充 {missing} 个。',
    },
  },
  E_CALIBRATION_TIMESTEPS: {
    en: {
      message:
        'Selection "timesteps" needs the time step of each of the {samples} samples in {folder}; it is not known.',
      hint: 'Looked for "timestep" in index.json, an input named timestep or t, and numbers such as t0951 in file names. Add one of them, or choose the selection "spread".',
    },
    zh: {
      message: '选择方式 "timesteps" 需要 {folder} 中 {samples} 个样本各自的时间步，但未能找到。',
      hint: '已查找 index.json 的 "timestep"、名为 timestep 或 t 的输入，以及文件名中 t0951 形式的数字。请补充其中之一，或改用 "spread"。',
    },
  },
  E_CALIBRATION_NOTHING: {
    en: {
      message: 'The recipe quantizes no activations of {model}: there is nothing to calibrate.',
      hint: 'Weight-only precisions (w8a16, w4a16) need no calibration. Choose int8 or w4a8 for some layers.',
    },
    zh: {
      message: '该配置未量化 {model} 的任何激活，无需校准。',
      hint: '仅权重精度（w8a16、w4a16）不需要校准；请为部分层选择 int8 或 w4a8。',
    },
  },
  E_CALIBRATION_TENSOR: {
    en: {
      message: 'The calibration report has no tensor "{tensor}".',
      hint: 'Nearest names: {suggestions}.',
    },
    zh: { message: '校准报告中没有张量 "{tensor}"。', hint: '最接近的名字：{suggestions}。' },
  },
  E_CALIBRATION_SHAPE: {
    en: {
      message:
        '{path} has {bytes} bytes ({meaning}); input "{input}" needs {expectedBytes} bytes = {expected}.',
      hint: 'Write raw little-endian values of exactly that shape and type, without a header.',
    },
    zh: {
      message: '{path} 为 {bytes} 字节（{meaning}）；输入 "{input}" 需要 {expectedBytes} 字节 = {expected}。',
      hint: '请按该形状和类型写入小端原始数据，不要带文件头。',
    },
  },
  E_CALIBRATION_DTYPE: {
    en: { message: '{path}: {reason} for input "{input}".', hint: 'Expected {expected}.' },
    zh: { message: '{path}：输入 "{input}"：{reason}。', hint: '应为 {expected}。' },
  },
  E_CALIBRATION_NOT_FINITE: {
    en: {
      message: '{path}: element {index} of input "{input}" is {value}.',
      hint: 'Record the sample again; NaN and infinity would spoil every range.',
    },
    zh: {
      message: '{path}：输入 "{input}" 的第 {index} 个元素为 {value}。',
      hint: '请重新录制该样本；NaN 与无穷会破坏所有取值范围。',
    },
  },
  E_CALIBRATION_PATH: {
    en: {
      message: '{path}:{line}: {entry} lies outside the calibration folder {folder}.',
      hint: 'Name files inside that folder, relative to it.',
    },
    zh: {
      message: '{path}:{line}：{entry} 位于校准目录 {folder} 之外。',
      hint: '请使用该目录内的相对文件名。',
    },
  },
  E_CALIBRATION_LIST_MISSING: {
    en: { message: 'List file {name} not found.', hint: 'Looked at {searched}.' },
    zh: { message: '找不到列表文件 {name}。', hint: '已查找 {searched}。' },
  },
  E_CALIBRATION_LIST: {
    en: {
      message: '{path}:{line}: {reason}',
      hint: 'One sample per line; for several inputs their files in this order: {inputs}.',
    },
    zh: { message: '{path}:{line}：{reason}', hint: '每行一个样本；多个输入时按此顺序写文件：{inputs}。' },
  },
  E_CALIBRATION_MISSING_INPUT: {
    en: {
      message: 'Calibration sample "{sample}" in {folder} has no data for input "{input}".',
      hint: 'Add {expected}.',
    },
    zh: {
      message: '{folder} 中的校准样本 "{sample}" 缺少输入 "{input}" 的数据。',
      hint: '请补充 {expected}。',
    },
  },
  E_CALIBRATION_BATCH: {
    en: { message: 'Calibration batch of {batch}: {reason}.', hint: '{advice}' },
    zh: { message: '校准批大小 {batch}：{reason}。', hint: '{advice}' },
  },
  E_CALIBRATION_OPEN_SHAPE: {
    en: {
      message: 'Input "{input}" has open dimensions {dims}, so the size of a sample is unknown.',
      hint: 'Give its shape, for example in input_shapes.',
    },
    zh: {
      message: '输入 "{input}" 含未定维度 {dims}，无法确定样本大小。',
      hint: '请给出形状，例如写在 input_shapes 中。',
    },
  },
  E_CALIBRATION_INPUT_SHAPE: {
    en: {
      message: 'Shape {given} given for input "{input}" contradicts the model, which has {dims}.',
      hint: 'Correct the shape, or leave it out.',
    },
    zh: {
      message: '为输入 "{input}" 给出的形状 {given} 与模型的 {dims} 不符。',
      hint: '请修正形状，或不写。',
    },
  },
  E_CALIBRATION_LAYOUT: {
    en: {
      message: 'Input "{input}" has {rank} dimensions: a layout of {layout} needs four',
      hint: 'Leave the layout of this input out.',
    },
    zh: {
      message: '输入 "{input}" 有 {rank} 个维度：{layout} 布局需要四个维度',
      hint: '请去掉该输入的布局设置。',
    },
  },
  E_CALIBRATION_INPUT_UNKNOWN: {
    en: { message: 'The model has no input "{input}".', hint: 'Its inputs: {known}.' },
    zh: { message: '模型没有名为 "{input}" 的输入。', hint: '模型的输入：{known}。' },
  },
  E_CALIBRATION_RUN: {
    en: {
      message: 'ONNX Runtime could not run {model} on calibration data: {reason}',
      hint: 'Check that the model runs in ONNX Runtime with inputs of these shapes.',
    },
    zh: {
      message: 'ONNX Runtime 无法用校准数据运行 {model}：{reason}',
      hint: '请确认该模型能在 ONNX Runtime 中以这些形状运行。',
    },
  },
  E_ACTIVATION_NOT_FINITE: {
    en: {
      message: 'Layer {layer}: its input tensor {tensor} holds {value} on calibration sample {sample}.',
      hint: 'Check the sample and the model in FP32. If this is expected, add the layer to skip_layers.',
    },
    zh: {
      message: '层 {layer}：输入张量 {tensor} 在校准样本 {sample} 上出现 {value}。',
      hint: '请用 FP32 检查样本和模型；若属预期，请把该层加入 skip_layers。',
    },
  },
} satisfies ErrorCatalog
