// Inspecting .om files of every layout, built by an independent encoder, and surviving damaged ones.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import { compileModel, inspectOm, readOmManifest, recoverOnnx } from '../../../engine/compile/index.ts'
import { AttributeNames } from '../../../engine/compile/om-model-def-reader.ts'
import { attribute, bytesOf, desc, field, le, modelDef, omFile, op, table } from './om-encoder.ts'

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'om-test-'))
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

function file(bytes: Uint8Array, name = 'm.om'): string {
  const target = path.join(folder, name)
  fs.writeFileSync(target, bytes)
  return target
}

const data = (name: string, attributes: Buffer[] = [], dims = [1, 42, 42, 1]): Buffer =>
  op(name, 'Data', [field(33, desc({ name, type: 1, dims })), ...attributes.map((entry) => field(10, entry))])

const netOutput = (type = 7): Buffer =>
  op('out', 'NetOutput', [field(33, desc({ type, dims: [1], layout: 'ND' }))])

/** A file as 2021 compilers wrote it: header 1, 32-bit table, no MODEL_INOUT_INFO, no soc_version. */
function oldFile(): Buffer {
  const model = modelDef(
    'old',
    [data('s'), op('c', 'Conv2D'), netOutput()],
    [
      attribute('attr_model_out_nodes_name', ['out_a:0']),
      attribute('memory_size', 90624),
      attribute('weight_size', 320000),
      attribute('atc_cmdline', 'atc --model="./my net.pb" --framework=3'),
    ],
  )
  const parts = [
    { type: 0, content: model },
    { type: 1, content: Buffer.alloc(100) },
    { type: 2, content: Buffer.alloc(3) },
    { type: 3, content: bytesOf(le(0x5d776efd, 4), le(1, 4), le(2, 4), Buffer.from('kxx')) },
  ]
  return omFile([table(parts, false)], { version: 1 })
}

/** MODEL_INOUT_INFO in ACL numbering. */
function inOut(gears: Buffer[] = []): Buffer {
  const tensor = (name: string, type: number, dims: number[], size: number): Buffer => {
    const shape = bytesOf(...dims.map((dim) => le(dim, 8)))
    const head = [
      le(size, 8),
      le(0, 4),
      le(type, 4),
      le(name.length, 4),
      le(shape.length, 4),
      le(0, 4),
      le(0, 4),
    ]
    return bytesOf(...head, Buffer.from(name), shape)
  }
  const entry = (type: number, value: Buffer): Buffer => bytesOf(le(type, 4), le(value.length, 4), value)
  return bytesOf(
    entry(0, bytesOf(le(1, 4), tensor('image', 1, [-1, 3, 8, 8], 1536))),
    entry(1, bytesOf(le(1, 4), tensor('logits', 3, [-1, 2], 32))),
    ...gears,
  )
}

const gearsBatch = bytesOf(le(2, 4), le(20, 4), le(2, 4), le(1, 8), le(4, 8))
const gearsImage = bytesOf(le(3, 4), le(4 + 4 + 16, 4), le(1, 4), le(16, 4), le(416, 8), le(832, 8))

/** CANN 7 and later: 64-bit table, compressed attribute names. */
function newFile(gears: Buffer[] = []): Buffer {
  const index = attribute('\0\u0001', 0)
  const model = modelDef(
    'new',
    [data('image', [index]), netOutput()],
    [
      attribute('om_compress_version', 1),
      attribute('attr_name_enum', ['index', 'format']),
      attribute('soc_version', 'Ascend310B4'),
      attribute('atc_version', '7.6.0.1.220'),
      attribute('atc_cmdline', 'atc --model=net.onnx --soc_version=Ascend310B4'),
    ],
  )
  const parts = [
    { type: 8, content: inOut(gears) },
    { type: 0, content: model },
    { type: 1, content: Buffer.alloc(64) },
  ]
  return omFile([table(parts, true)], { wide: true })
}

describe('inspectOm', () => {
  it('reads header version 1 with a 32-bit table, from the operators', () => {
    const summary = inspectOm(file(oldFile()))
    expect(summary).toMatchObject({
      kind: 'om',
      simulated: false,
      headerVersion: 0x10000000,
      modelCount: 1,
      name: 'old',
      soc: null,
      sourceModel: './my net.pb',
      inputs: [{ name: 's', dataType: 'float', format: 'NHWC', dims: [1, 42, 42, 1], size: 7056 }],
      outputs: [{ name: 'out_a:0', dataType: 'int32', dims: [1], size: 4 }],
      sizes: { memory: 90624, weights: 320000 },
    })
    expect(summary.ops.total).toBe(3)
    expect(summary.sizes.partitions.map((part) => part.name)).toEqual([
      'MODEL_DEF',
      'WEIGHTS_DATA',
      'TASK_INFO',
      'TBE_KERNELS',
    ])
  })

  it('reads header version 2 with a 32-bit table', () => {
    const bytes = omFile([table([{ type: 0, content: modelDef('m', [data('a')]) }], false)])
    expect(inspectOm(file(bytes))).toMatchObject({ headerVersion: 0x20000000, name: 'm' })
  })

  it('reads a 64-bit table, MODEL_INOUT_INFO in ACL types and gears', () => {
    const summary = inspectOm(file(newFile([gearsBatch])))
    expect(summary).toMatchObject({
      soc: 'Ascend310B4',
      compiler: '7.6.0.1.220',
      sourceModel: 'net.onnx',
      inputs: [{ name: 'image', dataType: 'float16', format: 'NCHW', dims: [-1, 3, 8, 8], size: 1536 }],
      outputs: [{ name: 'logits', dataType: 'int32', dims: [-1, 2] }],
      gears: { kind: 'batch', values: [1, 4] },
    })
    expect(inspectOm(file(newFile([gearsImage]))).gears).toEqual({ kind: 'image', values: [[416, 832]] })
  })

  it('orders inputs by their index attribute, compressed or not', () => {
    const names = [attribute('attr_name_enum', ['index']), attribute('om_compress_version', 1)]
    const ops = [data('second', [attribute('\0\u0001', 1)]), data('first', [attribute('\0\u0001', 0)])]
    const bytes = omFile([table([{ type: 0, content: modelDef('m', ops, names) }], false)])
    expect(inspectOm(file(bytes)).inputs.map((input) => input.name)).toEqual(['first', 'second'])
  })

  it('decodes base-127 attribute keys and enumerated strings', () => {
    const texts = Array.from({ length: 300 }, (_, i) => `name${i}`)
    const value = (entries: object) => ({ texts: [], numbers: [], ...entries })
    const names = new AttributeNames(
      new Map([
        ['attr_name_enum', value({ texts })],
        ['attr_value_enum', value({ texts: ['NCHW', 'ND'] })],
        ['attrs_use_string_value', value({ texts: ['name3'] })],
      ]),
    )
    expect(names.decode('\0\u0001')).toBe('name0')
    expect(names.decode('\0\u007f')).toBe('name126')
    expect(names.decode('\0\u0001\u0002')).toBe('name127')
    expect(names.decode(`\0${String.fromCharCode(1 + 45, 1 + 2)}`)).toBe('name299')
    expect(names.decode('plain')).toBe('plain')
    expect(names.resolve('name3', value({ number: 1 })).text).toBe('ND')
    expect(names.resolve('name4', value({ number: 1 })).text).toBeUndefined()
  })

  it('reads several models in one file, flow models and bundles', () => {
    const unit = (name: string) =>
      table([{ type: 0, content: modelDef(name, [data('a'), netOutput()]) }], true)
    const several = omFile([unit('root'), unit('sub')], { wide: true, unknownModel: 1 })
    expect(inspectOm(file(several))).toMatchObject({
      modelCount: 2,
      dynamicShape: true,
      name: 'root',
      ops: { total: 4 },
    })
    const flow = omFile(
      [
        table(
          [
            { type: 6, content: Buffer.alloc(5) },
            { type: 7, content: Buffer.alloc(9) },
          ],
          true,
        ),
      ],
      { modelType: 3, name: 'flow' },
    )
    expect(inspectOm(file(flow))).toMatchObject({ kind: 'flow', name: 'flow' })
    const bundle = omFile([table([{ type: 24, content: Buffer.alloc(5) }], false)], { modelType: 5 })
    expect(inspectOm(file(bundle)).kind).toBe('bundle')
  })

  it('reads the manifests of an OM2 archive', () => {
    const manifest = {
      om2_version: '0',
      model_num: 1,
      atc_command: 'atc --mode=7 --model=a.onnx --soc_version=Ascend910B3',
    }
    const meta = {
      name: 'net',
      inputs: [{ name: 'x', index: 0, shape: [1, 4], data_type: 'DT_FLOAT', format: 'ND', size: 16 }],
      outputs: [{ name: 'y', index: 0, shape: [1, 2], data_type: 'DT_FLOAT16', format: 'ND', size: 4 }],
      work_size: 512,
    }
    const archive = zip({
      'manifest.json': JSON.stringify(manifest),
      'data/model_0/model_meta.json': JSON.stringify(meta),
      'data/constants/constant_0': 'x'.repeat(33),
    })
    expect(inspectOm(file(archive))).toMatchObject({
      kind: 'om2',
      soc: 'Ascend910B3',
      sourceModel: 'a.onnx',
      inputs: [{ name: 'x', dataType: 'float', dims: [1, 4] }],
      outputs: [{ name: 'y', dataType: 'float16' }],
      sizes: { memory: 512, weights: 33 },
    })
    expect(readOmManifest(file(archive))).toBeNull()
  })

  it('refuses what it cannot read, saying why', () => {
    const cases: [Uint8Array, string, RegExp][] = [
      [
        omFile([table([{ type: 0, content: modelDef('m', []) }], false)], { encrypted: 1 }),
        'E_OM_ENCRYPTED',
        /encrypted/,
      ],
      [Buffer.from('PICO and more bytes'), 'E_OM_INVALID', /HiSilicon/],
      [Buffer.from('version https://git-lfs.github.com/spec/v1'), 'E_OM_INVALID', /LFS/],
      [Buffer.alloc(0), 'E_OM_INVALID', /IMOD/],
      [newFile().subarray(0, 300), 'E_OM_INVALID', /300 bytes/],
      [bytesOf(newFile(), [0]), 'E_OM_INVALID', /bytes/],
    ]
    for (const [bytes, code, text] of cases) {
      const error = capture(() => inspectOm(file(bytes)))
      expect(error?.code).toBe(code)
      expect(error?.message).toMatch(text)
    }
    expect(capture(() => inspectOm(path.join(folder, 'absent.om')))?.code).toBe('E_FILE_NOT_FOUND')
  })

  it('names the source model when a real file is to be quantized', () => {
    const error = capture(() => recoverOnnx(file(newFile())))
    expect(error?.code).toBe('E_OM_REAL')
    expect(error?.hint).toContain('net.onnx')
    expect(error?.message).toContain('Ascend310B4')
    expect(readOmManifest(file(newFile()))).toBeNull()
  })

  it('raises nothing but AppError on damaged files', async () => {
    const archive = zip({ 'manifest.json': '{}', 'data/model_0/model_meta.json': '{"inputs":[]}' })
    const originals = [
      oldFile(),
      newFile([gearsBatch]),
      newFile([gearsImage]),
      archive,
      await simulatedFile(),
    ]
    const change = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), value: fc.nat(255) })
    fc.assert(
      fc.property(
        fc.nat(originals.length - 1),
        fc.array(change, { minLength: 1, maxLength: 6 }),
        fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
        (which, changes, cut) => {
          const bytes = Buffer.from(originals[which]!)
          for (const { at, value } of changes) bytes[Math.floor(at * (bytes.length - 1))] = value
          const end = cut === null ? bytes.length : Math.floor(cut * bytes.length)
          const target = file(bytes.subarray(0, end), 'fuzz.om')
          for (const use of [inspectOm, readOmManifest, recoverOnnx]) capture(() => use(target))
        },
      ),
      { numRuns: 400 },
    )
  })
})

/** What our own compiler writes for a product of 2 x 3 values. */
async function simulatedFile(): Promise<Buffer> {
  const dims = bytesOf(field(1, field(1, 2)), field(1, field(1, 3)))
  const typed = (name: string): Buffer =>
    bytesOf(field(1, name), field(2, field(1, bytesOf(field(1, 1), field(2, dims)))))
  const node = bytesOf(field(1, 'x'), field(1, 'x'), field(2, 'y'), field(3, 'n'), field(4, 'Mul'))
  const graph = bytesOf(field(1, node), field(2, 'g'), field(11, typed('x')), field(12, typed('y')))
  const onnx = bytesOf(field(1, 8), field(7, graph), field(8, bytesOf(field(2, 17))))
  const outputPath = path.join(folder, 'simulated.om')
  await compileModel({ modelPath: file(onnx, 's.onnx'), soc: 'Ascend310P3', precision: 'fp16', outputPath })
  expect(inspectOm(outputPath).simulated).toBe(true)
  return fs.readFileSync(outputPath)
}

/** The AppError a call throws; anything else it throws fails the test. */
function capture(call: () => unknown): AppError | null {
  try {
    call()
    return null
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
}

/** A ZIP with stored entries (APPNOTE.TXT 4.3.7, 4.3.12, 4.3.16). */
function zip(files: Record<string, string>): Buffer {
  const u16 = (value: number): Buffer => le(value, 4).subarray(0, 2)
  const local: Buffer[] = []
  const central: Buffer[] = []
  let offset = 0
  for (const [name, text] of Object.entries(files)) {
    const content = Buffer.from(text)
    const facts = bytesOf(u16(20), u16(0), u16(0), u16(0), u16(0), le(crc32(content), 4))
    const sizes = bytesOf(le(content.length, 4), le(content.length, 4), u16(name.length))
    const entry = bytesOf(le(0x04034b50, 4), facts, sizes, u16(0), Buffer.from(name), content)
    central.push(
      bytesOf(
        le(0x02014b50, 4),
        u16(20),
        facts,
        sizes,
        u16(0),
        u16(0),
        u16(0),
        u16(0),
        le(0, 4),
        le(offset, 4),
      ),
      Buffer.from(name),
    )
    local.push(entry)
    offset += entry.length
  }
  const directory = bytesOf(...central)
  const count = Object.keys(files).length
  const end = bytesOf(
    le(0x06054b50, 4),
    u16(0),
    u16(0),
    u16(count),
    u16(count),
    le(directory.length, 4),
    le(offset, 4),
    u16(0),
  )
  return bytesOf(...local, directory, end)
}
