// Turns resources/devices/facts.csv (one published figure per row, with its source) into the JSON files that
// engine/cost loads: one file per SoC family. Run after editing the facts: npx node scripts/make-device-specs.ts
import fs from 'node:fs'
import path from 'node:path'

const folder = path.join(import.meta.dirname, '..', 'resources', 'devices')

const PRODUCTS: Record<string, string> = {
  Ascend310: 'Atlas 200, 300I, 500',
  Ascend310B1: 'Atlas 200I/500 A2, Orange Pi AIpro 20T',
  Ascend310B4: 'Atlas 200I DK A2, Orange Pi AIpro 8T',
  Ascend310P3: 'Atlas 300I Pro, 300I Duo, 300V',
  Ascend910A: 'Atlas 800 (A1)',
  Ascend910B4: 'Atlas 300I A2, 800I A2',
}

/** Families follow the platform naming of CANN: the prefix shared by chips an .om may be loaded on. */
function familyOf(soc: string): string {
  if (soc.startsWith('Ascend910_93')) return 'Ascend910_93'
  if (/^Ascend910B\d/.test(soc)) return 'Ascend910B'
  if (soc.startsWith('Ascend910')) return 'Ascend910'
  return /^Ascend310[A-Z]?/.exec(soc)![0]
}

interface Figure {
  value: number
  unit?: string
  source: string
}

interface Soc {
  name: string
  family: string
  products?: string
  figures: Record<string, Figure>
}

/** Splits one CSV line; a field with a comma is quoted, quotes are doubled. */
function csvFields(line: string): string[] {
  const fields: string[] = []
  for (const match of line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) {
    fields.push(match[1] === undefined ? (match[2] ?? '') : match[1].replaceAll('""', '"'))
  }
  return fields
}

function readFacts(): Map<string, Soc> {
  const socs = new Map<string, Soc>()
  const lines = fs.readFileSync(path.join(folder, 'facts.csv'), 'utf8').trim().split('\n').slice(1)
  for (const line of lines) {
    const [name, field, value, unit, source] = csvFields(line)
    if (!name || !field || !value || !source) throw new Error(`facts.csv: incomplete row: ${line}`)
    let soc = socs.get(name)
    if (!soc) socs.set(name, (soc = { name, family: familyOf(name), products: PRODUCTS[name], figures: {} }))
    soc.figures[field] = { value: Number(value), unit: unit || undefined, source }
  }
  return socs
}

const families = Map.groupBy(readFacts().values(), (soc) => soc.family)
for (const [family, socs] of families) {
  const file = path.join(folder, `${family.toLowerCase()}.json`)
  fs.writeFileSync(file, JSON.stringify({ family, socs }, null, 2) + '\n')
  console.log(`${file}: ${socs.map((soc) => soc.name).join(', ')}`)
}
