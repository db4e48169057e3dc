// Shorthand for tests that drive the library through its ACL functions.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include "acl/acl.h"
#include "builders.h"
#include "check.h"

namespace harness {

/** Text of the last failure; empty when none is pending. */
inline std::string takeMessage() {
  const char *message = aclGetRecentErrMsg();
  return message != nullptr ? message : "";
}

/** Expects a status and a message that contains `part`. */
inline void expectFailure(int actual, int expected, const char *part, const char *file, int line) {
  check::equal(actual, expected, "status", file, line);
  const std::string message = takeMessage();
  if (message.find(part) == std::string::npos) {
    check::report(file, line, "message \"" + message + "\" does not contain \"" + part + "\"");
  }
}
#define EXPECT_FAILURE(call, code, part) harness::expectFailure((call), (code), (part), __FILE__, __LINE__)

/** Initialised library with device 0 set; environment settings first. Pacing is off unless asked for. */
struct Session {
  Session() : Session(nullptr, nullptr) {}
  Session(const char *name, const char *value, const char *otherName = nullptr, const char *otherValue = nullptr) {
    setenv("ASCENDSIM_PACE", "0", 1);
    for (const char *each : {"ASCENDSIM_SOC", "ASCENDSIM_MEMORY_BYTES", "ASCENDSIM_DEVICES"}) unsetenv(each);
    if (name != nullptr) setenv(name, value, 1);
    if (otherName != nullptr) setenv(otherName, otherValue, 1);
    CHECK_EQ(aclInit(nullptr), ACL_SUCCESS);
    CHECK_EQ(aclrtSetDevice(0), ACL_SUCCESS);
  }
  ~Session() {
    CHECK_EQ(aclrtResetDevice(0), ACL_SUCCESS);
    CHECK_EQ(aclFinalize(), ACL_SUCCESS);
    takeMessage();
  }
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;
};

/** A model loaded from memory, with its description. */
struct Loaded {
  Loaded(const Session &, const build::Om &om) : Loaded(om) {}
  explicit Loaded(const build::Om &om) {
    const std::string bytes = om.bytes();
    const int status = aclmdlLoadFromMem(bytes.data(), bytes.size(), &id);
    CHECK_EQ(status, ACL_SUCCESS);
    if (status != ACL_SUCCESS) check::report(__FILE__, __LINE__, takeMessage());
    desc = aclmdlCreateDesc();
    CHECK_EQ(aclmdlGetDesc(desc, id), ACL_SUCCESS);
  }
  ~Loaded() {
    CHECK_EQ(aclmdlDestroyDesc(desc), ACL_SUCCESS);
    CHECK_EQ(aclmdlUnload(id), ACL_SUCCESS);
  }
  Loaded(const Loaded &) = delete;
  Loaded &operator=(const Loaded &) = delete;
  uint32_t id = 0;
  aclmdlDesc *desc = nullptr;
};

/** Device buffers for all inputs and outputs of a model. */
struct Buffers {
  explicit Buffers(const Loaded &model) {
    inputs = aclmdlCreateDataset();
    outputs = aclmdlCreateDataset();
    for (size_t i = 0; i < aclmdlGetNumInputs(model.desc); ++i) {
      add(inputs, aclmdlGetInputSizeByIndex(model.desc, i));
    }
    for (size_t i = 0; i < aclmdlGetNumOutputs(model.desc); ++i) {
      add(outputs, aclmdlGetOutputSizeByIndex(model.desc, i));
    }
  }
  ~Buffers() {
    for (aclmdlDataset *set : {inputs, outputs}) {
      for (size_t i = 0; i < aclmdlGetDatasetNumBuffers(set); ++i) {
        aclDataBuffer *buffer = aclmdlGetDatasetBuffer(set, i);
        CHECK_EQ(aclrtFree(aclGetDataBufferAddr(buffer)), ACL_SUCCESS);
        CHECK_EQ(aclDestroyDataBuffer(buffer), ACL_SUCCESS);
      }
      CHECK_EQ(aclmdlDestroyDataset(set), ACL_SUCCESS);
    }
  }
  Buffers(const Buffers &) = delete;
  Buffers &operator=(const Buffers &) = delete;

  static void add(aclmdlDataset *set, size_t size) {
    void *memory = nullptr;
    CHECK_EQ(aclrtMalloc(&memory, size, ACL_MEM_MALLOC_NORMAL_ONLY), ACL_SUCCESS);
    CHECK_EQ(aclrtMemset(memory, size, 0, size), ACL_SUCCESS);
    CHECK_EQ(aclmdlAddDatasetBuffer(set, aclCreateDataBuffer(memory, size)), ACL_SUCCESS);
  }
  void write(size_t index, const std::vector<float> &values) {
    void *target = aclGetDataBufferAddr(aclmdlGetDatasetBuffer(inputs, index));
    CHECK_EQ(aclrtMemcpy(target, values.size() * 4, values.data(), values.size() * 4, ACL_MEMCPY_HOST_TO_DEVICE),
             ACL_SUCCESS);
  }
  std::vector<float> read(size_t index) {
    aclDataBuffer *buffer = aclmdlGetDatasetBuffer(outputs, index);
    const size_t size = aclGetDataBufferSizeV2(buffer);
    std::vector<float> values(size / 4);
    CHECK_EQ(aclrtMemcpy(values.data(), size, aclGetDataBufferAddr(buffer), size, ACL_MEMCPY_DEVICE_TO_HOST),
             ACL_SUCCESS);
    return values;
  }
  aclmdlDataset *inputs = nullptr;
  aclmdlDataset *outputs = nullptr;
};

}  // namespace harness
