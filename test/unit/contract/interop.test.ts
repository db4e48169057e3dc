// Every note reads the same in both languages, is made somewhere, and is given what its text shows.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import type { InteropNoteCode } from '../../../contract/interop.ts'
import { interopNotes } from '../../../contract/interop.ts'

const ENGINE = path.resolve(import.meta.dirname, '../../../engine')
const codes = Object.keys(interopNotes) as InteropNoteCode[]

function placeholders(text: string): string[] {
  return [...new Set([...text.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name))].sort()
}

interface Made {
  where: string
  code: string
  /** Undefined where the source does not spell the details out. */
  keys: string[] | undefined
}

function spelledKeys(details: ts.Expression | undefined): string[] | undefined {
  if (!details) return []
  if (!ts.isObjectLiteralExpression(details) || details.properties.some(ts.isSpreadAssignment))
    return undefined
  return details.properties.flatMap((property) => property.name?.getText() ?? [])
}

/** Calls of makeNote. */
function madeNotes(): Made[] {
  const made: Made[] = []
  const files = readdirSync(ENGINE, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  )
  for (const file of files) {
    const text = readFileSync(path.join(ENGINE, file), 'utf8')
    if (!text.includes('makeNote')) continue
    const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
    const visit = (node: ts.Node): void => {
      ts.forEachChild(node, visit)
      if (!ts.isCallExpression(node) || node.expression.getText() !== 'makeNote') return
      const [code, details] = node.arguments
      const { line } = source.getLineAndCharacterOfPosition(node.getStart())
      const where = `${file}:${line + 1}`
      made.push({
        where,
        code: code && ts.isStringLiteral(code) ? code.text : '',
        keys: spelledKeys(details),
      })
    }
    visit(source)
  }
  return made
}

describe('notes on what another form cannot say', () => {
  const made = madeNotes()

  it.each(codes)('%s', (code) => {
    const { en, zh } = interopNotes[code]
    expect(en).not.toMatch(/\p{Script=Han}/u)
    expect(zh).toMatch(/\p{Script=Han}/u)
    expect(placeholders(zh)).toEqual(placeholders(en))
    const places = made.filter((note) => note.code === code)
    expect(places.map(({ where }) => where)).not.toEqual([])
    for (const { where, keys } of places) {
      if (keys) expect({ where, keys: keys.sort() }).toEqual({ where, keys: placeholders(en) })
    }
  })

  it('are made by their codes', () => {
    expect(made.filter(({ code }) => !(codes as string[]).includes(code))).toEqual([])
  })
})
