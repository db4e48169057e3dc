// Quality tasks: reading them, running them over models on devices, the report.
export { evaluateTask, type EvaluateRequest, withoutSamples } from './evaluate.ts'
export { folderNames } from './diffusion.ts'
export { taskForFolder } from './folder.ts'
export { type OpenedTask, readPrompts as taskPrompts, readTask } from './read.ts'
export type { SideRequest } from './sides.ts'
