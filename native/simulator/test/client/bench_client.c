/*
 * How long calls take from C: the baseline for the overhead of other bindings.
 *   bench_client MODEL LOOPS
 * Prints JSON: ns per trivial call, ms per execution, and what the virtual clock says.
 */
#include <time.h>

#include "client.h"

static double now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

int main(int argc, char **argv) {
  enum { CALLS = 1000000 };
  uint32_t model = 0;
  aclmdlDesc *desc;
  aclmdlDataset *in, *out;
  aclrtContext context;
  size_t index, sink = 0;
  double start, getter_ns, context_ns, buffer_ns, total_ms;
  uint64_t device_ns;
  int loops, i;

  if (argc < 3) return 2;
  loops = atoi(argv[2]);
  CALL(aclInit(NULL));
  CALL(aclrtSetDevice(0));
  CALL(aclmdlLoadFromFile(argv[1], &model));
  desc = aclmdlCreateDesc();
  CALL(aclmdlGetDesc(desc, model));
  in = aclmdlCreateDataset();
  out = aclmdlCreateDataset();
  for (index = 0; index < aclmdlGetNumInputs(desc) + aclmdlGetNumOutputs(desc); ++index) {
    const int output = index >= aclmdlGetNumInputs(desc);
    const size_t size = output ? aclmdlGetOutputSizeByIndex(desc, index - aclmdlGetNumInputs(desc))
                               : aclmdlGetInputSizeByIndex(desc, index);
    void *device;
    CALL(aclrtMalloc(&device, size, ACL_MEM_MALLOC_HUGE_FIRST));
    CALL(aclrtMemset(device, size, 0, size));
    CALL(aclmdlAddDatasetBuffer(output ? out : in, aclCreateDataBuffer(device, size)));
  }

  start = now_ns();
  for (i = 0; i < CALLS; ++i) sink += aclmdlGetInputSizeByIndex(desc, 0);
  getter_ns = (now_ns() - start) / CALLS;
  start = now_ns();
  for (i = 0; i < CALLS; ++i) sink += (size_t)aclrtGetCurrentContext(&context);
  context_ns = (now_ns() - start) / CALLS;
  start = now_ns();
  for (i = 0; i < CALLS; ++i) sink += (size_t)aclGetDataBufferAddr(aclmdlGetDatasetBuffer(in, 0));
  buffer_ns = (now_ns() - start) / CALLS / 2;

  CALL(aclmdlExecute(model, in, out));
  device_ns = ascendsim_device_time_ns(0);
  start = now_ns();
  for (i = 0; i < loops; ++i) CALL(aclmdlExecute(model, in, out));
  total_ms = (now_ns() - start) / 1e6;
  device_ns = ascendsim_device_time_ns(0) - device_ns;

  printf("{\"getterNs\":%.1f,\"contextNs\":%.1f,\"bufferNs\":%.1f,\"executeMs\":%.6f,\"modelledMs\":%.6f,\"sink\":%zu}\n",
         getter_ns, context_ns, buffer_ns, total_ms / loops, (double)device_ns / 1e6 / loops, sink & 1);
  CALL(aclrtResetDevice(0));
  CALL(aclFinalize());
  return 0;
}
