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
  E_SIMULATOR_NEEDS_ONNX: {
    en: {
      message: '{path} is compiled for {soc}; comparing needs the ONNX model it was made from',
      hint: 'Give the .onnx file, or an .om written by the simulated compiler.',
    },
    zh: {
      message: '{path} 已为 {soc} 编译；比较需要其来源 ONNX 模型',
      hint: '请提供 .onnx 文件，或由模拟编译器生成的 .om。',
    },
  },
} satisfies ErrorCatalog
