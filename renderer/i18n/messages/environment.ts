// Names and advice of the environment strip, by the engine's item ids; unknown items keep the engine's own text.
import { section } from '../texts.ts'

export const environment = section(
  {
    labels: {
      cann: 'CANN',
      driver: 'NPU driver',
      'npu-smi': 'npu-smi',
      atc: 'ATC compiler',
      simulator: 'Device simulator',
      onnxruntime: 'ONNX Runtime',
    },
    hints: {
      cann: 'Needed for real NPUs only: install the toolkit or nnrt and source set_env.sh.',
      driver: 'Needed for real NPUs only.',
      'npu-smi': 'It comes with the driver.',
      atc: 'Comes with the CANN toolkit; the simulated compiler works without it.',
      simulator: 'Run: npm run build:native (needs g++).',
      onnxruntime: 'Run: npm ci',
    },
    values: { missing: 'not found' },
  },
  {
    labels: {
      cann: 'CANN',
      driver: 'NPU 驱动',
      'npu-smi': 'npu-smi',
      atc: 'ATC 编译器',
      simulator: '设备仿真器',
      onnxruntime: 'ONNX Runtime',
    },
    hints: {
      cann: '仅真实 NPU 需要：安装 toolkit 或 nnrt，并执行 source set_env.sh。',
      driver: '仅真实 NPU 需要。',
      'npu-smi': '随驱动一同安装。',
      atc: '随 CANN toolkit 提供；仿真编译器无需它。',
      simulator: '运行：npm run build:native（需要 g++）。',
      onnxruntime: '运行：npm ci',
    },
    values: { missing: '未找到' },
  },
)
