// Gears of an .om: the sizes a dynamic model is compiled for, in the grammar of atc's own options.
import { Option, type Command } from 'commander'
import { AppError } from '../../contract/errors/index.ts'
import type { OmGears } from '../../contract/om.ts'

export interface GearOptions {
  dynamicBatch?: string
  dynamicImage?: string
  dynamicDims?: string
}

export function addGearOptions(command: Command): void {
  const gear = (flags: string, text: string, others: string[]): Option =>
    new Option(flags, text).conflicts(others)
  command
    .addOption(
      gear('--dynamic-batch <sizes>', 'batch sizes to choose from at run time, e.g. "1,2,4"', [
        'dynamicImage',
        'dynamicDims',
      ]),
    )
    .addOption(
      gear('--dynamic-image <sizes>', 'heights and widths, e.g. "416,416;832,832"', [
        'dynamicBatch',
        'dynamicDims',
      ]),
    )
    .addOption(
      gear('--dynamic-dims <sizes>', 'a value for each -1 of --input-shape, e.g. "1,64;1,128"', [
        'dynamicBatch',
        'dynamicImage',
      ]),
    )
}

/** Positive sizes separated by commas. @throws E_ARGUMENT */
function sizes(name: string, text: string, count?: number): number[] {
  const values = text.split(',').map((part) => (/^\s*\d{1,9}\s*$/.test(part) ? Number(part) : 0))
  const fits = values.every((value) => value > 0) && (count === undefined || values.length === count)
  if (fits) return values
  const expected = count === 2 ? 'HEIGHT,WIDTH pairs separated by ";"' : 'positive sizes separated by ","'
  throw new AppError('E_ARGUMENT', { name, reason: `"${text}" is not a list of sizes`, expected })
}

/** The gears asked for; undefined for a model of fixed shape. @throws E_ARGUMENT */
export function gearsOf(options: GearOptions): OmGears | undefined {
  const { dynamicBatch, dynamicImage, dynamicDims } = options
  if (dynamicBatch !== undefined) return { kind: 'batch', values: sizes('--dynamic-batch', dynamicBatch) }
  if (dynamicImage !== undefined) {
    const pairs = dynamicImage.split(';').map((text) => sizes('--dynamic-image', text, 2) as [number, number])
    return { kind: 'image', values: pairs }
  }
  if (dynamicDims !== undefined) {
    return { kind: 'dims', values: dynamicDims.split(';').map((text) => sizes('--dynamic-dims', text)) }
  }
  return undefined
}
