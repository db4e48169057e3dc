// Texts of reports in English and Chinese.

export type ReportLocale = 'en' | 'zh'

const en = {
  report: 'Comparison report',
  labelMeasured: 'Measured on {device} ({clock}).',
  labelSimulated:
    'Simulated: latencies of {device} come from a cost model ({status}); a real device is expected within x/÷ {factor}.',
  labelEstimated: 'Estimated: figures of {device} are calculated, nothing was run.',
  metric: 'Figure',
  change: '{candidate} / {baseline}',
  noDifference: 'no difference',
  exact: 'exact',
  needs: 'needs {needed} runs, has {count}',
  latencyMean: 'Latency, mean (ms)',
  latencyP: 'Latency, {p} (ms)',
  endToEnd: 'With copies, mean (ms)',
  qps: 'Throughput (QPS)',
  size: 'Model size',
  memory: 'Device memory',
  load: 'Load time (ms)',
  sqnr: 'Output SQNR (dB)',
  cosine: 'Output cosine',
  runs: 'Runs',
  verdict: 'Verdict',
  valid: 'VALID',
  invalid: 'INVALID',
  reference: 'reference',
  identical: 'identical',
  nonFinite: '{count} NaN/Inf',
  fasterSmaller: '{candidate} against {baseline}: {speed}, {size} % of the size{quality}.',
  faster: '{factor}x faster',
  slower: '{factor}x slower',
  sameSpeed: 'as fast',
  withSqnr: ', output SQNR {sqnr} dB',
  sameOutputs: ', same outputs',
  withNonFinite: ', {count} output values are NaN or infinite',
  conditions: 'Conditions',
  model: 'Model: {path} (SHA-256 {sha256})',
  calibration: 'Calibration: {samples} samples of {folder} (SHA-256 {sha256})',
  evaluation: 'Quality: {samples} samples of {folder} against the FP32 source model on ONNX Runtime',
  overlap: '{count} evaluation samples are in the calibration data too: the quality figures are optimistic.',
  sameData: 'The evaluation data also chose the scales: the quality figures are optimistic.',
  runConditions:
    'Runs on {id}: at least {runs} and {ms} ms each, warm-up {warmupRuns} runs and {warmupMs} ms, batch {batch}, {order}',
  loopConditions:
    'Runs on {id}: {runs} each, as asked, warm-up {warmupRuns} runs and {warmupMs} ms, batch {batch}, {order}',
  interleaved: 'interleaved in blocks of {block}',
  oneByOne: 'one after the other',
  deviceLine: 'Device: {device}, {runtime}, CANN {cann}, driver {driver}, host {host}',
  tool: '{tool} {version}, {time}, configuration {hash}',
  incomparable: 'Not comparable, {field}: {baseline} against {candidate}',
  costModel: 'Latency model: {text}',
  recipe: 'Recipe',
  command: 'The same on the command line',
  kernels: 'Where the time goes, by kernel type (ms)',
  sizes: 'What the model files are made of (MiB)',
  hashes: 'Files',
  notes: 'Notes',
  none: 'none',
  fitted: 'fitted',
  notValidated: 'not validated',
  deviceEvents: 'device events',
  simulatedClock: 'simulated device clock',
  wallClock: 'wall clock',
} as const

export type ReportText = keyof typeof en

const zh: Record<ReportText, string> = {
  report: '对比报告',
  labelMeasured: '实测：{device}（{clock}）。',
  labelSimulated: '仿真：{device} 的时延来自成本模型（{status}），真实设备预计在 x/÷ {factor} 之内。',
  labelEstimated: '估算：{device} 的数据由计算得出，未实际运行。',
  metric: '指标',
  change: '{candidate} / {baseline}',
  noDifference: '无差异',
  exact: '精确',
  needs: '需要 {needed} 次，现有 {count} 次',
  latencyMean: '时延均值 (ms)',
  latencyP: '时延 {p} (ms)',
  endToEnd: '含拷贝均值 (ms)',
  qps: '吞吐 (QPS)',
  size: '模型大小',
  memory: '设备内存',
  load: '加载时间 (ms)',
  sqnr: '输出 SQNR (dB)',
  cosine: '输出余弦相似度',
  runs: '运行次数',
  verdict: '有效性',
  valid: '有效',
  invalid: '无效',
  reference: '基准',
  identical: '完全一致',
  nonFinite: '{count} 个 NaN/Inf',
  fasterSmaller: '{candidate} 对比 {baseline}：{speed}，大小为其 {size} %{quality}。',
  faster: '快 {factor} 倍',
  slower: '慢 {factor} 倍',
  sameSpeed: '速度相同',
  withSqnr: '，输出 SQNR {sqnr} dB',
  sameOutputs: '，输出完全一致',
  withNonFinite: '，输出中有 {count} 个 NaN 或无穷值',
  conditions: '测试条件',
  model: '模型：{path}（SHA-256 {sha256}）',
  calibration: '校准：{folder} 中 {samples} 个样本（SHA-256 {sha256}）',
  evaluation: '质量：{folder} 中 {samples} 个样本，以 ONNX Runtime 上的 FP32 原模型为基准',
  overlap: '{count} 个评估样本同时属于校准数据，质量指标偏乐观。',
  sameData: '评估数据与校准数据相同，质量指标偏乐观。',
  runConditions:
    '在 {id} 上运行：每个至少 {runs} 次且 {ms} ms，预热 {warmupRuns} 次、{warmupMs} ms，批大小 {batch}，{order}',
  loopConditions:
    '在 {id} 上运行：按要求每个 {runs} 次，预热 {warmupRuns} 次、{warmupMs} ms，批大小 {batch}，{order}',
  interleaved: '按 {block} 次一组交错',
  oneByOne: '依次运行',
  deviceLine: '设备：{device}，{runtime}，CANN {cann}，驱动 {driver}，主机 {host}',
  tool: '{tool} {version}，{time}，配置 {hash}',
  incomparable: '不可比，{field}：{baseline} 与 {candidate}',
  costModel: '时延模型：{text}',
  recipe: '量化配置',
  command: '等效命令行',
  kernels: '耗时分布，按算子类型 (ms)',
  sizes: '模型文件构成 (MiB)',
  hashes: '文件',
  notes: '备注',
  none: '无',
  fitted: '已拟合',
  notValidated: '未经验证',
  deviceEvents: '设备事件计时',
  simulatedClock: '仿真设备时钟',
  wallClock: '主机计时',
}

const texts: Record<ReportLocale, Record<ReportText, string>> = { en, zh }

export interface Translate {
  (key: ReportText, values?: Record<string, string | number>): string
  locale: ReportLocale
}

/** The texts of a language as a function that fills `{name}` placeholders. */
export function translator(locale: ReportLocale): Translate {
  const translate = (key: ReportText, values: Record<string, string | number> = {}): string =>
    texts[locale][key].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole))
  return Object.assign(translate, { locale })
}
