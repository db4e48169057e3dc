// The runner of the vendor's compiler against a stand-in script that prints what atc prints.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../../contract/errors/index.ts'
import { atcArguments, findAtc, parseAtcError, runAtc } from '../../../engine/compile/index.ts'

let folder: string

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atc-test-'))
  fs.writeFileSync(path.join(folder, 'm.onnx'), 'x')
})
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }))

function fakeAtc(script: string): string {
  const file = path.join(folder, 'atc')
  fs.writeFileSync(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  return file
}

const request = (atcPath: string) => ({
  modelPath: path.join(folder, 'm.onnx'),
  soc: 'Ascend310P3',
  precision: 'fp16' as const,
  outputPath: path.join(folder, 'out.om'),
  inputShapes: { x: [1, 3, 4, 4] },
  atcPath,
})

const FAIL = `echo 'ATC start working now, please wait for a moment.'
echo 'ATC run failed, Please check the detail log, Try '"'"'atc --help'"'"' for more information'
echo 'E10001: [PID: 4711] 2025-03-01-10:11:12.123.456 (Invalid_Argument) Value [Ascend310X] for parameter [--soc_version] is invalid. Reason: not supported.'
echo '        Possible Cause: The SoC name is misspelt.'
echo '        Solution: Check the SoC with npu-smi info.'
echo '        TraceBack (most recent call last):'
echo '        some inner line'
exit 255`

describe('runAtc', () => {
  it('compiles in a folder of its own and leaves only the model', async () => {
    const atc = fakeAtc(`for a in "$@"; do case $a in --output=*) out=\${a#--output=};; esac; done
echo 'ATC start working now, please wait for a moment.'
printf 'IMODdata' > "$out"_linux_x86_64.om; echo '{}' > fusion_result.json; mkdir kernel_meta
echo "$@" > '${folder}/argv'
echo 'ATC run success, welcome to the next use.'`)
    const items: string[] = []
    const result = await runAtc(request(atc), { onProgress: (progress) => items.push(progress.item ?? '') })
    expect(fs.readFileSync(result.path, 'utf8')).toBe('IMODdata')
    expect(result.bytes).toBe(8)
    expect(items.join()).toContain('success')
    const argv = fs.readFileSync(path.join(folder, 'argv'), 'utf8')
    expect(argv).toContain('--framework=5')
    expect(argv).toContain('--input_shape=x:1,3,4,4')
    expect(argv).toContain('--precision_mode=force_fp16')
    expect(fs.readdirSync(folder).sort()).toEqual(['argv', 'atc', 'm.onnx', 'out.om'])
  })

  it('turns an error block into E_ATC_FAILED and keeps the log', async () => {
    const failed = await runAtc(request(fakeAtc(FAIL))).catch((error: unknown) => error)
    expect(failed).toBeInstanceOf(AppError)
    const { code, details, message, hint } = failed as AppError
    expect(code).toBe('E_ATC_FAILED')
    expect(details.atcCode).toBe('E10001')
    expect(message).toContain('Value [Ascend310X] for parameter [--soc_version] is invalid')
    expect(hint).toContain('misspelt')
    expect(hint).toContain('npu-smi')
    expect(fs.readFileSync(details.log as string, 'utf8')).toContain('TraceBack')
    fs.rmSync(details.log as string)
    expect(fs.readdirSync(folder).sort()).toEqual(['atc', 'm.onnx'])
  })

  it('reports an exit without a model', async () => {
    const failed = (await runAtc(request(fakeAtc('exit 0'))).catch((error: unknown) => error)) as AppError
    expect(failed.code).toBe('E_ATC_FAILED')
    fs.rmSync(failed.details.log as string)
  })

  it('kills atc and its children when cancelled', async () => {
    const atc = fakeAtc(`sleep 60 &\necho $! > '${folder}/pid'\nwait`)
    const controller = new AbortController()
    const running = runAtc(request(atc), { signal: controller.signal }).catch((error: unknown) => error)
    while (
      !fs.existsSync(path.join(folder, 'pid')) ||
      fs.readFileSync(path.join(folder, 'pid'), 'utf8') === ''
    ) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    controller.abort()
    expect(((await running) as AppError).code).toBe('E_CANCELLED')
    const pid = Number(fs.readFileSync(path.join(folder, 'pid'), 'utf8'))
    const state = (): string => {
      try {
        return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0] ?? 'gone'
      } catch {
        return 'gone'
      }
    }
    await expect.poll(() => ['gone', 'Z'].includes(state()), { timeout: 5000 }).toBe(true)
  })

  it('finds atc on PATH and in the CANN folder, and says where it looked', async () => {
    const atc = fakeAtc('exit 0')
    expect(findAtc({ PATH: folder })).toBe(atc)
    fs.mkdirSync(path.join(folder, 'cann', 'compiler', 'bin'), { recursive: true })
    const inner = path.join(folder, 'cann', 'compiler', 'bin', 'atc')
    fs.copyFileSync(atc, inner)
    expect(findAtc({ PATH: '', ASCEND_HOME_PATH: path.join(folder, 'cann') })).toBe(inner)
  })
})

describe('atc arguments and output', () => {
  it('passes gears as ATC writes them and no precision for a deploy model', () => {
    const base = { ...request('atc'), precision: 'int8' as const }
    const args = atcArguments(
      {
        ...base,
        gears: {
          kind: 'image',
          values: [
            [416, 416],
            [832, 832],
          ],
        },
      },
      '/o/m',
    )
    expect(args).toContain('--dynamic_image_size=416,416;832,832')
    expect(args.some((argument) => argument.startsWith('--precision_mode'))).toBe(false)
    const dims = atcArguments(
      {
        ...base,
        gears: {
          kind: 'dims',
          values: [
            [1, 2],
            [3, 4],
          ],
        },
      },
      '/o/m',
    )
    expect(dims).toContain('--dynamic_dims=1,2;3,4')
    expect(dims).toContain('--input_format=ND')
  })

  it('reads the error forms of CANN 8 and 9', () => {
    const nine = `[PID: 12] 2026-01-02-03:04:05.678.901 Invalid_Argument(EZ3003): No supported Ops kernel and engine are found for [n], optype [Foo].
        Possible Cause: The operator is not registered.
        Solution: 1. Check the OPP.
        2. Submit an issue.
        TraceBack (most recent call last):`
    expect(parseAtcError(nine)).toEqual({
      code: 'EZ3003',
      message: 'No supported Ops kernel and engine are found for [n], optype [Foo].',
      cause: 'The operator is not registered.',
      solution: '1. Check the OPP. 2. Submit an issue.',
    })
    expect(parseAtcError('E19999: Inner Error!\nmore')?.message).toBe('Inner Error!')
    expect(parseAtcError('all good')).toBeNull()
  })
})
