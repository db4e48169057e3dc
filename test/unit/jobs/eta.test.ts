// Progress over weighted stages, and the time left at known speeds.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EtaEstimator, JobProgress } from '../../../engine/jobs/eta.ts'

describe('JobProgress', () => {
  it('weighs stages and never runs backwards', () => {
    const progress = new JobProgress([
      { key: 'a', weight: 3 },
      { key: 'b', weight: 1 },
    ])
    progress.set('a', 1, 2)
    expect(progress.fraction).toBeCloseTo(0.375)
    progress.set('a', 0, 10)
    expect(progress.fraction).toBeCloseTo(0.375)
    progress.finish('a')
    progress.finish('b')
    expect(progress.fraction).toBe(1)
  })

  it('stays within 0 and 1 for any report', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer(), fc.integer())), (reports) => {
        const progress = new JobProgress([{ key: 'a', weight: 1 }])
        for (const [done, total] of reports) progress.set('a', done, total)
        expect(progress.fraction).toBeGreaterThanOrEqual(0)
        expect(progress.fraction).toBeLessThanOrEqual(1)
      }),
    )
  })
})

describe('EtaEstimator', () => {
  it('says nothing before there is enough to tell', () => {
    const eta = new EtaEstimator()
    expect(eta.update(0, 0)).toBeNull()
    expect(eta.update(1, 0.5)).toBeNull()
  })

  it('is exact at constant speed', () => {
    const eta = new EtaEstimator()
    let left: number | null = null
    for (let second = 0; second <= 20; second += 0.5) left = eta.update(second, second / 100)
    expect(left).toBeCloseTo(80, 6)
  })

  it('is not thrown off by one jump', () => {
    const eta = new EtaEstimator()
    let left: number | null = null
    for (let second = 0; second <= 20; second += 0.5) {
      left = eta.update(second, second / 100 + (second === 10 ? 0.1 : 0))
    }
    expect(left).toBeGreaterThan(75)
    expect(left).toBeLessThan(85)
  })

  it('counts down while nothing is reported, not below zero', () => {
    const eta = new EtaEstimator()
    for (let second = 0; second <= 10; second += 0.5) eta.update(second, second / 20)
    // Nothing more for a long time: the speed falls, the estimate must stay finite and not negative.
    const late = eta.update(100, 0.5)
    expect(late).toBeGreaterThanOrEqual(0)
    expect(Number.isFinite(late)).toBe(true)
  })

  it('forgets the speed of stages that took no time', () => {
    const eta = new EtaEstimator()
    eta.update(0, 0)
    eta.update(0.1, 0.5)
    eta.reset()
    for (let second = 1; second <= 11; second += 0.5) eta.update(second, 0.5 + (second - 1) / 100)
    expect(eta.update(11, 0.6)).toBeCloseTo(40, 0)
  })
})
