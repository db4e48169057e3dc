// Reading .om files: header, partitions, tensor descriptors, gears and the simulator's own items. Input is untrusted.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "wire.h"

namespace ascendsim {

/** Why a file was refused: ACL status, CANN message number and text. */
struct OmError {
  int status = 0;
  const char *code = "E10001";
  std::string text;
};

struct TensorInfo {
  std::string name;
  int dataType = -1;  // aclDataType
  int format = 2;     // aclFormat
  uint64_t size = 0;  // exact bytes, of the largest gear
  std::vector<int64_t> dims;    // -1: set by the gear
  std::vector<int64_t> dimsV2;  // before static AIPP
  std::vector<int64_t> ranges;  // pairs, for dynamic shapes
};

enum class GearKind { None, Batch, Image, Dims };

/** What a description or size query needs. */
struct OmInfo {
  std::string modelName;
  std::string socVersion;
  std::string atcVersion;
  uint64_t workSize = 0;
  uint64_t weightSize = 0;
  std::vector<TensorInfo> inputs;  // with helper inputs
  std::vector<TensorInfo> outputs;
  GearKind gearKind = GearKind::None;
  std::vector<std::vector<int64_t>> gears;
  std::vector<std::vector<std::vector<int64_t>>> gearOutputs;  // [gear][output] -> dims; empty when not stored
  int gearInput = -1;                                          // index of ascend_mbatch_shape_data

  /** Position of the largest gear (the one used when none was set); -1 for a static model. */
  int largestGear() const;
  /** Shape of an input in a gear (-1 for a static model). */
  std::vector<int64_t> inputDims(size_t index, int gear) const;
  /** Where the values of a gear for input `index` begin. */
  size_t gearOffset(size_t index) const;
};

struct KernelCost {
  std::string name;
  std::string type;
  std::vector<uint64_t> ns;  // per gear
};

/** Partition `aqw.cost`: device time per gear and kernel. */
struct CostTable {
  std::vector<uint64_t> totalNs;
  std::vector<KernelCost> kernels;
};

/** The bytes of an .om, in memory or in a file that is read piece by piece. */
class OmSource {
 public:
  static std::unique_ptr<OmSource> open(const char *path, OmError &error);
  static std::unique_ptr<OmSource> memory(const void *data, size_t size);
  ~OmSource();
  OmSource(const OmSource &) = delete;
  OmSource &operator=(const OmSource &) = delete;

  uint64_t size() const { return size_; }
  /** Bytes [offset, offset + length); valid while the source lives. Empty when they cannot be read. */
  Bytes read(uint64_t offset, uint64_t length);

 private:
  OmSource() = default;
  int file_ = -1;
  const uint8_t *data_ = nullptr;
  uint64_t size_ = 0;
  std::vector<std::unique_ptr<uint8_t[]>> pieces_;
};

/** Where the partitions of the first model of a file are. */
struct OmLayout {
  struct Part {
    uint32_t type;
    uint64_t offset;
    uint64_t size;
  };
  std::vector<Part> parts;
  std::string name;
  bool encrypted = false;
  const Part *find(uint32_t type) const;
};

constexpr uint32_t kModelDefPart = 0;
constexpr uint32_t kWeightsPart = 1;
constexpr uint32_t kKernelsPart = 3;
constexpr uint32_t kInOutPart = 8;

/** Header and partition table. False with `error` when this is no (complete) .om file. */
bool readLayout(OmSource &source, OmLayout &layout, OmError &error);
/** Sizes and SoC from ModelDef only. */
bool readSizes(OmSource &source, const OmLayout &layout, OmInfo &info, OmError &error);
/** Everything a description needs, of simulated and of real files. */
bool readInfo(OmSource &source, const OmLayout &layout, OmInfo &info, OmError &error);
/** The simulator's cost table; false with `error` when the file was not produced by the simulator, or is damaged. */
bool readCost(OmSource &source, const OmLayout &layout, const OmInfo &info, CostTable &cost, OmError &error);

/** Bytes of one element of an ACL data type; 0 when it has no whole-byte size. */
uint64_t elementSize(int dataType);
/** Bytes of a dense tensor; false on overflow, a negative dimension or an unsized type. */
bool tensorBytes(int dataType, const std::vector<int64_t> &dims, uint64_t &bytes);

}  // namespace ascendsim
