// projects, models, datasets, recipes: the things a person keeps.
import { z } from 'zod'
import {
  datasetPreviewSchema,
  datasetRowSchema,
  errorShapeSchema,
  idSchema,
  layerRowSchema,
  modelRowSchema,
  nameSchema,
  pathSchema,
  projectSchema,
  recipeRowSchema,
} from '../workspace.ts'
import { interopNoteSchema, recipeFormSchema } from '../interop.ts'
import { recipePresetSchema, recognitionSchema } from '../presets.ts'
import { layerReportSchema } from '../quantization.ts'
import { channel, topic } from './define.ts'
import { modelSummarySchema, omSummarySchema, recipeSchema } from './seams.ts'

const byId = z.object({ id: idSchema })
const byProject = z.object({ projectId: idSchema })
const removed = z.object({ id: idSchema })

export { recipePresetSchema, type RecipePreset } from '../presets.ts'

/** What a recipe would do with every layer of a model that it can touch. */
export const recipeCheckSchema = z.object({
  layers: z.array(
    z.object({
      name: z.string(),
      opType: z.string(),
      quantized: z.boolean(),
      /** Why it is not quantized; null when it is. */
      reason: z.string().nullable(),
      /** What it becomes. */
      precision: layerReportSchema.shape.precision,
      /** The precision that the recipe asked for and why the layer cannot have it; null when it can. */
      fallback: layerReportSchema.shape.fallback.unwrap().nullable(),
    }),
  ),
  problems: z.array(errorShapeSchema),
  counts: z.object({ quantized: z.number().int(), kept: z.number().int() }),
})
export type RecipeCheck = z.infer<typeof recipeCheckSchema>

export const libraryChannels = {
  'projects.list': channel(z.object({}), z.object({ projects: z.array(projectSchema) })),
  'projects.get': channel(byId, projectSchema),
  'projects.create': channel(
    z.object({ name: nameSchema, description: z.string().max(10_000).optional() }),
    projectSchema,
  ),
  /** A project with the bundled model, calibration data and a recipe, ready to compare. */
  'projects.createSample': channel(z.object({}), projectSchema),
  'projects.update': channel(
    z.object({ id: idSchema, name: nameSchema.optional(), description: z.string().max(10_000).optional() }),
    projectSchema,
  ),
  'projects.delete': channel(byId, removed),
  'projects.export': channel(
    z.object({ id: idSchema, path: pathSchema }),
    z.object({ path: z.string(), bytes: z.number() }),
  ),
  'projects.import': channel(z.object({ path: pathSchema }), projectSchema),

  'models.list': channel(byProject, z.object({ models: z.array(modelRowSchema) })),
  'models.add': channel(
    z.object({ projectId: idSchema, path: pathSchema, name: nameSchema.optional() }),
    modelRowSchema,
  ),
  /** `summary` for ONNX, `om` for compiled models (a simulated .om has both). */
  'models.get': channel(
    byId,
    z.object({
      model: modelRowSchema,
      summary: modelSummarySchema.nullable(),
      om: omSummarySchema.nullable(),
    }),
  ),
  'models.layers': channel(byId, z.object({ layers: z.array(layerRowSchema) })),
  'models.remove': channel(byId, removed),

  'datasets.list': channel(byProject, z.object({ datasets: z.array(datasetRowSchema) })),
  'datasets.add': channel(
    z.object({
      projectId: idSchema,
      path: pathSchema,
      name: nameSchema.optional(),
      layout: datasetRowSchema.shape.layout.optional(),
      /** Checks the files against the inputs of this model. */
      modelId: idSchema.optional(),
    }),
    datasetRowSchema,
  ),
  'datasets.preview': channel(z.object({ id: idSchema, modelId: idSchema.optional() }), datasetPreviewSchema),
  'datasets.remove': channel(byId, removed),

  'recipes.list': channel(byProject, z.object({ recipes: z.array(recipeRowSchema) })),
  'recipes.get': channel(byId, recipeRowSchema),
  'recipes.save': channel(
    z.object({
      projectId: idSchema,
      /** Replaces this recipe; a new one when left out. */
      id: idSchema.optional(),
      name: nameSchema,
      recipe: recipeSchema,
      origin: recipeRowSchema.shape.origin.optional(),
    }),
    recipeRowSchema,
  ),
  'recipes.delete': channel(byId, removed),
  /** The presets that fit a model, the recommended one first; without a model the general ones. */
  'recipes.presets': channel(
    z.object({ modelId: idSchema.optional() }),
    z.object({
      presets: z.array(recipePresetSchema),
      /** What the model was recognised as; null without a model. */
      recognised: recognitionSchema.nullable(),
    }),
  ),
  /**
   * Reads a recipe in any form, AMCT's among them: from a file, or from its text. With the model, the layers it names are
   * looked up there.
   */
  'recipes.importAmct': channel(
    z
      .object({
        projectId: idSchema,
        path: pathSchema.optional(),
        text: z.string().max(4_000_000).optional(),
        name: nameSchema.optional(),
        modelId: idSchema.optional(),
      })
      .refine((input) => (input.path === undefined) !== (input.text === undefined), 'give path or text'),
    z.object({
      recipe: recipeRowSchema,
      form: recipeFormSchema,
      modelPath: z.string().nullable(),
      calibrationPath: z.string().nullable(),
      notes: z.array(interopNoteSchema),
    }),
  ),
  /** Writes a recipe in one of AMCT's forms; without `path` only the text is returned. */
  'recipes.exportAmct': channel(
    z.object({
      id: idSchema,
      form: recipeFormSchema.exclude(['recipe']).default('amct_tool'),
      modelId: idSchema.optional(),
      datasetId: idSchema.optional(),
      path: pathSchema.optional(),
    }),
    z.object({ text: z.string(), path: z.string().nullable(), notes: z.array(interopNoteSchema) }),
  ),
  'recipes.check': channel(z.object({ modelId: idSchema, recipe: recipeSchema }), recipeCheckSchema),
}

export const libraryTopics = {
  /** Something in the library changed: lists that show it should be read again. */
  'library.changed': topic(
    z.object({ projectId: idSchema.optional() }),
    z.object({
      entity: z.enum(['project', 'model', 'dataset', 'recipe', 'run', 'calibration']),
      action: z.enum(['added', 'changed', 'removed']),
      id: idSchema,
      projectId: idSchema,
    }),
  ),
}
