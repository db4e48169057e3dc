// Gates as JUnit XML, and the figures that gates refer to.
import { describe, expect, it } from 'vitest'
import type { Comparison } from '../../../contract/comparison.ts'
import { comparisonFigureNames, figuresOf, runGates } from '../../../contract/comparison-figures.ts'
import { metricKeySchema } from '../../../contract/evaluation.ts'
import { parseGate } from '../../../contract/gates.ts'
import { metricResult } from '../../../engine/evaluation/index.ts'
import { renderJunit } from '../../../engine/report/index.ts'
import { generatedBlocks, metricName } from '../../../engine/report/generated.ts'
import { exampleComparison } from './example.ts'

function withQuality(): Comparison {
  const comparison = exampleComparison
  const [candidate] = comparison.candidates
  const side = (label: string, role: 'reference' | 'candidate', value: number) => ({
    label,
    role,
    model: 'm',
    sha256: 'a'.repeat(64),
    device: 'cpu',
    metrics: [
      metricResult('fid', { value, samples: 300, basis: 'encoder.onnx' }),
      ...(role === 'candidate' ? [metricResult('fid_delta', { value: value - 1, samples: 300 })] : []),
    ],
    samples: [],
    seconds: 1,
  })
  return {
    ...comparison,
    generated: {
      schema: 'aqw.quality/1',
      created_at: comparison.created_at,
      task: { kind: 'diffusion', name: 'task', sha256: 'b'.repeat(64), settings: {} },
      seed: 0,
      sides: [side('FP32', 'reference', 1), side(candidate!.label, 'candidate', 3)],
      notes: [],
    },
  }
}

describe('figures', () => {
  it('come from measurements, outputs and generated results', () => {
    const comparison = withQuality()
    const [candidate] = comparison.candidates
    const figure = figuresOf(comparison, candidate!)
    expect(figure('latency.mean')).toBe(candidate!.latency_ms.mean)
    expect(figure('size_bytes')).toBe(candidate!.size_bytes)
    expect(figure('quality.sqnr_db')).toBe(candidate!.quality!.sqnr_db)
    expect(figure('quality.fid_delta')).toBe(2)
    expect(figure('quality.perplexity')).toBeNull()
  })

  it('have names for every metric, all different', () => {
    expect(new Set(comparisonFigureNames).size).toBe(comparisonFigureNames.length)
    for (const key of metricKeySchema.options) {
      expect(comparisonFigureNames.some((name) => name.endsWith(key))).toBe(true)
      expect(metricName(key, 'en')).not.toBe('')
      expect(metricName(key, 'zh')).not.toBe('')
    }
  })
})

describe('JUnit', () => {
  it('counts, escapes and explains', () => {
    const comparison = withQuality()
    const gates = runGates(
      { ...comparison, model: { ...comparison.model, path: 'a<b>&"c".onnx' } },
      ['quality.fid_delta <= 2', 'quality.fid < 1', 'quality.perplexity < 4'].map((text) => parseGate(text)),
    )
    expect(gates.map(({ outcome }) => outcome)).toEqual(['passed', 'failed', 'unknown'])
    const xml = renderJunit({ ...comparison, model: { ...comparison.model, path: 'a<b>&"c".onnx' }, gates })
    expect(xml).toContain('<testsuites tests="3" failures="1" errors="1">')
    expect(xml).toContain('name="a&#60;b&#62;&#38;&#34;c&#34;.onnx"')
    expect(xml).toContain('quality.fid_delta &#60;= 2"/>')
    expect(xml).toContain('<failure message="failed: quality.fid &#60; 1 (3 against 1)">')
    expect(xml).toContain('no quality.perplexity')
  })
})

describe('report blocks', () => {
  it('show quality and gates in both languages, nothing where there is nothing', () => {
    const comparison = withQuality()
    const gates = runGates(comparison, [parseGate('quality.fid < 1')])
    for (const locale of ['en', 'zh'] as const) {
      const blocks = generatedBlocks({ ...comparison, gates }, locale)
      expect(blocks.filter(({ kind }) => kind === 'table')).toHaveLength(2)
    }
    expect(generatedBlocks(exampleComparison, 'en')).toEqual([])
  })
})
