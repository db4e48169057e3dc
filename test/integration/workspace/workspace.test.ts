// The workspace on a real disk: lock, migrations with backup, files by content, immutable runs.
import Database from 'better-sqlite3'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDatabase } from '../../../engine/workspace/database.ts'
import { workspaceLayout } from '../../../engine/workspace/location.ts'
import { latestVersion, migrations } from '../../../engine/workspace/migrations.ts'
import { Workspace } from '../../../engine/workspace/workspace.ts'
import { exampleRun } from '../../fixtures/example-run.ts'

let root: string
beforeEach(() => (root = mkdtempSync(path.join(tmpdir(), 'workspace-'))))
afterEach(() => rmSync(root, { recursive: true, force: true }))

function write(name: string, content: string): string {
  const file = path.join(root, name)
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, content)
  return file
}

const facts = { parameters: 1, opset: 17, nodes: 1, inputs: [] }

describe('lock', () => {
  it('refuses a second instance and names the first', () => {
    const first = new Workspace(path.join(root, 'w'))
    expect(() => new Workspace(path.join(root, 'w'))).toThrowError(
      expect.objectContaining({
        code: 'E_WORKSPACE_LOCKED',
        details: expect.objectContaining({ pid: process.pid }),
      }),
    )
    first.close()
    new Workspace(path.join(root, 'w')).close()
  })

  it('is free again after the holder was killed', async () => {
    const module = path.resolve('engine/workspace/workspace.ts')
    const script = `import { Workspace } from ${JSON.stringify(module)}
      new Workspace(${JSON.stringify(path.join(root, 'w'))}); console.log('open'); setInterval(() => {}, 1000)`
    const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(holder.stdout, 'data')
    expect(() => new Workspace(path.join(root, 'w'))).toThrowError(
      expect.objectContaining({ details: expect.objectContaining({ pid: holder.pid }) }),
    )
    holder.kill('SIGKILL')
    await once(holder, 'exit')
    new Workspace(path.join(root, 'w')).close()
  })
})

describe('migrations', () => {
  const next = { version: latestVersion + 1, sql: 'ALTER TABLE projects ADD COLUMN colour TEXT;' }

  it('keeps a copy of the data before each step', () => {
    const layout = workspaceLayout(root)
    const workspace = new Workspace(root)
    const { id } = workspace.projects.create({ name: 'kept' })
    workspace.close()
    openDatabase(layout, [...migrations, next]).close()
    const [backup] = readdirSync(layout.backups)
    const copy = new Database(path.join(layout.backups, backup ?? ''), { readonly: true })
    expect(copy.pragma('user_version', { simple: true })).toBe(latestVersion)
    expect(copy.prepare('SELECT name FROM projects WHERE id = ?').get(id)).toEqual({ name: 'kept' })
    copy.close()
    const migrated = new Database(layout.database, { readonly: true })
    expect(migrated.prepare('SELECT name, colour FROM projects').get()).toEqual({
      name: 'kept',
      colour: null,
    })
    migrated.close()
  })

  it('changes nothing when a step fails, and says where the copy is', () => {
    const layout = workspaceLayout(root)
    const workspace = new Workspace(root)
    workspace.projects.create({ name: 'kept' })
    workspace.close()
    const broken = { version: latestVersion + 1, sql: 'CREATE TABLE half (x); SELECT nothing FROM nowhere;' }
    expect(() => openDatabase(layout, [...migrations, broken])).toThrowError(
      expect.objectContaining({ code: 'E_WORKSPACE_MIGRATION' }),
    )
    const again = new Workspace(root)
    expect(again.projects.list().map((project) => project.name)).toEqual(['kept'])
    again.close()
    expect(readdirSync(layout.backups)).toHaveLength(1)
  })

  it('refuses data of a later program', () => {
    const layout = workspaceLayout(root)
    new Workspace(root).close()
    openDatabase(layout, [...migrations, next]).close()
    expect(() => new Workspace(root)).toThrowError(expect.objectContaining({ code: 'E_WORKSPACE_NEWER' }))
    // The refusal must not keep the lock.
    expect(() => new Workspace(root)).toThrowError(expect.objectContaining({ code: 'E_WORKSPACE_NEWER' }))
  })

  it('says so when the database is damaged', () => {
    new Workspace(root).close()
    writeFileSync(
      workspaceLayout(root).database,
      'not a database, but long enough to look like one'.repeat(100),
    )
    expect(() => new Workspace(root)).toThrowError(expect.objectContaining({ code: 'E_WORKSPACE_DATABASE' }))
  })
})

describe('files', () => {
  it('keeps a model with external data, once per content, and survives the loss of the original', async () => {
    const workspace = new Workspace(path.join(root, 'w'))
    const project = workspace.projects.create({ name: 'p' })
    const model = write('source/m.onnx', 'graph')
    const data = write('source/data/w.bin', 'weights')
    const input = {
      projectId: project.id,
      name: 'm',
      format: 'onnx' as const,
      sourcePath: model,
      files: [
        { path: model, relativePath: 'm.onnx' },
        { path: data, relativePath: 'data/w.bin' },
      ],
      facts,
    }
    const row = await workspace.addModel(input)
    expect((await workspace.addModel(input)).id).toBe(row.id)
    rmSync(path.join(root, 'source'), { recursive: true })
    expect(readFileSync(row.path, 'utf8')).toBe('graph')
    expect(readFileSync(path.join(path.dirname(row.path), 'data/w.bin'), 'utf8')).toBe('weights')
    await workspace.removeModel(row.id)
    expect(existsSync(row.path)).toBe(false)
    await workspace.tidy()
    const objects = readdirSync(workspace.layout.objects).flatMap((folder) =>
      readdirSync(path.join(workspace.layout.objects, folder)),
    )
    expect(objects).toEqual([])
    workspace.close()
  })

  it('uses a large model in place and notices when it changed', async () => {
    const workspace = new Workspace(path.join(root, 'w'))
    workspace.settings.set({ referenceModelBytes: 3 })
    const project = workspace.projects.create({ name: 'p' })
    const model = write('large.onnx', 'large')
    const row = await workspace.addModel({
      projectId: project.id,
      name: 'm',
      format: 'onnx',
      sourcePath: model,
      files: [{ path: model, relativePath: 'large.onnx' }],
      facts,
    })
    expect(row).toMatchObject({ storage: 'reference', path: model })
    await workspace.verifyModel(row.id)
    writeFileSync(model, 'other')
    await expect(workspace.verifyModel(row.id)).rejects.toMatchObject({ code: 'E_WORKSPACE_FILE_CHANGED' })
    rmSync(model)
    expect(workspace.models.get(row.id).missing).toBe(true)
    workspace.close()
  })
})

describe('runs', () => {
  it('number up per project, keep their samples bit-exact, and change in nothing but the note', async () => {
    const workspace = new Workspace(root)
    const project = workspace.projects.create({ name: 'p' })
    const samplesMs = Array.from({ length: 500 }, (_, index) => Math.sqrt(index + 0.1))
    const first = await workspace.addRun({ ...exampleRun(project.id), figures: { samplesMs }, files: [] })
    const second = await workspace.addRun({ ...exampleRun(project.id), files: [] })
    expect([first.number, second.number]).toEqual([1, 2])
    expect(workspace.runs.figures(first.id)).toEqual({ samplesMs })
    expect(workspace.runs.setNote(first.id, 'Fan at full speed').note).toBe('Fan at full speed')
    const found = workspace.runs.list({
      projectId: project.id,
      filter: { text: 'fan' },
      offset: 0,
      limit: 10,
    })
    expect(found.runs.map((run) => run.id)).toEqual([first.id])
    workspace.close()
    const db = new Database(workspaceLayout(root).database)
    expect(() => db.exec(`UPDATE runs SET latency_ms = 1`)).toThrow('runs are immutable')
    expect(() => db.exec(`UPDATE run_details SET comparison = '{}'`)).toThrow('runs are immutable')
    db.close()
  })

  it('takes the run and the end of its job together or not at all', async () => {
    const workspace = new Workspace(root)
    const project = workspace.projects.create({ name: 'p' })
    const failing = workspace.addRun({
      ...exampleRun(project.id),
      files: [],
      alongside: () => {
        throw new Error('job could not be marked')
      },
    })
    await expect(failing).rejects.toThrow('job could not be marked')
    expect(workspace.runs.list({ projectId: project.id, offset: 0, limit: 10 }).total).toBe(0)
    workspace.close()
  })
})
