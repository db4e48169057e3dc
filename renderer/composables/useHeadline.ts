// The verdict sentence of a run, in the language of the window.
import { useI18n } from 'vue-i18n'
import type { RunRow } from '../../contract/workspace.ts'
import { headline, type Headline, type HeadlineInput } from '../format/verdict.ts'

function ofRun(run: RunRow): HeadlineInput {
  const candidate = run.candidates[0]
  return {
    baseline: run.baseline.label,
    candidate: candidate?.label ?? '–',
    latency: run.latencyRatio,
    baselineBytes: run.baseline.sizeBytes,
    candidateBytes: candidate?.sizeBytes ?? null,
  }
}

export function useHeadline(): {
  say: (input: HeadlineInput) => string
  sentence: (run: RunRow) => string
  tone: (run: RunRow) => Headline['tone']
} {
  const { t } = useI18n()
  function say(input: HeadlineInput): string {
    const { key, parameters } = headline(input)
    return t(`compare.headline.${key}`, parameters)
  }
  return { say, sentence: (run) => say(ofRun(run)), tone: (run) => headline(ofRun(run)).tone }
}
