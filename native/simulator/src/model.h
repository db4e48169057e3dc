// A loaded model: descriptors, cost table, executor, and the results of the last inputs.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "executor.h"
#include "om_file.h"
#include "runtime.h"

namespace ascendsim {

/** Memory that a model or a buffer uses, with the allocation that keeps it alive. */
struct DeviceRange {
  uint8_t *data = nullptr;
  size_t size = 0;
  std::shared_ptr<Allocation> owner;
};

/** Buffers of one execution, checked against the descriptors. */
struct Execution {
  std::vector<DeviceRange> inputs;  // with the gear helper
  std::vector<DeviceRange> outputs;
};

class Model {
 public:
  Model(uint32_t id, const std::shared_ptr<Context> &context, OmInfo info, CostTable cost,
        std::unique_ptr<Executor> executor);
  ~Model();
  Model(const Model &) = delete;
  Model &operator=(const Model &) = delete;

  const uint32_t id;
  const std::weak_ptr<Context> context;
  Device &device;
  const OmInfo info;
  const CostTable cost;
  uint64_t chargedBytes = 0;  // device memory the runtime allocated for it

  /** Gear chosen by the content of the helper input (-1 for a static model). */
  int gearOf(const Execution &execution) const;
  /** Gear whose values are exactly `values`, or -1. */
  int findGear(const std::vector<int64_t> &values) const;
  /** Device time of one execution. */
  uint64_t durationNs(int gear) const;
  /** Computes the outputs, or copies them when the inputs are those of the last run. Returns "" or why it failed. */
  std::string run(const Execution &execution, int gear);

  std::atomic<int> currentGear{-1};  // gear set last, for aclmdlGetCurOutputDims; -1: none

 private:
  bool sameInputs(const Execution &execution, int gear) const;
  std::string compute(const Execution &execution, int gear);

  std::unique_ptr<Executor> executor_;
  std::mutex mutex_;
  bool cached_ = false;
  int cachedGear_ = -1;
  std::vector<std::vector<uint8_t>> cachedInputs_;
  std::vector<TensorData> cachedOutputs_;
};

/** Model for an id, or null. */
std::shared_ptr<Model> findModel(uint32_t id);

}  // namespace ascendsim
