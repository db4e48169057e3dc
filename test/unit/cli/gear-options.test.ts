// Gears on the command line: atc's grammar, and a refusal that names the option and the text.
import { expect, test } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import { parseInputShapes } from '../../../cli/runtime/arguments.ts'
import { gearsOf } from '../../../cli/runtime/gear-options.ts'

test.each([
  [{}, undefined],
  [{ dynamicBatch: '1,2,4' }, { kind: 'batch', values: [1, 2, 4] }],
  [
    { dynamicImage: '416,416;832,640' },
    {
      kind: 'image',
      values: [
        [416, 416],
        [832, 640],
      ],
    },
  ],
  [
    { dynamicDims: '1,64;1,128' },
    {
      kind: 'dims',
      values: [
        [1, 64],
        [1, 128],
      ],
    },
  ],
])('%j', (options, gears) => {
  expect(gearsOf(options)).toEqual(gears)
})

test.each([
  { dynamicBatch: '1,x' },
  { dynamicBatch: '' },
  { dynamicBatch: '0' },
  { dynamicImage: '416' },
  { dynamicDims: '1,-1' },
])('refuses %j', (options) => {
  expect(() => gearsOf(options)).toThrow(AppError)
  expect(() => gearsOf(options)).toThrow(/--dynamic-/)
})

test('an open size is taken only beside gears', () => {
  expect(parseInputShapes('--input-shape', 'x:-1,3', true)).toEqual({ x: [-1, 3] })
  expect(() => parseInputShapes('--input-shape', 'x:-1,3')).toThrow(AppError)
})
