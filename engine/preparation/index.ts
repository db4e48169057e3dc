// From pictures to calibration and evaluation data.
export { prepareTokens } from './tokens.ts'
export { checkedPreparation, preparePictures, previewPreparation } from './prepare.ts'
