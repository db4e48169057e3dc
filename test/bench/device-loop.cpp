// The benchmark loop in C++: the same ACL calls in the same order as native/acl/model.ts, without JavaScript.
// Usage: device-loop MODEL.om RUNS -> prints the mean microseconds of one iteration.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "acl/acl.h"

namespace {

void check(const char *call, aclError status) {
  if (status == ACL_SUCCESS) return;
  const char *message = aclGetRecentErrMsg();
  fprintf(stderr, "%s: %d %s\n", call, status, message != nullptr ? message : "");
  exit(1);
}

struct Slot {
  void *device;
  void *host;
  size_t bytes;
};

Slot makeSlot(aclmdlDataset *dataset, size_t bytes) {
  Slot slot{nullptr, nullptr, bytes};
  check("aclrtMalloc", aclrtMalloc(&slot.device, bytes, ACL_MEM_MALLOC_HUGE_FIRST));
  check("aclrtMallocHost", aclrtMallocHost(&slot.host, bytes));
  check("aclmdlAddDatasetBuffer", aclmdlAddDatasetBuffer(dataset, aclCreateDataBuffer(slot.device, bytes)));
  return slot;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const int runs = atoi(argv[2]);
  check("aclInit", aclInit(nullptr));
  check("aclrtSetDevice", aclrtSetDevice(0));
  aclrtContext context = nullptr;
  check("aclrtCreateContext", aclrtCreateContext(&context, 0));
  aclrtStream stream = nullptr;
  check("aclrtCreateStream", aclrtCreateStream(&stream));
  uint32_t model = 0;
  check("aclmdlLoadFromFile", aclmdlLoadFromFile(argv[1], &model));
  aclmdlDesc *desc = aclmdlCreateDesc();
  check("aclmdlGetDesc", aclmdlGetDesc(desc, model));
  aclmdlDataset *input = aclmdlCreateDataset();
  aclmdlDataset *output = aclmdlCreateDataset();
  std::vector<Slot> inputs;
  std::vector<Slot> outputs;
  for (size_t i = 0; i < aclmdlGetNumInputs(desc); i++)
    inputs.push_back(makeSlot(input, aclmdlGetInputSizeByIndex(desc, i)));
  for (size_t i = 0; i < aclmdlGetNumOutputs(desc); i++)
    outputs.push_back(makeSlot(output, aclmdlGetOutputSizeByIndex(desc, i)));
  aclrtEvent events[6];
  for (aclrtEvent &event : events)
    check("aclrtCreateEventWithFlag", aclrtCreateEventWithFlag(&event, ACL_EVENT_TIME_LINE));
  std::vector<double> samples;
  samples.reserve(static_cast<size_t>(runs) * 4);

  auto iteration = [&] {
    check("aclrtRecordEvent", aclrtRecordEvent(events[0], stream));
    for (const Slot &slot : inputs)
      check("aclrtMemcpyAsync",
            aclrtMemcpyAsync(slot.device, slot.bytes, slot.host, slot.bytes, ACL_MEMCPY_HOST_TO_DEVICE, stream));
    check("aclrtRecordEvent", aclrtRecordEvent(events[1], stream));
    check("aclrtSynchronizeStream", aclrtSynchronizeStream(stream));
    const auto start = std::chrono::steady_clock::now();
    check("aclrtRecordEvent", aclrtRecordEvent(events[2], stream));
    check("aclmdlExecuteAsync", aclmdlExecuteAsync(model, input, output, stream));
    check("aclrtRecordEvent", aclrtRecordEvent(events[3], stream));
    check("aclrtSynchronizeStream", aclrtSynchronizeStream(stream));
    const auto end = std::chrono::steady_clock::now();
    check("aclrtRecordEvent", aclrtRecordEvent(events[4], stream));
    for (const Slot &slot : outputs)
      check("aclrtMemcpyAsync",
            aclrtMemcpyAsync(slot.host, slot.bytes, slot.device, slot.bytes, ACL_MEMCPY_DEVICE_TO_HOST, stream));
    check("aclrtRecordEvent", aclrtRecordEvent(events[5], stream));
    check("aclrtSynchronizeStream", aclrtSynchronizeStream(stream));
    for (int phase = 0; phase < 3; phase++) {
      float milliseconds = 0;
      check("aclrtEventElapsedTime",
            aclrtEventElapsedTime(&milliseconds, events[phase * 2], events[phase * 2 + 1]));
      samples.push_back(milliseconds);
    }
    samples.push_back(std::chrono::duration<double, std::milli>(end - start).count());
  };

  for (int run = 0; run < 200; run++) iteration();
  samples.clear();
  const auto start = std::chrono::steady_clock::now();
  for (int run = 0; run < runs; run++) iteration();
  const auto end = std::chrono::steady_clock::now();
  printf("%.6f\n", std::chrono::duration<double, std::micro>(end - start).count() / runs);
  return 0;
}
