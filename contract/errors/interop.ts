// Errors of exchanging recipes, records and quantized models with other tools.
import type { ErrorCatalog } from './catalog.ts'

export const interopErrors = {
  E_AMCT_CFG_SYNTAX: {
    en: {
      message: '{path}:{line}:{column}: {reason}',
      hint: 'AMCT\'s simplified configuration is protobuf text, such as: batch_num: 2 skip_layers: "conv1".',
    },
    zh: {
      message: '{path}:{line}:{column}：{reason}',
      hint: 'AMCT 简易配置文件为 protobuf 文本，例如：batch_num: 2 skip_layers: "conv1"。',
    },
  },
  E_AMCT_CFG_FIELD: {
    en: {
      message: '{path}:{line}: {message} has no field "{field}".',
      hint: 'Its fields: {known}.',
    },
    zh: { message: '{path}:{line}：{message} 没有字段 "{field}"。', hint: '可用字段：{known}。' },
  },
  E_AMCT_CFG_VALUE: {
    en: { message: '{path}:{line}: {field} is {value}.', hint: 'Expected {expected}.' },
    zh: { message: '{path}:{line}：{field} 的值为 {value}。', hint: '应为 {expected}。' },
  },
  E_AMCT_UNSUPPORTED: {
    en: {
      message: '{path}:{line}: {what} cannot be done here: {reason}.',
      hint: 'Take it out of the configuration, or use AMCT for it.',
    },
    zh: {
      message: '{path}:{line}：不支持 {what}：{reason}。',
      hint: '请从配置中删除该项，或使用 AMCT 完成。',
    },
  },
  E_RECIPE_IS_RECORD: {
    en: {
      message: '{path} is a record of scales, not a recipe.',
      hint: 'Give it to aqw quantize with --record.',
    },
    zh: { message: '{path} 是量化因子记录，不是配方。', hint: '请用 aqw quantize 的 --record 选项。' },
  },
  E_RECIPE_NEEDS_MODEL: {
    en: {
      message: "AMCT's config.json lists every layer, so writing it takes the model.",
      hint: 'Name the model, with --model on the command line; or choose another form.',
    },
    zh: {
      message: 'AMCT 的 config.json 列出所有层，写入时需要模型。',
      hint: '请指定模型（命令行 --model），或选择其他格式。',
    },
  },
  E_RECORD_MODEL: {
    en: {
      message: '{path}:{line}: layer "{layer}": {reason}.',
      hint: 'The record must belong to this model: {expected}.',
    },
    zh: {
      message: '{path}:{line}：层 "{layer}"：{reason}。',
      hint: '记录文件必须与该模型对应：{expected}。',
    },
  },
  E_CONVERT_LAYER: {
    en: { message: '{path}: {opType} "{layer}": {reason}.', hint: 'Expected {expected}.' },
    zh: { message: '{path}：{opType} "{layer}"：{reason}。', hint: '应为 {expected}。' },
  },
  E_CONVERT_MODEL: {
    en: { message: '{path}: {reason}.', hint: '{expected}' },
    zh: { message: '{path}：{reason}。', hint: '{expected}' },
  },
} satisfies ErrorCatalog
