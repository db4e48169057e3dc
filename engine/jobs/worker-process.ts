// The worker process: runs one job and ends. It has no database; the engine process keeps what it produces.
import { fromErrorShape, toErrorShape } from '../../contract/errors/index.ts'
import type { CreatePlan, StageInput } from './plan.ts'
import type { FromWorker, ToWorker } from './protocol.ts'
import { runPlan, type PlanHost } from './run-plan.ts'

const abort = new AbortController()
const waiting = new Map<string, { resolve(result: StageInput | null): void; reject(error: Error): void }>()
let currentStage: string | null = null

function send(message: FromWorker): Promise<void> {
  return new Promise((resolve) => {
    if (!process.send) return resolve()
    process.send(message, undefined, {}, () => resolve())
  })
}

function ask(message: FromWorker & { stage: string }): Promise<StageInput | null> {
  return new Promise((resolve, reject) => {
    waiting.set(message.stage, { resolve, reject })
    void send(message)
  })
}

const host: PlanHost = {
  lookup: (stage, key) => {
    currentStage = stage
    return ask({ type: 'lookup', stage, key })
  },
  async store(stage, key, data, files) {
    const stored = await ask({ type: 'store', stage, key, data, files })
    if (!stored) throw new Error(`the engine did not keep the result of ${stage}`)
    return stored
  },
  stageStarted: (stage) => void send({ type: 'stage-started', stage }),
  progress: (stage, done, total, item) => void send({ type: 'progress', stage, done, total, item }),
  log: (level, text) => void send({ type: 'log', level, text }),
}

async function run(message: Extract<ToWorker, { type: 'run' }>): Promise<void> {
  try {
    const module = (await import(message.planModule)) as { createPlan: CreatePlan }
    const plan = await module.createPlan(message.definition)
    await send({ type: 'plan', stages: plan.stages.map(({ key, weight }) => ({ key, weight })) })
    const { result, keys } = await runPlan(plan, host, message.folder, abort.signal)
    await send({ type: 'done', result, keys })
  } catch (error) {
    await send({ type: 'failed', error: toErrorShape(error), stage: currentStage })
  }
  process.disconnect()
  // A stage's library may keep handles open; the job is over.
  process.exit(0)
}

process.on('message', (message: ToWorker) => {
  if (message.type === 'run') void run(message)
  else if (message.type === 'cancel') abort.abort()
  else {
    const entry = waiting.get(message.stage)
    waiting.delete(message.stage)
    if (message.error) entry?.reject(fromErrorShape(message.error))
    else entry?.resolve(message.result)
  }
})
// Without the engine process nobody keeps the result: end at once, also in the middle of a computation.
process.on('disconnect', () => process.exit(1))
// The terminal's Ctrl+C goes to the whole group; the engine process decides what happens to its jobs.
process.on('SIGINT', () => undefined)
void send({ type: 'ready' })
