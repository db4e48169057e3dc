// What the environment says about the simulated machine, and the facts of each SoC that the runtime needs.
#pragma once

#include <cstdint>
#include <string>

namespace ascendsim {

/** Facts of one SoC as seen through the runtime interface. */
struct Soc {
  const char *name;
  int aiCores;
  int vectorCores;       // 0: the vector unit is part of the AI core
  int aiCpus;
  bool hbm;              // device memory is HBM (ACL_HBM_MEM), else DDR
  uint64_t memoryBytes;  // what an application can see
  uint64_t l2Bytes;
  double memoryGBps;     // DDR/HBM bandwidth, for copies inside the device
  int pcieGeneration;    // host link, 16 lanes
  int maxStreams;
  int maxEvents;
};

const Soc *findSoc(const std::string &name);
std::string knownSocs();

struct Settings {
  std::string socName;
  const Soc *soc = nullptr;  // null: ASCENDSIM_SOC names no known SoC
  uint32_t deviceCount = 1;
  uint64_t memoryBytes = 0;
  bool pace = true;
  int threads = 0;  // 0: ONNX Runtime decides
};

/** Settings from ASCENDSIM_SOC, ASCENDSIM_DEVICES, ASCENDSIM_MEMORY_BYTES, ASCENDSIM_PACE, ASCENDSIM_THREADS. */
Settings readSettings();

/** Duration of a host <-> device copy in ns: fixed cost plus size over the effective link bandwidth. */
uint64_t hostCopyNs(const Soc &soc, uint64_t bytes);
/** Duration of a copy or fill inside the device in ns (`passes` = times each byte crosses the memory bus). */
uint64_t deviceCopyNs(const Soc &soc, uint64_t bytes, int passes);

}  // namespace ascendsim
