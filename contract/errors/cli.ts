// Errors of the command line: how it was called, and files it was given.
import type { ErrorCatalog } from './catalog.ts'

export const cliErrors = {
  E_USAGE: {
    en: { message: '{reason}', hint: 'See "{command} --help".' },
    zh: { message: '{reason}', hint: '请查看 "{command} --help"。' },
  },
  E_FOLDER_NOT_FOUND: {
    en: { message: 'Folder not found: {path}', hint: 'Check the path; relative paths start at {base}.' },
    zh: { message: '找不到文件夹：{path}', hint: '请检查路径；相对路径以 {base} 为起点。' },
  },
  E_MODEL_KIND: {
    en: {
      message: '{path} is not a model this command can read (expected {expected})',
      hint: 'Give a file that ends in {expected}.',
    },
    zh: {
      message: '{path} 不是该命令可读取的模型（应为 {expected}）',
      hint: '请提供以 {expected} 结尾的文件。',
    },
  },
  E_OUTPUT_TYPE: {
    en: {
      message: 'Output "{output}" has element type {type}, which cannot be compared',
      hint: 'Compare models with numeric outputs.',
    },
    zh: { message: '输出 "{output}" 的元素类型为 {type}，无法比较', hint: '请比较输出为数值的模型。' },
  },
  E_OUTPUT_MISSING: {
    en: {
      message: 'The compiled model has no output "{output}" (it has {known})',
      hint: 'Compile the model again from this ONNX file.',
    },
    zh: { message: '编译后的模型没有输出 "{output}"（现有 {known}）', hint: '请用该 ONNX 文件重新编译。' },
  },
  E_OUTPUT_SHAPE: {
    en: {
      message: 'Output "{output}" has shape [{found}], the source model gives [{expected}]',
      hint: 'Compile the model again from this ONNX file and with the same input shapes.',
    },
    zh: {
      message: '输出 "{output}" 的形状为 [{found}]，源模型为 [{expected}]',
      hint: '请用该 ONNX 文件和相同的输入形状重新编译。',
    },
  },
} satisfies ErrorCatalog
