// SoC table and environment settings.
#include "settings.h"

#include <cstdlib>
#include <cstring>

namespace ascendsim {
namespace {

constexpr uint64_t kMiB = 1024 * 1024;
constexpr uint64_t kGiB = 1024 * kMiB;

/**
 * Core counts, L2 and memory sizes: platform_config of the CANN toolkit; visible memory of 310, 310P3 and 310B4: the
 * totals npu-smi prints on such cards (7759, 21525, 3513 MB). Memory bandwidth: data sheets where known, else
 * platform_config. Host link: data sheets (Atlas 300I: PCIe 3.0 x16; Atlas 300I Pro, 800: 4.0 x16; A2, A3: 5.0 x16).
 * Stream and event limits: CANN documentation of aclrtCreateStream and aclrtCreateEvent.
 */
const Soc kSocs[] = {
    {"Ascend310", 2, 0, 4, false, 7759 * kMiB, 8 * kMiB, 51.2, 3, 1024, 1023},
    {"Ascend310B1", 1, 1, 4, false, 32 * kGiB, 4 * kMiB, 51.2, 3, 512, 1023},
    {"Ascend310B2", 1, 1, 4, false, 16 * kGiB, 4 * kMiB, 51.2, 3, 512, 1023},
    {"Ascend310B3", 1, 1, 4, false, 8 * kGiB, 4 * kMiB, 51.2, 3, 512, 1023},
    {"Ascend310B4", 1, 1, 4, false, 3513 * kMiB, 4 * kMiB, 34.1, 3, 512, 1023},
    {"Ascend310P1", 10, 8, 8, false, 21525 * kMiB, 16 * kMiB, 204.8, 4, 1024, 1023},
    {"Ascend310P3", 8, 7, 7, false, 21525 * kMiB, 16 * kMiB, 204.8, 4, 1024, 1023},
    {"Ascend310P5", 8, 7, 8, false, 21525 * kMiB, 16 * kMiB, 109.0, 4, 1024, 1023},
    {"Ascend310P7", 8, 7, 8, false, 21525 * kMiB, 16 * kMiB, 75.0, 4, 1024, 1023},
    {"Ascend910A", 32, 0, 4, true, 32 * kGiB, 32 * kMiB, 1024, 4, 2048, 65535},
    {"Ascend910B", 30, 0, 4, true, 32 * kGiB, 32 * kMiB, 864, 4, 2048, 65535},
    {"Ascend910ProA", 32, 0, 4, true, 32 * kGiB, 32 * kMiB, 1126, 4, 2048, 65535},
    {"Ascend910ProB", 30, 0, 4, true, 32 * kGiB, 32 * kMiB, 1104, 4, 2048, 65535},
    {"Ascend910PremiumA", 32, 0, 4, true, 32 * kGiB, 32 * kMiB, 1249, 4, 2048, 65535},
    {"Ascend910B1", 24, 48, 6, true, 64 * kGiB, 192 * kMiB, 1600, 5, 1984, 65536},
    {"Ascend910B2", 24, 48, 6, true, 64 * kGiB, 192 * kMiB, 1600, 5, 1984, 65536},
    {"Ascend910B2C", 24, 48, 6, true, 64 * kGiB, 192 * kMiB, 1600, 5, 1984, 65536},
    {"Ascend910B3", 20, 40, 6, true, 64 * kGiB, 192 * kMiB, 1600, 5, 1984, 65536},
    {"Ascend910B4", 20, 40, 6, true, 32 * kGiB, 96 * kMiB, 800, 5, 1984, 65536},
    {"Ascend910B4-1", 20, 40, 6, true, 32 * kGiB, 168 * kMiB, 800, 5, 1984, 65536},
    {"Ascend910_9362", 20, 40, 6, true, 64 * kGiB, 168 * kMiB, 1600, 5, 1984, 65536},
    {"Ascend910_9363", 20, 40, 6, true, 32 * kGiB, 168 * kMiB, 1600, 5, 1984, 65536},
    {"Ascend910_9372", 20, 40, 6, true, 64 * kGiB, 192 * kMiB, 1600, 5, 1984, 65536},
    {"Ascend910_9381", 24, 48, 6, true, 64 * kGiB, 192 * kMiB, 1600, 5, 1984, 65536},
    {"Ascend910_9382", 24, 48, 6, true, 64 * kGiB, 192 * kMiB, 1600, 5, 1984, 65536},
    {"Ascend910_9391", 24, 48, 6, true, 64 * kGiB, 192 * kMiB, 1600, 5, 1984, 65536},
    {"Ascend910_9392", 24, 48, 6, true, 64 * kGiB, 192 * kMiB, 1600, 5, 1984, 65536},
};

/**
 * Host link: lanes x GT/s x 128/130 (PCIe Base Specification), of which about 80 % remains for payload after packet
 * headers (256-byte payloads), flow control and acknowledgements: 12.6, 25.2 and 50.4 GB/s for 3.0, 4.0 and 5.0 x16.
 * The fixed part stands for the driver call, the DMA descriptor and its completion. Not validated against hardware.
 */
constexpr double kLinkEfficiency = 0.8;
constexpr uint64_t kHostCopyFixedNs = 10'000;
constexpr uint64_t kDeviceCopyFixedNs = 5'000;

double linkGBps(int generation) {
  const double gigaTransfers = generation >= 5 ? 32.0 : generation == 4 ? 16.0 : 8.0;
  return 16 * gigaTransfers * (128.0 / 130.0) / 8 * kLinkEfficiency;
}

/** Unsigned decimal value of a variable, or `fallback` when it is unset or not a number. */
uint64_t unsignedVariable(const char *name, uint64_t fallback) {
  const char *text = getenv(name);
  if (text == nullptr || *text < '0' || *text > '9') return fallback;
  char *end = nullptr;
  const unsigned long long value = strtoull(text, &end, 10);
  return *end == '\0' ? value : fallback;
}

/** How many devices ASCEND_RT_VISIBLE_DEVICES leaves: ids up to the first one that does not exist. */
uint32_t visibleDevices(uint32_t count) {
  const char *text = getenv("ASCEND_RT_VISIBLE_DEVICES");
  if (text == nullptr) return count;
  uint32_t visible = 0;
  while (*text >= '0' && *text <= '9') {
    char *end = nullptr;
    if (strtoul(text, &end, 10) >= count) break;
    ++visible;
    if (*end != ',') break;
    text = end + 1;
  }
  return visible < count ? visible : count;
}

}  // namespace

const Soc *findSoc(const std::string &name) {
  for (const Soc &soc : kSocs) {
    if (name == soc.name) return &soc;
  }
  return nullptr;
}

std::string knownSocs() {
  std::string names;
  for (const Soc &soc : kSocs) names += (names.empty() ? "" : ", ") + std::string(soc.name);
  return names;
}

Settings readSettings() {
  Settings settings;
  const char *soc = getenv("ASCENDSIM_SOC");
  settings.socName = soc != nullptr && *soc != '\0' ? soc : "Ascend310P3";
  settings.soc = findSoc(settings.socName);
  const uint64_t devices = unsignedVariable("ASCENDSIM_DEVICES", 1);
  settings.deviceCount = visibleDevices(static_cast<uint32_t>(devices > 64 ? 64 : devices));
  settings.memoryBytes =
      unsignedVariable("ASCENDSIM_MEMORY_BYTES", settings.soc != nullptr ? settings.soc->memoryBytes : 0);
  settings.pace = unsignedVariable("ASCENDSIM_PACE", 1) != 0;
  const uint64_t threads = unsignedVariable("ASCENDSIM_THREADS", 0);
  settings.threads = static_cast<int>(threads > 256 ? 256 : threads);
  return settings;
}

uint64_t hostCopyNs(const Soc &soc, uint64_t bytes) {
  return kHostCopyFixedNs + static_cast<uint64_t>(static_cast<double>(bytes) / linkGBps(soc.pcieGeneration));
}

uint64_t deviceCopyNs(const Soc &soc, uint64_t bytes, int passes) {
  return kDeviceCopyFixedNs + static_cast<uint64_t>(static_cast<double>(bytes) * passes / soc.memoryGBps);
}

}  // namespace ascendsim
