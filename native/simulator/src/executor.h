// Runs the payload of a simulated .om (an ONNX model) with ONNX Runtime.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "om_file.h"
#include "ort_api.h"

namespace ascendsim {

/** A dense tensor in somebody's memory. */
struct TensorView {
  const void *data = nullptr;
  uint64_t bytes = 0;
  std::vector<int64_t> dims;
};

struct TensorData {
  std::vector<uint8_t> bytes;
  std::vector<int64_t> dims;
};

/**
 * Whether an ONNX file (or a subgraph in it) keeps weights in other files. Such a payload is refused: it could make the
 * runtime read any file of the machine. Damaged or too deeply nested files count as such, too.
 */
bool usesExternalData(Bytes onnx);

class Executor {
 public:
  /** Null with `error` set when ONNX Runtime refuses the payload or it does not fit the descriptors of the file. */
  static std::unique_ptr<Executor> create(Bytes payload, const OmInfo &info, int threads, std::string &error);
  ~Executor();
  Executor(const Executor &) = delete;
  Executor &operator=(const Executor &) = delete;

  /** `inputs` in the order of the descriptors, without the gear helper. Returns "" or why it failed. */
  std::string run(const std::vector<TensorView> &inputs, std::vector<TensorData> &outputs);

 private:
  Executor() = default;
  std::string open(Bytes payload, int threads);
  std::string bind(const OmInfo &info);

  struct Port {
    std::string name;
    int element = 0;  // OrtElement
  };
  std::string readPorts(bool inputs, std::vector<Port> &ports);

  const OrtApi *api_ = nullptr;
  OrtSession *session_ = nullptr;
  OrtMemoryInfo *memory_ = nullptr;
  std::vector<Port> inputs_;  // in descriptor order
  std::vector<Port> outputs_;
};

}  // namespace ascendsim
