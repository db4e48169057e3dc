// app.info, settings, environment, devices, files: what the window knows of the machine it runs on.
import { z } from 'zod'
import { deviceDescriptionSchema, deviceTelemetrySchema } from '../device.ts'
import { pathSchema, settingsPatchSchema, settingsSchema, timestampSchema } from '../workspace.ts'
import { channel, topic } from './define.ts'

export const appInfoSchema = z.object({
  name: z.string(),
  version: z.string(),
  protocol: z.number().int(),
  platform: z.string(),
  arch: z.string(),
  nodeVersion: z.string(),
  workspace: z.string(),
  logFolder: z.string(),
  home: z.string(),
  sampleAvailable: z.boolean(),
  engineStartedAt: timestampSchema,
})
export type AppInfo = z.infer<typeof appInfoSchema>

/** One line of "what is installed, what is missing". */
export const environmentItemSchema = z.object({
  /** Stable key such as `cann`, `atc`, `driver`, `simulator`, `onnxruntime`. */
  id: z.string(),
  label: z.string(),
  state: z.enum(['ok', 'warning', 'missing']),
  /** A version, a path or a reason. */
  value: z.string(),
  hint: z.string().nullable(),
})
export type EnvironmentItem = z.infer<typeof environmentItemSchema>

export const fileKinds = ['folder', 'onnx', 'om', 'bin', 'json', 'project'] as const
export const fileKindSchema = z.enum(fileKinds)
export type FileKind = z.infer<typeof fileKindSchema>

export const fileEntrySchema = z.object({
  name: z.string(),
  path: z.string(),
  kind: fileKindSchema,
  bytes: z.number().nonnegative().nullable(),
  modifiedAt: timestampSchema.nullable(),
})
export type FileEntry = z.infer<typeof fileEntrySchema>

export const fileListingSchema = z.object({
  path: z.string(),
  parent: z.string().nullable(),
  /** Places to jump to: home, the workspace's exports, the sample, the file system's roots. */
  places: z.array(z.object({ id: z.enum(['home', 'workspace', 'sample', 'root']), path: z.string() })),
  entries: z.array(fileEntrySchema),
  /** More entries existed than are listed. */
  truncated: z.boolean(),
})
export type FileListing = z.infer<typeof fileListingSchema>

/** Bytes of one upload piece before base64. */
export const UPLOAD_CHUNK_BYTES = 1_048_576
/** Largest file taken by drag and drop in a browser; larger ones are picked by path. */
export const UPLOAD_MAX_BYTES = 2_147_483_648

export const uploadInputSchema = z.object({
  /** Chosen by the window, one per drop; all files of a dropped folder share it. */
  uploadId: z.uuid(),
  /** Relative, with forward slashes: `unet.onnx` or `calibration/00.bin`. */
  name: z.string().min(1).max(1024),
  totalBytes: z.number().int().nonnegative().max(UPLOAD_MAX_BYTES),
  offset: z.number().int().nonnegative(),
  /** Base64 of at most UPLOAD_CHUNK_BYTES bytes. */
  data: z.base64().max(Math.ceil(UPLOAD_CHUNK_BYTES / 3) * 4),
})
export const uploadOutputSchema = z.object({
  receivedBytes: z.number().int().nonnegative(),
  complete: z.boolean(),
  /** Set when complete: give it to `models.add` or `datasets.add`. */
  path: z.string().nullable(),
  /** The folder that holds all files of this upload. */
  folder: z.string(),
})

const deviceList = z.object({ devices: z.array(deviceDescriptionSchema) })
const deviceId = z.string().min(1).max(80)

export const environmentChannels = {
  'app.info': channel(z.object({}), appInfoSchema),
  'settings.get': channel(z.object({}), settingsSchema),
  'settings.set': channel(settingsPatchSchema, settingsSchema),
  'environment.get': channel(z.object({}), z.object({ items: z.array(environmentItemSchema) })),
  'devices.list': channel(z.object({ probe: z.boolean().optional() }), deviceList),
  'devices.probe': channel(z.object({ id: deviceId }), deviceDescriptionSchema),
  /** Read-only browsing of the machine the engine runs on; starts at the home folder. */
  'files.list': channel(
    z.object({
      path: pathSchema.optional(),
      kinds: z.array(fileKindSchema).optional(),
      hidden: z.boolean().optional(),
    }),
    fileListingSchema,
  ),
  'files.upload': channel(uploadInputSchema, uploadOutputSchema),
}

export const environmentTopics = {
  'devices.telemetry': topic(
    z.object({ id: deviceId, intervalMs: z.number().int().min(250).max(60_000).optional() }),
    z.object({ at: timestampSchema, telemetry: deviceTelemetrySchema }),
  ),
  /** Settings changed, in this window or another one. */
  'settings.changed': topic(z.object({}), settingsSchema),
}
