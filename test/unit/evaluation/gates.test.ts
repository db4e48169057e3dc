// Gates: what they mean, what they refuse, and that nothing makes the parser hang or crash.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GateSyntaxError, parseGate, runGate } from '../../../contract/gates.ts'

const candidate: Record<string, number> = {
  'latency.mean': 6,
  'quality.fid_delta': 0.4,
  qps: 160,
  a: 1,
  b: 2,
  c: 3,
}
const baseline: Record<string, number> = { 'latency.mean': 10, qps: 100, a: 4 }
const sides = {
  candidate: (name: string) => candidate[name] ?? null,
  baseline: (name: string) => baseline[name] ?? null,
}
const outcome = (text: string) => runGate(parseGate(text), 'INT8', sides).outcome

describe('gates', () => {
  it.each([
    ['latency.mean<=0.7*baseline && quality.fid_delta<=1', 'passed'],
    ['latency.mean <= 0.5 * baseline', 'failed'],
    ['latency.mean/baseline.latency.mean < 0.61', 'passed'],
    ['qps >= 1.5 * baseline && quality.fid_delta > 1', 'failed'],
    ['qps >= 2 * baseline || quality.fid_delta <= 0.4', 'passed'],
    ['(a + b) * 2 == 6', 'passed'],
    ['((a)) < b && (a > b || b < c)', 'passed'],
    ['a > b || b < c && a > c', 'failed'],
    ['-a < -0.5', 'passed'],
    ['1 - 2 - 3 == -4', 'passed'],
    ['8 / 4 / 2 == 1', 'passed'],
    ['a + b * c == 7', 'passed'],
    ['a != 1', 'failed'],
    ['quality.ssim > 0.9', 'unknown'],
    ['quality.ssim > 0.9 || a == 1', 'passed'],
    ['quality.ssim > 0.9 && a == 2', 'failed'],
    ['b <= baseline', 'unknown'],
    ['a / (b - 2) > 5', 'passed'],
    ['(a - 1) / (b - 2) > 5', 'unknown'],
  ])('%s: %s', (text, expected) => {
    expect(outcome(text)).toBe(expected)
  })

  it('every condition is reported with its two values', () => {
    const result = runGate(parseGate('latency.mean <= 0.7*baseline && quality.lpips < 1'), 'INT8', sides)
    expect(result.checks).toEqual([
      {
        text: 'latency.mean <= 0.7*baseline',
        left: 6,
        comparator: '<=',
        right: 7,
        outcome: 'passed',
        missing: [],
      },
      {
        text: 'quality.lpips < 1',
        left: null,
        comparator: '<',
        right: 1,
        outcome: 'unknown',
        missing: ['quality.lpips'],
      },
    ])
  })

  it.each([
    ['', 'the end'],
    ['latency.mean', 'a comparison'],
    ['latency.mean <=', 'a number or a figure'],
    ['a < 1 && ', 'a number or a figure'],
    ['a < 1 b', '"b"'],
    ['(a < 1', '")"'],
    ['a < 1; rm -rf', '";"'],
    ['a + c < baseline', 'exactly one figure'],
    ['baseline < 3', 'exactly one figure'],
    ['a < b < c', '"<"'],
  ])('refuses %s', (text, reason) => {
    expect(() => parseGate(text)).toThrow(GateSyntaxError)
    expect(() => parseGate(text)).toThrow(reason)
  })

  it('refuses a figure that does not exist, and says where', () => {
    expect(() => parseGate('a < 1 && latncy > 2', ['a', 'latency'])).toThrow('there is no figure "latncy"')
    try {
      parseGate('a < 1 && latncy > 2', ['a', 'latency'])
    } catch (error) {
      expect((error as GateSyntaxError).at).toBe(9)
    }
  })

  it('deep nesting and long texts are refused at once', () => {
    expect(() => parseGate(`${'('.repeat(900)}a${')'.repeat(900)} < 1`)).toThrow('nested too deeply')
    expect(() => parseGate(`${'('.repeat(900)}a < 1`)).toThrow(GateSyntaxError)
    expect(() => parseGate('a'.repeat(5000))).toThrow('longer than')
  })

  it('any text parses or is refused', () => {
    const piece = fc.constantFrom(
      'a',
      'baseline',
      '1.5',
      '(',
      ')',
      '<',
      '<=',
      '&&',
      '||',
      '-',
      '*',
      '/',
      '+',
      ' ',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece, { maxLength: 20 }).map((parts) => parts.join('')),
        ),
        (text) => {
          try {
            const gate = parseGate(text)
            expect(['passed', 'failed', 'unknown']).toContain(runGate(gate, 'x', sides).outcome)
          } catch (error) {
            expect(error).toBeInstanceOf(GateSyntaxError)
          }
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('arithmetic is that of JavaScript', () => {
    const expression = fc.letrec<{ sum: string }>((tie) => ({
      sum: fc.oneof(
        { maxDepth: 4 },
        fc.integer({ min: 0, max: 20 }).map(String),
        fc
          .tuple(tie('sum'), fc.constantFrom('+', '-', '*'), tie('sum'))
          .map(([left, operator, right]) => `(${left}) ${operator} ${right}`),
      ),
    })).sum
    fc.assert(
      fc.property(expression, (text) => {
        const expected = Function(`"use strict"; return ${text}`)() as number
        const [check] = runGate(parseGate(`${text} <= 0`), 'x', sides).checks
        expect(check!.left).toBe(expected + 0)
      }),
    )
  })
})
