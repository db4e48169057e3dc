// Errors that any part of the product can raise.
import type { ErrorCatalog } from './catalog.ts'

export const commonErrors = {
  E_INTERNAL: {
    en: {
      message: 'Internal error: {reason}',
      hint: 'This is a defect. Please report it with the log file.',
    },
    zh: { message: '内部错误：{reason}', hint: '这是程序缺陷，请附上日志文件反馈。' },
  },
  E_CANCELLED: {
    en: { message: 'Cancelled.', hint: 'Nothing was changed. Start it again when you are ready.' },
    zh: { message: '已取消。', hint: '没有任何更改，需要时可重新开始。' },
  },
  E_FILE_NOT_FOUND: {
    en: { message: 'File not found: {path}', hint: 'Check the path; relative paths start at {base}.' },
    zh: { message: '找不到文件：{path}', hint: '请检查路径；相对路径以 {base} 为起点。' },
  },
  E_FILE_READ: {
    en: {
      message: 'Cannot read {path}: {reason}',
      hint: 'Check that the file exists and that you may read it.',
    },
    zh: { message: '无法读取 {path}：{reason}', hint: '请检查文件是否存在以及是否有读取权限。' },
  },
  E_FILE_WRITE: {
    en: {
      message: 'Cannot write {path}: {reason}',
      hint: 'Check that the folder exists, that you may write there, and that the disk is not full.',
    },
    zh: { message: '无法写入 {path}：{reason}', hint: '请检查目录是否存在、是否有写权限以及磁盘空间。' },
  },
  E_ARGUMENT: {
    en: { message: '{name}: {reason}', hint: 'Expected {expected}.' },
    zh: { message: '{name}：{reason}', hint: '应为 {expected}。' },
  },
  E_JSON_SYNTAX: {
    en: { message: '{path}:{line}:{column}: {reason}', hint: 'Fix the JSON at that line and column.' },
    zh: { message: '{path}:{line}:{column}：{reason}', hint: '请修正该行该列处的 JSON。' },
  },
  E_JSON_UNKNOWN_KEY: {
    en: { message: '{path}:{line}:{column}: unknown key "{key}"', hint: 'Did you mean {suggestions}?' },
    zh: { message: '{path}:{line}:{column}：未知的键 "{key}"', hint: '是否想写 {suggestions}？' },
  },
  E_JSON_VALUE: {
    en: { message: '{path}: {key}: {reason}', hint: 'Expected {expected}.' },
    zh: { message: '{path}：{key}：{reason}', hint: '应为 {expected}。' },
  },
} satisfies ErrorCatalog
