// OM2 files: a ZIP with JSON descriptions (ATC --mode=7, Graph Engine 2026).
import { z } from 'zod'
import type { OmSummary, OmTensor } from '../../contract/om.ts'
import { omInvalid } from './om-bytes.ts'
import type { OmFile } from './om-reader.ts'
import { zipEntries, zipRead } from './zip.ts'
import type { ZipEntry } from './zip.ts'

const manifestSchema = z.looseObject({
  om2_version: z.union([z.string(), z.number()]).optional(),
  model_num: z.number().optional(),
  atc_command: z.string().optional(),
})

const tensorSchema = z.looseObject({
  name: z.string(),
  shape: z.array(z.number()).default([]),
  data_type: z.string().default('DT_UNDEFINED'),
  format: z.string().default('ND'),
  size: z.number().default(0),
})

const metaSchema = z.looseObject({
  name: z.string().optional(),
  root_graph_name: z.string().optional(),
  inputs: z.array(tensorSchema).default([]),
  outputs: z.array(tensorSchema).default([]),
  work_size: z.number().optional(),
})

function readJson<T>(
  file: OmFile,
  entries: readonly ZipEntry[],
  name: string,
  schema: z.ZodType<T>,
): T | null {
  const entry = entries.find((candidate) => candidate.name === name)
  if (!entry) return null
  const text = Buffer.from(zipRead(file, entry)).toString('utf8')
  try {
    return schema.parse(JSON.parse(text))
  } catch (cause) {
    const reason = `${name}: ${cause instanceof Error ? cause.message.split('\n')[0] : String(cause)}`
    throw omInvalid({ path: file.path, offset: entry.localHeader }, reason, 'an OM2 file')
  }
}

function toTensor(tensor: z.infer<typeof tensorSchema>): OmTensor {
  const { name, shape, data_type: type, format, size } = tensor
  return { name, dataType: type.replace(/^DT_/, '').toLowerCase(), format, dims: shape, size }
}

/** What an OM2 file says; operators are not listed in its manifests. @throws E_OM_INVALID */
export function inspectOm2(
  file: OmFile,
  sourceModel: (commandLine: string | null) => string | null,
): OmSummary {
  const entries = zipEntries(file)
  const manifest = readJson(file, entries, 'manifest.json', manifestSchema)
  if (!manifest)
    throw omInvalid({ path: file.path, offset: 0 }, 'the ZIP has no manifest.json', 'an OM2 file')
  const meta = readJson(file, entries, 'data/model_0/model_meta.json', metaSchema)
  const constants = entries.filter((entry) => entry.name.startsWith('data/constants/constant_'))
  const commandLine = manifest.atc_command ?? null
  return {
    path: file.path,
    bytes: file.size,
    kind: 'om2',
    simulated: false,
    headerVersion: null,
    modelCount: manifest.model_num ?? 1,
    dynamicShape: (meta?.inputs ?? []).some((input) => input.shape.includes(-1)),
    name: meta?.name ?? meta?.root_graph_name ?? '',
    soc: /--soc_version[= ]"?([\w-]+)/.exec(commandLine ?? '')?.[1] ?? null,
    compiler: `OM2 version ${manifest.om2_version ?? 'unknown'}`,
    commandLine,
    sourceModel: sourceModel(commandLine),
    inputs: (meta?.inputs ?? []).map(toTensor),
    outputs: (meta?.outputs ?? []).map(toTensor),
    gears: null,
    ops: { total: 0, types: [] },
    sizes: {
      memory: meta?.work_size ?? null,
      weights: constants.reduce((sum, entry) => sum + entry.size, 0),
      weightTypes: [],
      partitions: [],
    },
    manifest: null,
    notes: ['OM2: operators are compiled to code and are not listed in the file.'],
  }
}
