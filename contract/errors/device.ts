// Errors of the device area. `{call}`, `{name}`, `{status}` and `{reason}` come from the runtime: the ACL call, the
// header's name of the status, its number, and the text of aclGetRecentErrMsg.
import type { ErrorCatalog } from './catalog.ts'

export const deviceErrors = {
  E_DEVICE_UNKNOWN: {
    en: {
      message: 'There is no device "{device}".',
      hint: 'Did you mean {nearest}? Available: {available}.',
    },
    zh: { message: '没有名为 "{device}" 的设备。', hint: '是否想用 {nearest}？可用设备：{available}。' },
  },
  E_DEVICE_LIBRARY_MISSING: {
    en: {
      message: 'libascendcl.so of CANN was not found. Looked under: {roots}',
      hint: 'Install the CANN toolkit or nnrt and set ASCEND_HOME_PATH (source set_env.sh), or use sim:Ascend310P3 or cpu.',
    },
    zh: {
      message: '未找到 CANN 的 libascendcl.so。已查找：{roots}',
      hint: '请安装 CANN toolkit 或 nnrt 并设置 ASCEND_HOME_PATH（source set_env.sh），或使用 sim:Ascend310P3、cpu。',
    },
  },
  E_DEVICE_SIMULATOR_MISSING: {
    en: {
      message: 'The simulated device library is not built: {path}',
      hint: 'Run `npm run build:native` (needs g++), or use the device cpu.',
    },
    zh: {
      message: '仿真设备库尚未构建：{path}',
      hint: '请运行 `npm run build:native`（需要 g++），或使用设备 cpu。',
    },
  },
  E_DEVICE_LIBRARY_LOAD: {
    en: {
      message: 'Cannot load {path}: {reason}',
      hint: 'A library it depends on is missing or belongs to another version: check the driver and `source set_env.sh`.',
    },
    zh: {
      message: '无法加载 {path}：{reason}',
      hint: '其依赖库缺失或版本不符：请检查驱动并执行 `source set_env.sh`。',
    },
  },
  E_DEVICE_STUB_LIBRARY: {
    en: {
      message: '{path} is the compile-only stub of CANN ({call} returned {status}).',
      hint: 'The toolkit is installed but no NPU driver is. Install the driver, or use sim:Ascend310P3 or cpu.',
    },
    zh: {
      message: '{path} 是 CANN 仅供编译的桩库（{call} 返回 {status}）。',
      hint: '已安装 toolkit 但没有 NPU 驱动。请安装驱动，或使用 sim:Ascend310P3、cpu。',
    },
  },
  E_DEVICE_DRIVER: {
    en: {
      message: 'The NPU driver refused {call}: {name} ({status}). {reason}',
      hint: 'Check `npu-smi info`, that the user is in group HwHiAiUser, and that no other process resets the device.',
    },
    zh: {
      message: 'NPU 驱动拒绝 {call}：{name}（{status}）。{reason}',
      hint: '请检查 `npu-smi info`、用户是否属于 HwHiAiUser 组，以及是否有其他进程正在复位设备。',
    },
  },
  E_DEVICE_CALL: {
    en: {
      message: '{call} failed: {name} ({status}). {reason}',
      hint: 'See the device log (default ~/ascend/log) for the time of the failure.',
    },
    zh: {
      message: '{call} 失败：{name}（{status}）。{reason}',
      hint: '请查看设备日志（默认 ~/ascend/log）中失败时刻的记录。',
    },
  },
  E_DEVICE_ARGUMENT: {
    en: {
      message: '{call} refused its arguments: {name} ({status}). {reason}',
      hint: 'Compare the input sizes and shapes with those of the model (`aqw inspect MODEL`).',
    },
    zh: {
      message: '{call} 拒绝了参数：{name}（{status}）。{reason}',
      hint: '请将输入大小和形状与模型的要求比对（`aqw inspect MODEL`）。',
    },
  },
  E_DEVICE_CONTEXT: {
    en: {
      message: '{call} ran on a thread without its device context: {name} ({status}). {reason}',
      hint: 'Open the device again. If it happens again, report it with the log file.',
    },
    zh: {
      message: '{call} 所在线程没有设备上下文：{name}（{status}）。{reason}',
      hint: '请重新打开设备；若再次发生，请附日志文件反馈。',
    },
  },
  E_DEVICE_MEMORY: {
    en: {
      message: 'Out of device memory in {call}: {name} ({status}). {reason}',
      hint: 'Unload other models, lower the batch, or use a device with more memory. `npu-smi info` shows who uses it.',
    },
    zh: {
      message: '{call} 时设备内存不足：{name}（{status}）。{reason}',
      hint: '请卸载其他模型、减小 batch 或换用内存更大的设备。`npu-smi info` 可查看占用者。',
    },
  },
  E_DEVICE_TIMEOUT: {
    en: {
      message: '{call} timed out on the device: {name} ({status}). {reason}',
      hint: 'The device is overloaded or hangs: check `npu-smi info`, reset the device if its health is not OK.',
    },
    zh: {
      message: '{call} 在设备上超时：{name}（{status}）。{reason}',
      hint: '设备过载或挂起：请检查 `npu-smi info`，健康状态异常时请复位设备。',
    },
  },
  E_DEVICE_EXECUTION: {
    en: {
      message: 'The model failed while executing ({call}): {name} ({status}). {reason}',
      hint: 'Check the inputs for NaN and out-of-range indices; recompile the model for this CANN version.',
    },
    zh: {
      message: '模型执行失败（{call}）：{name}（{status}）。{reason}',
      hint: '请检查输入是否含 NaN 或越界索引；并用当前 CANN 版本重新编译模型。',
    },
  },
  E_DEVICE_MODEL_FILE: {
    en: {
      message: 'The device cannot load {path}: {name} ({status}). {reason}',
      hint: 'The file must be a complete .om for this device. Compile it again from the source ONNX model.',
    },
    zh: {
      message: '设备无法加载 {path}：{name}（{status}）。{reason}',
      hint: '文件必须是适用于该设备的完整 .om。请用源 ONNX 模型重新编译。',
    },
  },
  E_DEVICE_MODEL_SOC: {
    en: {
      message: '{path} was compiled for another SoC than {soc}. {reason}',
      hint: 'Compile it again for {soc}: aqw compile MODEL.onnx --device {device}.',
    },
    zh: {
      message: '{path} 不是为 {soc} 编译的。{reason}',
      hint: '请为 {soc} 重新编译：aqw compile MODEL.onnx --device {device}。',
    },
  },
  E_DEVICE_MODEL_FORMAT: {
    en: {
      message: '{path} cannot run on {device}, which takes {expected} files.',
      hint: 'Give a {expected} file, or choose another device.',
    },
    zh: {
      message: '{path} 不能在 {device} 上运行，该设备使用 {expected} 文件。',
      hint: '请提供 {expected} 文件，或选择其他设备。',
    },
  },
  E_DEVICE_DYNAMIC_SHAPE: {
    en: {
      message: '{path} has inputs of fully dynamic shape ({inputs}), which are not supported.',
      hint: 'Compile the model with fixed shapes or with gears (--dynamic_batch_size, --dynamic_image_size, --dynamic_dims).',
    },
    zh: {
      message: '{path} 含完全动态形状的输入（{inputs}），暂不支持。',
      hint: '请以固定形状或分档方式编译（--dynamic_batch_size、--dynamic_image_size、--dynamic_dims）。',
    },
  },
  E_DEVICE_MODEL_ID: {
    en: {
      message: 'There is no loaded model {handle} on this device.',
      hint: 'It was unloaded, or belongs to another session. Load the model again.',
    },
    zh: { message: '该设备上没有已加载的模型 {handle}。', hint: '模型已卸载或属于其他会话，请重新加载。' },
  },
  E_DEVICE_ONNXRUNTIME: {
    en: {
      message: 'ONNX Runtime cannot {action} {path}: {reason}',
      hint: 'Check the model with `aqw inspect`; the reason names the operator or tensor.',
    },
    zh: {
      message: 'ONNX Runtime 无法对 {path} 执行 {action}：{reason}',
      hint: '请用 `aqw inspect` 检查模型；原因中给出了算子或张量名。',
    },
  },
  E_DEVICE_INPUT_MISSING: {
    en: { message: 'No data for the input "{input}" of {path}.', hint: 'Its inputs are: {inputs}.' },
    zh: { message: '{path} 的输入 "{input}" 没有数据。', hint: '该模型的输入：{inputs}。' },
  },
  E_DEVICE_INPUT_UNKNOWN: {
    en: { message: '{path} has no input "{input}".', hint: 'Its inputs are: {inputs}.' },
    zh: { message: '{path} 没有名为 "{input}" 的输入。', hint: '该模型的输入：{inputs}。' },
  },
  E_DEVICE_INPUT_SIZE: {
    en: {
      message:
        'Input "{input}" of {path}: {actual} bytes given, {expected} needed for {elementType} [{dims}].',
      hint: 'Give exactly {expected} bytes. Check the element type and the batch of the data.',
    },
    zh: {
      message: '{path} 的输入 "{input}"：给出 {actual} 字节，{elementType} [{dims}] 需要 {expected} 字节。',
      hint: '请给出恰好 {expected} 字节，并检查数据的元素类型和 batch。',
    },
  },
  E_DEVICE_INPUT_SHAPE: {
    en: {
      message: 'Input "{input}" of {path}: shape [{actual}] does not fit [{expected}].',
      hint: 'Give one of the shapes the model was compiled for: {choices}.',
    },
    zh: {
      message: '{path} 的输入 "{input}"：形状 [{actual}] 与 [{expected}] 不符。',
      hint: '请使用模型编译时支持的形状之一：{choices}。',
    },
  },
  E_DEVICE_INPUT_TYPE: {
    en: {
      message: 'Input "{input}" of {path} has element type {elementType}, which this device cannot be fed.',
      hint: 'Use a model whose inputs are numeric tensors.',
    },
    zh: {
      message: '{path} 的输入 "{input}" 的元素类型为 {elementType}，该设备不支持。',
      hint: '请使用输入为数值张量的模型。',
    },
  },
  E_DEVICE_LOST: {
    en: {
      message: 'The process of device {device} ended ({reason}). {stderr}',
      hint: 'Open the device again; finished results are kept. If it happens again, the driver or the model crashes it.',
    },
    zh: {
      message: '设备 {device} 的进程已结束（{reason}）。{stderr}',
      hint: '请重新打开设备，已完成的结果会保留；若再次发生，说明驱动或模型导致其崩溃。',
    },
  },
  E_DEVICE_CLOSED: {
    en: { message: 'The session of device {device} is closed.', hint: 'Open the device again.' },
    zh: { message: '设备 {device} 的会话已关闭。', hint: '请重新打开设备。' },
  },
  E_DEVICE_START: {
    en: {
      message: 'The process of device {device} did not start within {seconds} s. {stderr}',
      hint: 'The machine is overloaded or the driver hangs. Try again; check `npu-smi info`.',
    },
    zh: {
      message: '设备 {device} 的进程在 {seconds} 秒内未能启动。{stderr}',
      hint: '机器过载或驱动挂起。请重试，并检查 `npu-smi info`。',
    },
  },
} satisfies ErrorCatalog
