// The latency formula against an independent implementation (Python with numpy), and the published INT8 speed-ups.
import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Precision } from '../../../contract/cost.ts'
import { estimateLayers } from '../../../engine/cost/index.ts'
import type { LayerRecord } from '../../../engine/cost/index.ts'

interface Fixture {
  networks: Record<string, LayerRecord[]>
  predictions: { network: string; soc: string; batch: number; precision: Precision; ms: number }[]
}

const fixture = JSON.parse(
  fs.readFileSync(path.join(import.meta.dirname, '../../fixtures/cost/reference-predictions.json'), 'utf8'),
) as Fixture

describe('latency of layer records', () => {
  it.each(fixture.predictions)(
    '$network on $soc, batch $batch, $precision',
    ({ network, ms, ...options }) => {
      const { seconds } = estimateLayers(fixture.networks[network]!, options)
      expect(seconds * 1e3).toBeCloseTo(ms, 9)
    },
  )

  it('predicts the INT8 speed-ups of ResNet-50 on Ascend310P3 within 10 % of the published ones', () => {
    // Measured with ais_bench in ModelZoo, Resnet50_Pytorch_Infer: batch -> FP16 time / INT8 time.
    const published = { 1: 1.4, 4: 1.72, 8: 1.88, 16: 1.92, 32: 1.93, 64: 1.91 }
    for (const [batch, ratio] of Object.entries(published)) {
      const seconds = (precision: Precision): number =>
        estimateLayers(fixture.networks.resnet50!, { soc: 'Ascend310P3', batch: Number(batch), precision })
          .seconds
      expect(Math.abs(seconds('fp16') / seconds('int8') / ratio - 1)).toBeLessThan(0.1)
    }
  })
})
