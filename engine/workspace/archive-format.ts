// What a .aqwproj archive holds: manifest.json with the project's rows, and objects/<sha256> for every file.
import { z } from 'zod'
import {
  artifactSchema,
  datasetRowSchema,
  modelRowSchema,
  projectSchema,
  provenanceSchema,
  recipeRowSchema,
  runRowSchema,
  sha256Schema,
} from '../../contract/workspace.ts'

export const ARCHIVE_SCHEMA = 'aqw.project/1'
export const MANIFEST_ENTRY = 'manifest.json'
export const OBJECT_ENTRY = /^objects\/([0-9a-f]{64})$/

/** Bounds for archives from elsewhere. */
export const archiveLimits = {
  entries: 200_000,
  manifestBytes: 512 * 1024 * 1024,
  objectBytes: 64 * 1024 ** 3,
  totalBytes: 256 * 1024 ** 3,
  runs: 100_000,
}
export type ArchiveLimits = typeof archiveLimits

/** A name inside a model, dataset or run folder: relative, forward slashes, no way out of the folder. */
const innerPathSchema = z
  .string()
  .min(1)
  .max(1024)
  .refine(isSafeRelativePath, 'must be a relative path that stays inside its folder')

export function isSafeRelativePath(name: string): boolean {
  if (name.includes('\0') || name.includes('\\') || name.startsWith('/') || /^[A-Za-z]:/.test(name))
    return false
  return name.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
}

const archivedFileSchema = z.object({
  relativePath: innerPathSchema,
  sha256: sha256Schema,
  bytes: z.number().int().nonnegative(),
})
export type ArchivedFile = z.infer<typeof archivedFileSchema>

const withFiles = { files: z.array(archivedFileSchema).max(archiveLimits.entries) }

const archivedRunSchema = z.object({
  run: runRowSchema,
  comparison: z.unknown(),
  figures: z.unknown(),
  provenance: provenanceSchema,
  artifacts: z.array(artifactSchema.pick({ kind: true, name: true, sha256: true, bytes: true })).max(1000),
  layers: z.array(z.object({ layer: z.string(), data: z.unknown() })).max(100_000),
  ...withFiles,
})
export type ArchivedRun = z.infer<typeof archivedRunSchema>

export const manifestSchema = z.object({
  schema: z.literal(ARCHIVE_SCHEMA),
  appVersion: z.string(),
  exportedAt: z.iso.datetime(),
  project: projectSchema,
  models: z.array(z.object({ model: modelRowSchema, ...withFiles })).max(10_000),
  datasets: z.array(z.object({ dataset: datasetRowSchema, ...withFiles })).max(10_000),
  recipes: z.array(recipeRowSchema).max(100_000),
  runs: z.array(archivedRunSchema).max(archiveLimits.runs),
})
export type ArchiveManifest = z.infer<typeof manifestSchema>
