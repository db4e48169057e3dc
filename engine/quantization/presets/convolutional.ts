// Presets for convolutional networks: classifiers, detectors, encoders of pictures.
import type { RecipePreset } from '../../../contract/presets.ts'
import { composePreset, type Decision } from './compose.ts'
import type { RecognisedModel } from './recognise.ts'

const FIRST: Decision = {
  precision: 'fp16',
  reason: {
    en: 'The first layer reads the picture: its error reaches everything, and it is a small part of the work.',
    zh: '第一层读取图像：其误差影响所有后续层，而计算量占比很小。',
  },
}
const CLASSIFIER: Decision = {
  precision: 'fp16',
  reason: {
    en: 'The last layer decides between classes whose scores lie close together; it is a small part of the work.',
    zh: '最后一层在得分接近的类别之间抉择；其计算量占比很小。',
  },
}

export function convolutionalPresets(model: RecognisedModel): RecipePreset[] {
  return [
    composePreset(
      {
        id: 'convolutional_w8a8',
        family: 'convolutional',
        name: { en: 'Convolutional network W8A8', zh: '卷积网络 W8A8' },
        description: {
          en: 'INT8 everywhere with the best range per tensor, batch normalization folded, neighbouring layers equalized, biases corrected.',
          zh: '全部 INT8，逐张量取最佳范围，折叠批归一化，均衡相邻层，并校正偏置。',
        },
        recipe: { activation: { method: 'auto' }, repair: { equalize: true, bias_correction: true } },
        policy: {},
      },
      model,
    ),
    composePreset(
      {
        id: 'convolutional_careful',
        family: 'convolutional',
        name: { en: 'Convolutional network, ends in FP16', zh: '卷积网络，首末层 FP16' },
        description: {
          en: 'As the one before, with the first layer and the classifier in FP16.',
          zh: '同上，但第一层与分类层保持 FP16。',
        },
        recipe: { activation: { method: 'auto' }, repair: { equalize: true, bias_correction: true } },
        policy: {
          input_convolution: FIRST,
          patch_embedding: FIRST,
          classifier: CLASSIFIER,
          output_convolution: CLASSIFIER,
          output_projection: CLASSIFIER,
        },
      },
      model,
    ),
  ]
}
