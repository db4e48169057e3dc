// Entry of the device process for the host CPU.
// onnxruntime-node 1.30 cannot take float16 tensors when Float16Array exists (microsoft/onnxruntime#26791: "not enough
// space: expected N, got 0"). It looks for the class at the first tensor, so the class is hidden before it is loaded;
// float16 data then travels as Uint16Array bit patterns.
Reflect.deleteProperty(globalThis, 'Float16Array')

const { CpuBackend } = await import('./cpu-backend.ts')
const { serveDevice } = await import('./serve.ts')

serveDevice((command) => new CpuBackend(command.intraOpThreads, command.interOpThreads))
