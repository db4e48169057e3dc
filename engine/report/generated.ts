// The quality of generated results and the gates, as blocks of a report.
import type { Comparison } from '../../contract/comparison.ts'
import type { MetricKey, MetricResult, QualityReport } from '../../contract/evaluation.ts'
import type { GateResult } from '../../contract/gates.ts'
import { formatFigure } from '../common/units.ts'
import type { Block, TableBlock, Tone } from './document.ts'
import type { ReportLocale } from './texts.ts'

const METRIC_NAMES: Record<ReportLocale, Record<MetricKey, string>> = {
  en: {
    sqnr: 'SQNR of the result (dB)',
    cosine: 'Cosine of the result',
    psnr: 'PSNR (dB)',
    ssim: 'SSIM',
    lpips: 'Feature distance',
    latent_drift: 'SQNR before the last step (dB)',
    fid: 'FID',
    fid_delta: 'FID less the reference',
    kid: 'KID',
    precision: 'Precision',
    recall: 'Recall',
    clip_score: 'Caption score',
    caption_first: 'Own caption first',
    perplexity: 'Perplexity',
    loss: 'Loss per token (nats)',
    kl_divergence: 'KL divergence (nats)',
    top1_agreement: 'Same most likely answer',
    top1_accuracy: 'Top-1 accuracy',
    top5_accuracy: 'Top-5 accuracy',
  },
  zh: {
    sqnr: '结果 SQNR (dB)',
    cosine: '结果余弦相似度',
    psnr: 'PSNR (dB)',
    ssim: 'SSIM',
    lpips: '特征距离',
    latent_drift: '最后一步前的 SQNR (dB)',
    fid: 'FID',
    fid_delta: 'FID 与参考之差',
    kid: 'KID',
    precision: '精确率',
    recall: '召回率',
    clip_score: '图文匹配分',
    caption_first: '自身描述排第一',
    perplexity: '困惑度',
    loss: '每 token 损失 (nats)',
    kl_divergence: 'KL 散度 (nats)',
    top1_agreement: '首选一致率',
    top1_accuracy: 'Top-1 准确率',
    top5_accuracy: 'Top-5 准确率',
  },
}

const TEXTS = {
  en: {
    title: 'Quality of what is generated',
    intro: (task: string, seed: number) =>
      `${task}, seed ${seed}. FP32 on ONNX Runtime is the reference. Intervals: 95 %, bootstrap.`,
    metric: 'Metric',
    samples: 'Samples',
    basis: 'Basis',
    equal: 'equal',
    needs: (have: number, need: number) => `too few: ${have} of ${need}`,
    gates: 'Gates',
    gate: 'Condition',
    value: 'Value',
    limit: 'Limit',
    outcome: 'Outcome',
    passed: 'passed',
    failed: 'failed',
    unknown: 'not known',
  },
  zh: {
    title: '生成质量',
    intro: (task: string, seed: number) =>
      `${task}，种子 ${seed}。以 ONNX Runtime 上的 FP32 为参考。区间：95 %，自助法。`,
    metric: '指标',
    samples: '样本数',
    basis: '依据',
    equal: '完全相同',
    needs: (have: number, need: number) => `样本过少：${have} / ${need}`,
    gates: '门限',
    gate: '条件',
    value: '实际值',
    limit: '限值',
    outcome: '结果',
    passed: '通过',
    failed: '未通过',
    unknown: '未知',
  },
} as const

/** The name of a metric in a language. */
export function metricName(key: MetricKey, locale: ReportLocale): string {
  return METRIC_NAMES[locale][key]
}

function cell(metric: MetricResult | undefined, locale: ReportLocale): string {
  if (!metric) return ''
  if (metric.value === null) return TEXTS[locale].equal
  const { value, low, high } = metric
  return low === null || high === null
    ? formatFigure(value)
    : `${formatFigure(value)} [${formatFigure(low)}, ${formatFigure(high)}]`
}

function qualityTable(report: QualityReport, locale: ReportLocale): TableBlock {
  const t = TEXTS[locale]
  const keys = [...new Set(report.sides.flatMap((side) => side.metrics.map(({ key }) => key)))]
  return {
    kind: 'table',
    columns: [t.metric, ...report.sides.map((side) => `${side.label} (${side.device})`), t.samples, t.basis],
    rows: keys.map((key) => {
      const found = report.sides.map((side) => side.metrics.find((metric) => metric.key === key))
      const any = found.find((metric) => metric !== undefined)
      const samples = any?.samples ?? 0
      const needed = any?.needed_samples ?? null
      return {
        label: metricName(key, locale),
        cells: [
          ...found.map((metric) => cell(metric, locale)),
          needed === null ? String(samples) : t.needs(samples, needed),
          any?.basis ?? '',
        ],
      }
    }),
  }
}

const TONES: Record<GateResult['outcome'], Tone> = { passed: 'good', failed: 'bad', unknown: 'bad' }

function gateTable(gates: readonly GateResult[], locale: ReportLocale): TableBlock {
  const t = TEXTS[locale]
  const figure = (value: number | null): string => (value === null ? '–' : formatFigure(value))
  return {
    kind: 'table',
    columns: [t.gate, t.value, t.limit, t.outcome],
    rows: gates.flatMap(({ candidate, checks }) =>
      checks.map(({ text, left, comparator, right, outcome }) => ({
        label: `${candidate}: ${text}`,
        cells: [figure(left), `${comparator} ${figure(right)}`, t[outcome]],
        tones: ['none' as const, 'none' as const, TONES[outcome]],
      })),
    ),
  }
}

/** Nothing for a comparison without a quality task and without gates. */
export function generatedBlocks({ generated, gates }: Comparison, locale: ReportLocale): Block[] {
  const t = TEXTS[locale]
  return [
    ...(generated
      ? [
          { kind: 'heading' as const, level: 2 as const, text: t.title },
          { kind: 'paragraph' as const, text: t.intro(generated.task.name, generated.seed) },
          qualityTable(generated, locale),
        ]
      : []),
    ...(gates.length > 0
      ? [{ kind: 'heading' as const, level: 2 as const, text: t.gates }, gateTable(gates, locale)]
      : []),
  ]
}
