// Errors of data preparation: folders of pictures, pictures, settings.
import type { ErrorCatalog } from './catalog.ts'

export const preparationErrors = {
  E_PREPARE_FOLDER: {
    en: {
      message: '{path} holds no pictures ({expected})',
      hint: 'Check the folder; pictures in sub-folders are found too.',
    },
    zh: { message: '{path} 中没有图片（{expected}）', hint: '请检查文件夹；子文件夹中的图片也会被查找。' },
  },
  E_PREPARE_COUNT: {
    en: {
      message: '{wanted} pictures are wanted, {path} holds {available}',
      hint: 'Ask for fewer or add pictures.',
    },
    zh: { message: '需要 {wanted} 张图片，{path} 中只有 {available} 张', hint: '请减少数量或补充图片。' },
  },
  E_PREPARE_PICTURE: {
    en: {
      message: '{path} cannot be decoded: {reason}',
      hint: 'Replace or remove the file; nothing was written.',
    },
    zh: { message: '无法解码 {path}：{reason}', hint: '请替换或删除该文件；未写入任何内容。' },
  },
  E_PREPARE_SIZE: {
    en: {
      message: '{path} is {found} after resizing, which has no room for {expected}',
      hint: 'Make the resize larger, or the crop smaller.',
    },
    zh: { message: '{path} 缩放后为 {found}，不足以容纳 {expected}', hint: '请增大缩放尺寸或减小裁剪尺寸。' },
  },
  E_PREPARE_SHAPES: {
    en: {
      message: '{path} becomes {found}, the pictures before it {expected}',
      hint: 'All samples need one shape: set a resize mode or a crop.',
    },
    zh: {
      message: '{path} 处理后为 {found}，之前的图片为 {expected}',
      hint: '所有样本形状须一致：请设置缩放或裁剪。',
    },
  },
  E_PREPARE_SETTINGS: {
    en: {
      message: 'The preparation cannot be done: {problems}',
      hint: 'docs/data.md describes every setting.',
    },
    zh: { message: '无法执行数据准备：{problems}', hint: '各设置见 docs/data.md。' },
  },
} satisfies ErrorCatalog
