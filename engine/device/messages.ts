// Messages between the engine and a device process. Validated on both sides: a driver that corrupts its process must
// not be able to feed nonsense into the engine. Serialization is 'advanced', so typed arrays travel as they are.
import { z } from 'zod'
import {
  deviceProbeSchema,
  deviceSelectorSchema,
  deviceSnapshotSchema,
  feedsSchema,
  loadedModelSchema,
  measureRequestSchema,
  measureResultSchema,
  runResultSchema,
  shapesSchema,
} from '../../contract/device.ts'

const handle = z.number().int().positive()
const threads = z.number().int().min(1).max(1024).optional()

const commandSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('open'),
    selector: deviceSelectorSchema,
    intraOpThreads: threads,
    interOpThreads: threads,
  }),
  z.object({ type: z.literal('load'), path: z.string() }),
  z.object({ type: z.literal('run'), handle, feeds: feedsSchema, shapes: shapesSchema.optional() }),
  z.object({ type: z.literal('measure'), request: measureRequestSchema }),
  z.object({ type: z.literal('probe'), modelPath: z.string().optional() }),
  z.object({ type: z.literal('snapshot') }),
  z.object({ type: z.literal('unload'), handle }),
  z.object({ type: z.literal('close') }),
])
export type Command = z.infer<typeof commandSchema>
export type CommandType = Command['type']

/** What each command answers with. */
export const replySchemas = {
  open: deviceSnapshotSchema,
  load: loadedModelSchema,
  run: runResultSchema,
  measure: measureResultSchema,
  probe: deviceProbeSchema,
  snapshot: deviceSnapshotSchema,
  unload: z.null(),
  close: z.null(),
} satisfies Record<CommandType, z.ZodType>
export type Reply<T extends CommandType> = z.infer<(typeof replySchemas)[T]>

const requestId = z.number().int().positive()

/** Engine -> device process. */
export const downMessageSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('request'), id: requestId, command: commandSchema }),
  /** Asks a running measurement to stop at the next run. */
  z.object({ kind: z.literal('cancel'), id: requestId }),
])
export type DownMessage = z.infer<typeof downMessageSchema>

const errorShapeSchema = z.object({
  code: z.string(),
  message: z.string(),
  hint: z.string(),
  details: z.record(z.string(), z.unknown()),
})

/** Device process -> engine. */
export const upMessageSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready') }),
  z.object({ kind: z.literal('result'), id: requestId, ok: z.literal(true), value: z.unknown() }),
  z.object({ kind: z.literal('failure'), id: requestId, ok: z.literal(false), error: errorShapeSchema }),
  z.object({
    kind: z.literal('progress'),
    id: requestId,
    progress: z.object({
      stage: z.string(),
      done: z.number(),
      total: z.number(),
      item: z.string().optional(),
    }),
  }),
])
export type UpMessage = z.infer<typeof upMessageSchema>
