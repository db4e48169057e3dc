// Metrics against scipy and scikit-image (test/fixtures/evaluation/make-oracles.py), closed forms and properties.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { EigenvalueDecomposition, Matrix } from 'ml-matrix'
import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../engine/common/random.ts'
import {
  bootstrapInterval,
  captionRanks,
  clipScores,
  compareSets,
  featureDistance,
  type Features,
  featureSet,
  fid,
  frechetDistance,
  frechetReference,
  kid,
  klDivergences,
  meanInterval,
  metricResult,
  moments,
  negativeLogLikelihoods,
  neededSamples,
  perplexity,
  pickFeatures,
  type Picture,
  precisionRecall,
  psnr,
  signTest,
  ssim,
  topAgreements,
  topHits,
  topPositions,
  wilsonInterval,
} from '../../../engine/evaluation/index.ts'
import {
  pivotedCholesky,
  sandwich,
  symmetricEigenvalues,
} from '../../../engine/evaluation/metrics/symmetric.ts'

interface Oracles {
  noise: number[]
  fid: number
  kid: number
  psnr: number
  ssim: number
  kl: number[]
  nll: number[]
  sign_test: Record<string, number>
  wilson: Record<string, [number, number]>
}
const oracles = JSON.parse(
  readFileSync(new URL('../../fixtures/evaluation/oracles.json', import.meta.url), 'utf8'),
) as Oracles

/** The numbers of make-oracles.py. */
function noise(count: number, start: number): Float32Array {
  return Float32Array.from({ length: count }, (_, index) => {
    const place = start + index + 1
    return ((2 * ((place * 0.6180339887498949 + Math.sin(place)) % 1)) % 2) - 1
  })
}

function features(count: number, width: number, start: number, scale = 1, shift = 0): Features {
  return { count, width, data: noise(count * width, start).map((value) => value * scale + shift) }
}

function picture(start: number, channels: number, height: number, width: number): Picture {
  const grain = noise(channels * height * width, start)
  const data = grain.map((value, index) => {
    const x = index % width
    const y = Math.floor(index / width) % height
    const base = 0.5 + 0.3 * Math.sin(x / 5) * Math.cos(y / 7)
    return Math.min(1, Math.max(0, base + 0.15 * value))
  })
  return { width, height, channels, data }
}

/** Moments with a given mean and covariance. */
function gaussian(mean: number[], covariance: number[]) {
  return { count: 1000, mean: Float64Array.from(mean), covariance: Float64Array.from(covariance) }
}

describe('Frechet distance', () => {
  const a = features(60, 8, 0)
  const b = features(50, 8, 7000, 1.4, 0.3)

  it('agrees with scipy.linalg.sqrtm', () => {
    expect(noise(4, 10)).toEqual(Float32Array.from(oracles.noise))
    expect(fid(a, b)).toBeCloseTo(oracles.fid, 5)
    expect(fid(b, a)).toBeCloseTo(oracles.fid, 5)
  })

  it('has the closed form of diagonal Gaussians', () => {
    const left = gaussian([1, -2], [4, 0, 0, 9])
    const right = gaussian([0, 1], [1, 0, 0, 16])
    expect(frechetDistance(frechetReference(left), right)).toBeCloseTo(1 + 9 + 1 + 1, 12)
  })

  it('has the closed form of two-dimensional Gaussians: Tr sqrt(AB)^2 = Tr AB + 2 sqrt(det AB)', () => {
    const [p, q, r] = [2, 0.7, 1.5]
    const [s, t, u] = [0.9, -0.4, 3]
    const product = p * s + 2 * q * t + r * u
    const determinant = (p * r - q * q) * (s * u - t * t)
    const expected = p + r + s + u - 2 * Math.sqrt(product + 2 * Math.sqrt(determinant))
    const left = gaussian([0, 0], [p, q, q, r])
    expect(frechetDistance(frechetReference(left), gaussian([0, 0], [s, t, t, u]))).toBeCloseTo(expected, 12)
  })

  it('of a set with itself is nothing, also with fewer vectors than dimensions', () => {
    expect(fid(a, a)).toBeLessThan(1e-6)
    const few = features(20, 128, 5)
    expect(fid(few, few)).toBeLessThan(1e-3)
  })

  it('refuses features of another width', () => {
    expect(() => fid(a, features(10, 4, 0))).toThrow(/width 8 and 4/)
  })
})

describe('moments', () => {
  it('keep their digits far from zero', () => {
    const near = features(40, 3, 9)
    const far = { ...near, data: near.data.map((value) => Math.fround(value) + 1024) }
    const [left, right] = [moments(near), moments(far)]
    left.covariance.forEach((value, index) => expect(right.covariance[index]).toBeCloseTo(value, 3))
  })

  it('of picked vectors are those of the picked rows', () => {
    const all = features(5, 2, 0)
    const picked = pickFeatures(all, Uint32Array.of(4, 4, 0))
    expect([...picked.data]).toEqual([8, 9, 8, 9, 0, 1].map((index) => all.data[index]))
  })
})

describe('symmetric matrices', () => {
  const covariance = (count: number, width: number): Float64Array =>
    moments(features(count, width, 31)).covariance

  it.each([
    [40, 1],
    [40, 17],
    [9, 24],
  ])('eigenvalues of a covariance of %d vectors of width %d are those of ml-matrix', (count, width) => {
    const matrix = covariance(count, width)
    const library = new EigenvalueDecomposition(Matrix.from1DArray(width, width, matrix))
    const wanted = library.realEigenvalues.toSorted((left, right) => left - right)
    const found = [...symmetricEigenvalues(matrix.slice(), width)].sort((left, right) => left - right)
    found.forEach((value, index) => expect(value).toBeCloseTo(wanted[index]!, 12))
  })

  it('the factor gives the matrix back, with as many columns as it has rank', () => {
    const matrix = covariance(9, 24)
    const { factor, rank } = pivotedCholesky(matrix, 24)
    expect(rank).toBe(8)
    const entry = (row: number, column: number): number => {
      let sum = 0
      for (let k = 0; k < rank; k++) sum += factor[row * rank + k]! * factor[column * rank + k]!
      return sum
    }
    matrix.forEach((value, index) => expect(entry(Math.floor(index / 24), index % 24)).toBeCloseTo(value, 12))
  })

  it('F^T A F has the eigenvalues of A F F^T', () => {
    const matrix = covariance(40, 10)
    const factor = pivotedCholesky(covariance(7, 10), 10)
    const product = Matrix.from1DArray(10, 10, matrix).mmul(Matrix.from1DArray(10, 10, covariance(7, 10)))
    const wanted = new EigenvalueDecomposition(product).realEigenvalues.toSorted((a, b) => b - a)
    const found = [...symmetricEigenvalues(sandwich(matrix, factor), factor.rank)].sort((a, b) => b - a)
    found.forEach((value, index) => expect(value).toBeCloseTo(wanted[index]!, 10))
  })

  it('values that are not finite are refused', () => {
    expect(() => symmetricEigenvalues(Float64Array.of(NaN), 1)).toThrow(/not finite/)
  })
})

describe('sets', () => {
  const a = features(60, 8, 0)
  const b = features(50, 8, 7000, 1.4, 0.3)

  it('KID agrees with numpy', () => {
    const smaller = { ...a, count: 50, data: a.data.slice(0, 50 * 8) }
    expect(kid(smaller, b)).toBeCloseTo(oracles.kid, 6)
  })

  it('KID, precision and recall of sets of any size are those of the definition, pair by pair', () => {
    fc.assert(
      fc.property(fc.integer({ min: 4, max: 23 }), fc.integer({ min: 4, max: 23 }), (m, n) => {
        const [real, generated] = [features(m, 3, 0), features(n, 3, 500, 1.2, 0.2)]
        const rows = ({ count, data }: Features): number[][] =>
          Array.from({ length: count }, (_, row) => [...data.subarray(row * 3, row * 3 + 3)])
        const [x, y] = [rows(real), rows(generated)]
        const k = (u: number[], v: number[]): number =>
          (u.reduce((sum, value, index) => sum + value * v[index]!, 0) / 3 + 1) ** 3
        const mean = (u: number[][], v: number[][]): number => {
          const all = u.flatMap((p, i) => v.flatMap((q, j) => (u === v && i === j ? [] : [k(p, q)])))
          return all.reduce((sum, value) => sum + value, 0) / all.length
        }
        expect(kid(real, generated)).toBeCloseTo(mean(x, x) + mean(y, y) - 2 * mean(x, y), 10)
        const far = (u: number[], v: number[]): number =>
          Math.hypot(...u.map((value, index) => value - v[index]!))
        const near = (u: number[][], v: number[][]): number =>
          v.filter((q) =>
            u.some((p) => {
              const sorted = u.map((other) => far(p, other)).sort((left, right) => left - right)
              return far(p, q) <= sorted[3]!
            }),
          ).length / v.length
        expect(precisionRecall(real, generated)).toEqual({ precision: near(x, y), recall: near(y, x) })
      }),
    )
  })

  it('the jackknife values of KID have it as their mean', () => {
    const { kid: value, kidValues } = compareSets(featureSet(a), featureSet(b))
    expect(kidValues.reduce((sum, one) => sum + one, 0) / kidValues.length).toBeCloseTo(value, 10)
  })

  it('precision sees strays, recall sees what is missing', () => {
    const grid = (offset: number): number[] => [0, 1, 2, 3].map((step) => offset + step)
    const real: Features = { count: 8, width: 1, data: Float32Array.from([...grid(0), ...grid(100)]) }
    const half: Features = { count: 8, width: 1, data: Float32Array.from([...grid(0.5), ...grid(0.25)]) }
    const stray: Features = { count: 8, width: 1, data: Float32Array.from([...grid(0.5), ...grid(500)]) }
    expect(precisionRecall(real, real)).toEqual({ precision: 1, recall: 1 })
    expect(precisionRecall(real, half)).toEqual({ precision: 1, recall: 0.5 })
    expect(precisionRecall(real, stray).precision).toBe(0.5)
  })
})

describe('pictures', () => {
  const left = picture(0, 3, 32, 40)
  const right = picture(90000, 3, 32, 40)

  it('PSNR and SSIM agree with scikit-image', () => {
    expect(psnr(left, right)).toBeCloseTo(oracles.psnr, 4)
    expect(ssim(left, right)).toBeCloseTo(oracles.ssim, 5)
  })

  it('equal pictures', () => {
    expect(psnr(left, left)).toBe(Infinity)
    expect(ssim(left, left)).toBeCloseTo(1, 12)
  })

  it('SSIM needs room for its window', () => {
    expect(ssim(picture(0, 1, 10, 40), picture(1, 1, 10, 40))).toBeNull()
  })

  it('refuses pictures of different size', () => {
    expect(() => psnr(left, picture(0, 3, 40, 32))).toThrow(/3x32x40 and 3x40x32/)
  })

  it('feature distance is 0 for parallel features and 2 per layer for opposite ones', () => {
    const map = { channels: 2, positions: 1, data: Float32Array.of(3, 4) }
    const scaled = { ...map, data: Float32Array.of(6, 8) }
    const opposite = { ...map, data: Float32Array.of(-3, -4) }
    expect(featureDistance([map], [scaled])).toBeCloseTo(0, 12)
    expect(featureDistance([map, map], [opposite, scaled])).toBeCloseTo(4, 8)
  })
})

describe('captions', () => {
  const images: Features = { count: 2, width: 2, data: Float32Array.of(1, 0, 1, 1) }
  const captions: Features = { count: 3, width: 2, data: Float32Array.of(2, 0, 0, 5, -1, 0) }

  it('cosines and ranks by hand', () => {
    expect(clipScores(images, { ...captions, count: 2 })[0]).toBeCloseTo(1, 12)
    expect(clipScores(images, { ...captions, count: 2 })[1]).toBeCloseTo(Math.SQRT1_2, 7)
    expect([...captionRanks(images, captions, Uint32Array.of(0, 2))]).toEqual([0, 2])
  })
})

describe('text', () => {
  const logits = noise(45, 333).map((value) => value * 4)
  const other = noise(45, 999).map((value) => value * 4)

  it('losses and divergences agree with scipy', () => {
    negativeLogLikelihoods(logits, 9, [0, 1, 2, 3, 4]).forEach((value, index) =>
      expect(value).toBeCloseTo(oracles.nll[index] as number, 5),
    )
    klDivergences(logits, other, 9).forEach((value, index) =>
      expect(value).toBeCloseTo(oracles.kl[index] as number, 5),
    )
  })

  it('huge logits do not overflow', () => {
    const huge = Float32Array.of(3e38, 0, 0)
    expect(negativeLogLikelihoods(huge, 3, [0])[0]).toBe(0)
    expect(klDivergences(huge, huge, 3)[0]).toBe(0)
  })

  it('the perplexity of a uniform model is its vocabulary', () => {
    const losses = negativeLogLikelihoods(new Float32Array(64 * 3), 64, [1, 2, 3])
    expect(perplexity(losses[0]! + losses[1]! + losses[2]!, 3)).toBeCloseTo(64, 9)
  })

  it('top positions are those of a sort', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1, max: 5 }),
        (values, k) => {
          const order = values.map((_, index) => index).sort((x, y) => values[y]! - values[x]! || x - y)
          expect(topPositions(Float32Array.from(values), 0, values.length, k)).toEqual(order.slice(0, k))
        },
      ),
    )
  })

  it('agreement and hits', () => {
    const scores = Float32Array.of(1, 3, 2, 9, 0, 1)
    expect([...topAgreements(scores, Float32Array.of(0, 1, 0, 0, 1, 0), 3)]).toEqual([1, 0])
    expect([...topHits(scores, 3, [2, 1], 1)]).toEqual([0, 0])
    expect([...topHits(scores, 3, [2, 1], 2)]).toEqual([1, 0])
  })
})

describe('intervals', () => {
  it.each(Object.entries(oracles.wilson))('Wilson of %s agrees with scipy', (counts, [low, high]) => {
    const [wins, trials] = counts.split(',').map(Number) as [number, number]
    const interval = wilsonInterval(wins, trials)
    expect(interval.low).toBeCloseTo(low, 10)
    expect(interval.high).toBeCloseTo(high, 10)
  })

  it.each(Object.entries(oracles.sign_test))('sign test of %s agrees with scipy', (counts, p) => {
    const [wins, losses] = counts.split(',').map(Number) as [number, number]
    expect(signTest(wins, losses)).toBeCloseTo(p, 10)
    expect(signTest(losses, wins)).toBeCloseTo(p, 10)
  })

  it('no votes prove nothing', () => {
    expect(signTest(0, 0)).toBe(1)
    expect(wilsonInterval(0, 0)).toMatchObject({ low: 0, high: 1 })
  })

  it('bootstrap of a mean is near mean +- 1.96 s / sqrt(n), the same for the same seed', () => {
    const next = createRandom(7)
    const values = Float64Array.from({ length: 400 }, () => next() / 2 ** 32)
    const interval = meanInterval(values, { seed: 5 })
    const half = (1.96 * Math.sqrt(1 / 12)) / 20
    expect((interval.high - interval.low) / 2).toBeCloseTo(half, 2)
    expect(meanInterval(values, { seed: 5 })).toEqual(interval)
    expect(meanInterval(values, { seed: 6 })).not.toEqual(interval)
  })

  it('bootstrap covers the true mean about as often as it says', () => {
    let covered = 0
    for (let seed = 1; seed <= 200; seed++) {
      const next = createRandom(seed)
      const values = Float64Array.from({ length: 60 }, () => next() / 2 ** 32)
      const { low, high } = meanInterval(values, { seed, rounds: 300 })
      if (low <= 0.5 && high >= 0.5) covered++
    }
    expect(covered).toBeGreaterThan(175)
    expect(covered).toBeLessThan(200)
  })

  it('the statistic sees resampled positions', () => {
    const seen = new Set<number>()
    bootstrapInterval(3, (positions) => {
      positions.forEach((position) => seen.add(position))
      return 0
    })
    expect([...seen].sort()).toEqual([0, 1, 2])
  })
})

describe('metric results', () => {
  it('say how many samples they would need', () => {
    expect(metricResult('fid', { value: 1, samples: 100, featureWidth: 128 }).needed_samples).toBe(256)
    expect(metricResult('fid', { value: 1, samples: 512, featureWidth: 128 }).needed_samples).toBeNull()
    expect(neededSamples('fid', 2048)).toBe(4096)
  })

  it('what is not finite becomes null', () => {
    expect(metricResult('psnr', { value: Infinity, samples: 4 }).value).toBeNull()
  })
})
