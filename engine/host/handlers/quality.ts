// Handlers of tasks.*, runs.generated, runs.picture, ratings.*, gates.*, preparation.*.
import { existsSync } from 'node:fs'
import path from 'node:path'
import { comparisonFigureNames, runGates } from '../../../contract/comparison-figures.ts'
import { comparisonSchema } from '../../../contract/comparison.ts'
import { AppError } from '../../../contract/errors/index.ts'
import { parseGates } from '../../../contract/gate-errors.ts'
import { GateSyntaxError, parseGate } from '../../../contract/gates.ts'
import type { RatingRow, TaskSummary } from '../../../contract/rpc/quality.ts'
import { checkWritable, writeFileAtomic } from '../../common/files.ts'
import { hashData } from '../../common/hashing.ts'
import { signTest, wilsonInterval } from '../../evaluation/index.ts'
import { readTask, taskPrompts } from '../../evaluation/tasks/index.ts'
import { preparePictures, previewPreparation } from '../../preparation/index.ts'
import type { RatingPair } from '../../workspace/index.ts'
import type { Services } from '../engine.ts'
import { GeneratedResults } from '../generated.ts'
import { importDataset } from '../library.ts'
import { existingPath, givenPath } from '../paths.ts'
import type { Handlers } from '../router.ts'
import { sampleFolder } from '../sample-project.ts'

type Names =
  | 'tasks.check'
  | 'tasks.samples'
  | 'runs.generated'
  | 'runs.picture'
  | 'ratings.next'
  | 'ratings.add'
  | 'ratings.undo'
  | 'ratings.summary'
  | 'ratings.export'
  | 'gates.check'
  | 'gates.run'
  | 'preparation.preview'
  | 'preparation.run'

const SAMPLE_TASKS = ['sprite-diffusion', 'tiny-lm']

function summaryOf(file: string): TaskSummary {
  const opened = readTask(file)
  const { task } = opened
  return {
    path: existsSync(opened.path) ? opened.path : path.dirname(opened.path),
    kind: task.kind,
    name: task.name,
    prompts: task.kind === 'diffusion' ? taskPrompts(task).length : null,
    steps: task.kind === 'diffusion' ? task.sampler.steps : null,
    made: !existsSync(opened.path),
  }
}

/** Which side is left follows from pair, rater and sample, so that asking again does not shuffle again. */
function leftIsFirst({ runId, first, second }: RatingPair, rater: string, sample: string): boolean {
  return Number.parseInt(hashData({ runId, first, second, rater, sample }).slice(0, 2), 16) < 128
}

function choiceOf(vote: 'left' | 'right' | 'tie' | 'skip', firstWasLeft: boolean): RatingRow['choice'] {
  if (vote === 'tie' || vote === 'skip') return vote
  return (vote === 'left') === firstWasLeft ? 'first' : 'second'
}

function csvOf(rows: readonly RatingRow[]): string {
  const cell = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
  const lines = rows.map(({ sample, first, second, choice, rater, createdAt }) => {
    const winner = choice === 'first' ? first : choice === 'second' ? second : choice
    return [sample, first, second, winner, rater, createdAt].map(cell).join(',')
  })
  return ['sample,first,second,winner,rater,created_at', ...lines, ''].join('\r\n')
}

type RatingNames = Extract<Names, `ratings.${string}`>

function ratingHandlers({ workspace }: Services, generated: GeneratedResults): Pick<Handlers, RatingNames> {
  /** Samples that both sides have a picture of. */
  const samplesOf = async ({ runId, first, second }: RatingPair) => {
    const sides = (await generated.report(runId))?.sides ?? []
    const [left, right] = [first, second].map((label) => sides.find((side) => side.label === label))
    if (!left || !right) {
      const missing = left ? second : first
      throw new AppError('E_GENERATED_MISSING', { run: runId, side: missing, sample: '*' })
    }
    const there = new Set(right.samples.filter(({ file }) => file !== null).map(({ id }) => id))
    return left.samples.filter(({ id, file }) => file !== null && there.has(id))
  }
  return {
    'ratings.next': async ({ rater, ...pair }) => {
      const samples = await samplesOf(pair)
      const judged = workspace.ratings.judged(pair, rater)
      const sample = samples.find(({ id }) => !judged.has(id))
      const counts = { judged: samples.filter(({ id }) => judged.has(id)).length, total: samples.length }
      if (!sample) return { pair: null, ...counts }
      const order = leftIsFirst(pair, rater, sample.id)
        ? [pair.first, pair.second]
        : [pair.second, pair.first]
      const [left = '', right = ''] = await Promise.all(
        order.map((label) => generated.picture(pair.runId, label, sample.id)),
      )
      const { prompt, seed, id: token } = sample
      return { pair: { token, prompt, seed, left, right }, ...counts }
    },
    'ratings.add': async ({ rater, token, vote, ...pair }) => {
      const known = (await samplesOf(pair)).some(({ id }) => id === token)
      if (!known)
        throw new AppError('E_GENERATED_MISSING', { run: pair.runId, side: pair.first, sample: token })
      const firstWasLeft = leftIsFirst(pair, rater, token)
      return workspace.ratings.add(pair, {
        sample: token,
        choice: choiceOf(vote, firstWasLeft),
        rater,
        firstWasLeft,
      })
    },
    'ratings.undo': ({ rater, ...pair }) => ({ removed: workspace.ratings.undo(pair, rater) }),
    'ratings.summary': (pair) => {
      const { first, second, tie, skip } = workspace.ratings.counts(pair)
      const decided = first + second
      return {
        first,
        second,
        ties: tie,
        skipped: skip,
        winRate: decided === 0 ? null : second / decided,
        interval: decided === 0 ? null : wilsonInterval(second, decided),
        p: decided === 0 ? null : signTest(second, first),
      }
    },
    'ratings.export': ({ runId, path: target }) => {
      workspace.runs.get(runId)
      const rows = workspace.ratings.list(runId)
      const text = csvOf(rows)
      if (target === undefined) return { text, path: null, rows: rows.length }
      const file = givenPath(target)
      checkWritable(file)
      writeFileAtomic(file, text)
      return { text, path: file, rows: rows.length }
    },
  }
}

export function qualityHandlers(services: Services): Pick<Handlers, Names> {
  const { workspace } = services
  const generated = new GeneratedResults(workspace)
  return {
    'tasks.check': ({ path: file }) => summaryOf(existingPath(file)),
    'tasks.samples': () => ({
      tasks: SAMPLE_TASKS.map((name) => path.join(sampleFolder(), '..', name))
        .filter((folder) => existsSync(path.join(folder, 'task.json')))
        .map(summaryOf),
    }),
    'runs.generated': async ({ id }) => ({ report: await generated.report(id) }),
    'runs.picture': async ({ id, side, sample }) => ({ dataUrl: await generated.picture(id, side, sample) }),
    ...ratingHandlers(services, generated),
    'gates.check': ({ text }) => {
      try {
        parseGate(text, comparisonFigureNames)
        return { problem: null }
      } catch (error) {
        if (!(error instanceof GateSyntaxError)) throw error
        return { problem: { reason: error.message, at: error.at } }
      }
    },
    'gates.run': ({ id, gates }) => ({
      gates: runGates(comparisonSchema.parse(workspace.runs.comparison(id)), parseGates(gates)),
    }),
    'preparation.preview': ({ path: folder, settings, index }) =>
      previewPreparation(existingPath(folder), settings, index),
    'preparation.run': async (input, { signal }) => {
      const source = existingPath(input.path)
      const target = input.target === undefined ? `${source}-prepared` : givenPath(input.target)
      const prepared = await preparePictures(source, target, input.settings, { signal })
      const { projectId, name, modelId } = input
      const dataset = await importDataset(workspace, { projectId, path: target, name, modelId }, signal)
      return { dataset, prepared }
    },
  }
}
