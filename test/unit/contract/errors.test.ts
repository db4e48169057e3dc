// Every error has its texts in both languages, filled with the same values; errors survive a process boundary.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { AppError, errorCatalog, fromErrorShape, toErrorShape } from '../../../contract/errors/index.ts'
import type { ErrorCode, Locale } from '../../../contract/errors/index.ts'

const ROOT = path.resolve(import.meta.dirname, '../../..')
const codes = Object.keys(errorCatalog) as ErrorCode[]

function placeholders(code: ErrorCode, locale: Locale): string[] {
  const { message, hint } = errorCatalog[code][locale]
  return [...new Set(`${message} ${hint}`.match(/\{\w+\}/g) ?? [])].sort()
}

describe('the catalogue', () => {
  it('names every code E_...', () => {
    expect(codes.filter((code) => !/^E_[A-Z0-9]+(_[A-Z0-9]+)*$/.test(code))).toEqual([])
  })

  it.each(codes)('%s reads the same in English and Chinese', (code) => {
    for (const locale of ['en', 'zh'] as const) {
      const { message, hint } = errorCatalog[code][locale]
      expect(message.trim()).not.toBe('')
      expect(hint.trim()).not.toBe('')
    }
    expect(placeholders(code, 'zh')).toEqual(placeholders(code, 'en'))
    const { zh, en } = errorCatalog[code]
    // What is left without placeholders is Chinese, or nothing but punctuation.
    expect(`${zh.message}${zh.hint}`.replace(/\{\w+\}/g, '')).toMatch(/\p{Script=Han}|^\P{L}*$/u)
    expect(`${en.message}${en.hint}`).not.toMatch(/\p{Script=Han}/u)
  })
})

describe('an error', () => {
  it('keeps code, details and texts across a boundary', () => {
    const error = new AppError('E_FILE_NOT_FOUND', { path: 'unet.onnx', folder: 'here' })
    const copy = fromErrorShape(
      JSON.parse(JSON.stringify(toErrorShape(error))) as ReturnType<typeof toErrorShape>,
    )
    expect(copy).toMatchObject({
      code: error.code,
      message: error.message,
      hint: error.hint,
      details: error.details,
    })
  })

  it('of an unknown code becomes an internal one that keeps the message', () => {
    const shape = { code: 'E_FROM_THE_FUTURE', message: 'what it said', hint: '', details: {} }
    expect(fromErrorShape(shape as never)).toMatchObject({
      code: 'E_INTERNAL',
      details: { reason: 'what it said' },
    })
    expect(toErrorShape(new TypeError('a bug')).details).toMatchObject({ reason: 'a bug' })
  })
})

/** The values that `new AppError('CODE', {...})` gives, by code, wherever the source spells them all out. */
function thrownDetails(): { where: string; code: string; keys: Set<string> }[] {
  const found: { where: string; code: string; keys: Set<string> }[] = []
  const files = ['engine', 'cli', 'native/acl', 'electron'].flatMap((folder) =>
    readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => path.join(folder, name)),
  )
  for (const file of files) {
    const source = ts.createSourceFile(
      file,
      readFileSync(path.join(ROOT, file), 'utf8'),
      ts.ScriptTarget.Latest,
      true,
    )
    const visit = (node: ts.Node): void => {
      ts.forEachChild(node, visit)
      if (!ts.isNewExpression(node) || node.expression.getText() !== 'AppError') return
      const [code, details] = node.arguments ?? []
      if (!code || !ts.isStringLiteral(code)) return
      if (details && !ts.isObjectLiteralExpression(details)) return
      const properties = details?.properties ?? []
      if (properties.some(ts.isSpreadAssignment)) return
      const keys = properties.flatMap((property) => property.name?.getText() ?? [])
      const { line } = source.getLineAndCharacterOfPosition(node.getStart())
      found.push({ where: `${file}:${line + 1}`, code: code.text, keys: new Set(keys) })
    }
    visit(source)
  }
  return found
}

describe('what is thrown', () => {
  const thrown = thrownDetails()

  it('gives every value that the text of its code shows', () => {
    expect(thrown.length).toBeGreaterThan(100)
    const missing = thrown.flatMap(({ where, code, keys }) =>
      placeholders(code as ErrorCode, 'en')
        .filter((placeholder) => !keys.has(placeholder.slice(1, -1)))
        .map((placeholder) => `${where}: ${code} without ${placeholder}`),
    )
    expect(missing).toEqual([])
  })
})
