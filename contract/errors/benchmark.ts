// Errors of the benchmark area.
import type { ErrorCatalog } from './catalog.ts'

export const benchmarkErrors = {
  E_BENCHMARK_SCENARIO: {
    en: { message: 'Benchmark setting {name} = {value}: {reason}', hint: 'Expected {expected}.' },
    zh: { message: '基准测试设置 {name} = {value}：{reason}', hint: '应为 {expected}。' },
  },
  E_BENCHMARK_NO_SAMPLES: {
    en: { message: 'There are no samples to summarize.', hint: 'Run at least one iteration.' },
    zh: { message: '没有可供统计的样本。', hint: '请至少运行一次。' },
  },
  E_BENCHMARK_SAMPLE: {
    en: {
      message: 'Sample {index} is {value}: a latency must be a finite number, zero or above.',
      hint: 'The clock of the device went wrong or the file was edited. Measure again.',
    },
    zh: {
      message: '第 {index} 个样本为 {value}：时延必须是非负有限数。',
      hint: '设备时钟异常或文件被修改，请重新测量。',
    },
  },
} satisfies ErrorCatalog
