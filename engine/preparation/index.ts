// From pictures to calibration and evaluation data.
export { checkedPreparation, preparePictures, previewPreparation } from './prepare.ts'
