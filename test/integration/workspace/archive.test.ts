// Project archives: there and back, next to the original, and hostile ones.
import fc from 'fast-check'
import {
  createWriteStream,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { text } from 'node:stream/consumers'
import yauzl from 'yauzl'
import { ZipFile } from 'yazl'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { defaultRecipe } from '../../../contract/recipe.ts'
import { archiveLimits } from '../../../engine/workspace/archive-format.ts'
import { exportProject, importProject, Workspace } from '../../../engine/workspace/index.ts'
import { exampleRun } from '../../fixtures/example-run.ts'

let root: string
let workspace: Workspace
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'archive-'))
  workspace = new Workspace(path.join(root, 'w'))
})
afterEach(() => {
  workspace.close()
  rmSync(root, { recursive: true, force: true })
})

async function fill(): Promise<string> {
  const project = workspace.projects.create({ name: 'Original', description: 'text' })
  const source = path.join(root, 'm.onnx')
  writeFileSync(source, 'the model')
  const facts = { parameters: 3, opset: 17, nodes: 2, inputs: [] }
  const files = [{ path: source, relativePath: 'm.onnx' }]
  const base = { projectId: project.id, format: 'onnx' as const, sourcePath: source, facts }
  const model = await workspace.addModel({ ...base, name: 'm', files })
  const child = path.join(root, 'child.onnx')
  writeFileSync(child, 'its child')
  const childFiles = [{ path: child, relativePath: 'child.onnx' }]
  await workspace.addModel({ ...base, name: 'child', files: childFiles, role: 'int8', parentId: model.id })
  const data = path.join(root, '0.bin')
  writeFileSync(data, 'data')
  await workspace.addDataset({
    projectId: project.id,
    name: 'd',
    sourcePath: root,
    files: [{ path: data, relativePath: '0.bin' }],
    samples: 1,
    layout: 'single',
    inputs: ['x'],
  })
  const recipe = workspace.recipes.create({
    projectId: project.id,
    name: 'r',
    recipe: defaultRecipe,
    origin: 'edited',
  })
  const samplesMs = Array.from({ length: 100 }, (_, index) => index / 7)
  const run = exampleRun(project.id)
  const row = { ...run.row, modelId: model.id, recipeId: recipe.id }
  const provenance = { ...run.provenance, request: { modelId: model.id } }
  const added = await workspace.addRun({ ...run, row, provenance, figures: { samplesMs }, files: [] })
  workspace.runs.setNote(added.id, 'a note')
  return project.id
}

async function zip(entries: Record<string, string | Buffer>): Promise<string> {
  const file = path.join(root, 'made.aqwproj')
  const archive = new ZipFile()
  for (const [name, content] of Object.entries(entries)) archive.addBuffer(Buffer.from(content), name)
  archive.end()
  await pipeline(archive.outputStream, createWriteStream(file))
  return file
}

/** yazl refuses bad names itself: write a good one of the same length and patch it. */
async function zipNamed(name: string): Promise<string> {
  const placeholder = 'n'.repeat(name.length)
  const file = await zip({ 'manifest.json': '{}', [placeholder]: 'x' })
  writeFileSync(file, readFileSync(file).toString('latin1').replaceAll(placeholder, name), 'latin1')
  return file
}

/** Text of one entry. */
function readEntry(file: string, name: string): Promise<string> {
  return new Promise((resolve, reject) => {
    yauzl.open(file, (error, archive) => {
      if (error) return reject(error)
      archive.on('entry', (entry: yauzl.Entry) => {
        if (entry.fileName !== name) return
        archive.openReadStream(entry, (failed, stream) => (failed ? reject(failed) : resolve(text(stream))))
      })
    })
  })
}

function filesOutside(): string[] {
  return readdirSync(root).filter((name) => !['w', 'made.aqwproj'].includes(name))
}

describe('archive', () => {
  it('brings everything back under new ids', async () => {
    const id = await fill()
    const target = path.join(root, 'x.aqwproj')
    const { bytes } = await exportProject(workspace, id, target, '0.1.0')
    expect(readFileSync(target).length).toBe(bytes)
    const other = new Workspace(path.join(root, 'other'))
    const project = await importProject(other, target)
    expect(project).toMatchObject({ name: 'Original', description: 'text' })
    expect(project.id).not.toBe(id)
    const models = other.models.list(project.id)
    expect(models.map((model) => readFileSync(model.path, 'utf8')).sort()).toEqual(['its child', 'the model'])
    const parent = models.find((model) => model.name === 'm')
    expect(models.find((model) => model.name === 'child')?.parentId).toBe(parent?.id)
    const [dataset] = other.datasets.list(project.id)
    expect(readFileSync(path.join(dataset?.path ?? '', '0.bin'), 'utf8')).toBe('data')
    const [run] = other.runs.list({ projectId: project.id, offset: 0, limit: 10 }).runs
    expect(run).toMatchObject({ note: 'a note', modelId: parent?.id, number: 1 })
    expect(other.runs.provenance(run?.id ?? '').request).toEqual({ modelId: parent?.id })
    const original = workspace.runs.list({ projectId: id, offset: 0, limit: 1 }).runs[0]
    expect(run?.createdAt).toBe(original?.createdAt)
    expect(other.runs.figures(run?.id ?? '')).toEqual(workspace.runs.figures(original?.id ?? ''))
    other.close()
  })

  it('can be imported next to the project it came from', async () => {
    const id = await fill()
    const target = path.join(root, 'x.aqwproj')
    await exportProject(workspace, id, target, '0.1.0')
    const copy = await importProject(workspace, target)
    await workspace.deleteProject(id)
    await workspace.tidy()
    expect(workspace.models.list(copy.id).every((model) => !model.missing)).toBe(true)
  })

  it('leaves no file behind when it is cancelled', async () => {
    const id = await fill()
    const target = path.join(root, 'x.aqwproj')
    const signal = AbortSignal.abort()
    await expect(exportProject(workspace, id, target, '0.1.0', { signal })).rejects.toMatchObject({
      code: 'E_CANCELLED',
    })
    expect(readdirSync(root).filter((name) => name.includes('aqwproj'))).toEqual([])
  })
})

describe('hostile archives', () => {
  it.each(['../evil', '/etc/evil', 'a/../../evil', '..\\evil', 'C:\\evil'])(
    'refuses the entry %s',
    async (name) => {
      const before = filesOutside()
      await expect(importProject(workspace, await zipNamed(name))).rejects.toMatchObject({
        code: 'E_ARCHIVE_UNSAFE',
      })
      expect(filesOutside()).toEqual(before)
      expect(existsSync('/etc/evil')).toBe(false)
      expect(workspace.projects.list()).toEqual([])
    },
  )

  it('refuses names inside the manifest that leave the folder of their model', async () => {
    const id = await fill()
    const target = path.join(root, 'x.aqwproj')
    await exportProject(workspace, id, target, '0.1.0')
    const manifest = await readEntry(target, 'manifest.json')
    const forged = manifest.replace('"relativePath":"m.onnx"', '"relativePath":"../../../m.onnx"')
    expect(forged).not.toBe(manifest)
    const hashes = [...manifest.matchAll(/"relativePath":"[^"]*","sha256":"([0-9a-f]{64})"/g)].map(
      (match) => match[1],
    )
    const entries: Record<string, string> = { 'manifest.json': forged }
    for (const hash of hashes) entries[`objects/${hash}`] = await readEntry(target, `objects/${hash}`)
    const before = filesOutside()
    await expect(importProject(workspace, await zip(entries))).rejects.toMatchObject({
      code: 'E_ARCHIVE_INVALID',
    })
    expect(filesOutside()).toEqual(before)
  })

  it('refuses what is too large before writing anything', async () => {
    const id = await fill()
    const target = path.join(root, 'x.aqwproj')
    await exportProject(workspace, id, target, '0.1.0')
    const limited = (change: Partial<typeof archiveLimits>) =>
      importProject(workspace, target, {}, { ...archiveLimits, ...change })
    await expect(limited({ entries: 2 })).rejects.toMatchObject({ code: 'E_ARCHIVE_TOO_LARGE' })
    await expect(limited({ manifestBytes: 10 })).rejects.toMatchObject({ code: 'E_ARCHIVE_TOO_LARGE' })
    await expect(limited({ objectBytes: 3 })).rejects.toMatchObject({ code: 'E_ARCHIVE_TOO_LARGE' })
    await expect(limited({ totalBytes: 10 })).rejects.toMatchObject({ code: 'E_ARCHIVE_TOO_LARGE' })
  })

  it('refuses content that does not match its name', async () => {
    const id = await fill()
    const target = path.join(root, 'x.aqwproj')
    await exportProject(workspace, id, target, '0.1.0')
    const damaged = readFileSync(target)
    damaged[damaged.indexOf('the model')] = 'T'.charCodeAt(0)
    writeFileSync(target, damaged)
    const other = new Workspace(path.join(root, 'other'))
    await expect(importProject(other, target)).rejects.toMatchObject({ code: 'E_ARCHIVE_INVALID' })
    expect(other.projects.list()).toEqual([])
    other.close()
  })

  it('answers any damage with an error of ours, and imports nothing', async () => {
    const id = await fill()
    const target = path.join(root, 'x.aqwproj')
    await exportProject(workspace, id, target, '0.1.0')
    const good = readFileSync(target)
    const other = new Workspace(path.join(root, 'other'))
    const file = path.join(root, 'damaged.aqwproj')
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: good.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        fc.option(fc.nat({ max: good.length })),
        async (at, flip, cut) => {
          const bytes = Buffer.from(good)
          bytes[at] = (bytes[at] ?? 0) ^ flip
          writeFileSync(file, cut === null ? bytes : bytes.subarray(0, cut))
          const before = other.projects.list().length
          try {
            // A flip in a field nobody reads (times, attributes) may still import.
            const project = await importProject(other, file)
            expect(other.models.list(project.id).every((model) => !model.missing)).toBe(true)
          } catch (error) {
            expect((error as { code?: string }).code).toMatch(/^E_(?:ARCHIVE_|FILE_READ)/)
            expect(other.projects.list().length).toBe(before)
          }
        },
      ),
      { numRuns: 150 },
    )
    other.close()
  })
})
