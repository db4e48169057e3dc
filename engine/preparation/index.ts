// From pictures to calibration and evaluation data.
export { prepareArrays } from './arrays.ts'
export { prepareTokens } from './tokens.ts'
export { checkedPreparation, preparePictures, previewPreparation } from './prepare.ts'
