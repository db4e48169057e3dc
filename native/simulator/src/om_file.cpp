// .om container: header, partition table, kernel store and cost table.
#include "om_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "acl/acl.h"
#include "errors.h"

namespace ascendsim {
namespace {

constexpr uint64_t kHeaderBytes = 256;
constexpr uint32_t kMaxParts = 32;
/** Kernel store items of the simulator carry this magic ("AQSK") instead of the toolkit's 0x5D776EFD. */
constexpr uint32_t kItemMagic = 0x4B535141;

bool refuse(OmError &error, int status, const std::string &text) {
  error = {status, "E10001", text};
  return false;
}

bool damaged(OmError &error, const std::string &text) {
  return refuse(error, kGeModelDataSizeInvalid, "Invalid om file: " + text + ".");
}

}  // namespace

std::unique_ptr<OmSource> OmSource::open(const char *path, OmError &error) {
  std::unique_ptr<OmSource> source(new OmSource);
  source->file_ = ::open(path, O_RDONLY | O_CLOEXEC);
  struct stat info {};
  if (source->file_ < 0 || fstat(source->file_, &info) != 0 || !S_ISREG(info.st_mode)) {
    const char *reason = source->file_ < 0 ? strerror(errno) : "it is not a regular file";
    error = {kGeModelPathInvalid, "E13001", std::string("Failed to open file ") + path + ". Reason: " + reason + "."};
    return nullptr;
  }
  source->size_ = static_cast<uint64_t>(info.st_size);
  return source;
}

std::unique_ptr<OmSource> OmSource::memory(const void *data, size_t size) {
  std::unique_ptr<OmSource> source(new OmSource);
  source->data_ = static_cast<const uint8_t *>(data);
  source->size_ = size;
  return source;
}

OmSource::~OmSource() {
  if (file_ >= 0) close(file_);
}

Bytes OmSource::read(uint64_t offset, uint64_t length) {
  if (offset > size_ || length > size_ - offset || length == 0) return {};
  if (data_ != nullptr) return {data_ + offset, static_cast<size_t>(length)};
  std::unique_ptr<uint8_t[]> piece(new (std::nothrow) uint8_t[length]);
  if (piece == nullptr) return {};
  uint64_t done = 0;
  while (done < length) {
    const ssize_t got = pread(file_, piece.get() + done, length - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return {};
    done += static_cast<uint64_t>(got);
  }
  pieces_.push_back(std::move(piece));
  return {pieces_.back().get(), static_cast<size_t>(length)};
}

const OmLayout::Part *OmLayout::find(uint32_t type) const {
  for (const Part &part : parts) {
    if (part.type == type) return &part;
  }
  return nullptr;
}

bool readLayout(OmSource &source, OmLayout &layout, OmError &error) {
  const Bytes header = source.read(0, kHeaderBytes);
  if (header.size != kHeaderBytes) return damaged(error, "it is shorter than the 256-byte header");
  if (memcmp(header.data, "IMOD", 4) != 0) return damaged(error, "it does not begin with IMOD");
  Cursor fixed(header.slice(4, 8));
  if (fixed.u32() != kHeaderBytes) return damaged(error, "the header size is not 256");
  const uint64_t length32 = Cursor(header.slice(76, 4)).u32();
  const uint64_t length64 = Cursor(header.slice(184, 8)).u64();
  const uint64_t payload = length64 != 0 ? length64 : length32;
  if (payload != source.size() - kHeaderBytes) {
    return damaged(error, "the header promises " + std::to_string(payload) + " bytes of content, the file has " +
                              std::to_string(source.size() - kHeaderBytes));
  }
  layout.encrypted = header.data[80] != 0;
  const Bytes name = header.slice(84, 32);
  layout.name.assign(reinterpret_cast<const char *>(name.data),
                     strnlen(reinterpret_cast<const char *>(name.data), name.size));

  const bool wide = length64 != 0;
  const uint64_t entry = wide ? 24 : 12;
  const uint64_t lead = wide ? 8 : 4;
  Cursor count(source.read(kHeaderBytes, lead));
  const uint32_t parts = count.u32();
  if (!count.ok() || parts == 0 || parts > kMaxParts) return damaged(error, "the partition table is damaged");
  const Bytes table = source.read(kHeaderBytes + lead, entry * parts);
  if (table.size != entry * parts) return damaged(error, "the partition table is truncated");
  const uint64_t base = kHeaderBytes + lead + entry * parts;
  const uint64_t room = source.size() - base;
  Cursor rows(table);
  for (uint32_t index = 0; index < parts; ++index) {
    OmLayout::Part part{};
    part.type = rows.u32();
    if (wide) rows.u32();
    part.offset = wide ? rows.u64() : rows.u32();
    part.size = wide ? rows.u64() : rows.u32();
    if (part.offset > room || part.size > room - part.offset) {
      return damaged(error, "partition " + std::to_string(part.type) + " reaches beyond the end of the file");
    }
    part.offset += base;
    layout.parts.push_back(part);
  }
  return true;
}

bool readCost(OmSource &source, const OmLayout &layout, const OmInfo &info, CostTable &cost, OmError &error) {
  const OmLayout::Part *const store = layout.find(kKernelsPart);
  Bytes table;
  bool ours = false;
  if (store != nullptr && store->size > 0) {
    Cursor items(source.read(store->offset, store->size));
    while (items.left() > 0) {
      const uint32_t magic = items.u32();
      const uint32_t nameLength = items.u32();
      const uint32_t binLength = items.u32();
      const Bytes name = items.take(nameLength);
      const Bytes bin = items.take(binLength);
      if (!items.ok()) {
        if (!ours) break;
        return damaged(error, "the kernel store is truncated");
      }
      if (magic != kItemMagic) continue;
      ours = true;
      if (name.text() == "aqw.cost") table = bin;
    }
  }
  if (!ours) {
    return refuse(error, kGeFailure,
                  "Value " + (info.atcVersion.empty() ? std::string("of atc_version") : info.atcVersion) +
                      " for parameter model is invalid. Reason: the model was not produced by the simulator: it holds "
                      "code for a real device and cannot run here.");
  }
  if (table.data == nullptr) return damaged(error, "it holds no cost table");

  Cursor in(table);
  const Bytes magic = in.take(4);
  const uint32_t version = in.u32();
  const uint32_t gears = in.u32();
  const uint32_t kernels = in.u32();
  if (!in.ok() || memcmp(magic.data, "AQCT", 4) != 0) return damaged(error, "the cost table is damaged");
  if (version != 1) return damaged(error, "cost table version " + std::to_string(version) + " is not known");
  const size_t expected = info.gears.empty() ? 1 : info.gears.size();
  if (gears != expected) {
    return damaged(error, "the cost table has " + std::to_string(gears) + " gears, the model " +
                              std::to_string(expected));
  }
  for (uint32_t gear = 0; gear < gears; ++gear) cost.totalNs.push_back(in.u64());
  // An hour per inference is beyond any model: such a figure would only make a paced call hang.
  constexpr uint64_t kMaxNs = 3'600'000'000'000;
  for (const uint64_t total : cost.totalNs) {
    if (total > kMaxNs) return damaged(error, "the cost table promises more than an hour per execution");
  }
  for (uint32_t index = 0; index < kernels && in.ok(); ++index) {
    KernelCost kernel;
    const uint32_t nameLength = in.u32();
    const uint32_t typeLength = in.u32();
    kernel.name = in.take(nameLength).text();
    kernel.type = in.take(typeLength).text();
    for (uint32_t gear = 0; gear < gears && in.ok(); ++gear) kernel.ns.push_back(in.u64());
    if (in.ok()) cost.kernels.push_back(std::move(kernel));
  }
  if (!in.ok()) return damaged(error, "the cost table is truncated");
  return true;
}

uint64_t elementSize(int dataType) {
  switch (dataType) {
    case ACL_INT8:
    case ACL_UINT8:
    case ACL_BOOL:
    case ACL_HIFLOAT8:
    case ACL_FLOAT8_E5M2:
    case ACL_FLOAT8_E4M3FN:
    case ACL_FLOAT8_E8M0: return 1;
    case ACL_FLOAT16:
    case ACL_BF16:
    case ACL_INT16:
    case ACL_UINT16: return 2;
    case ACL_FLOAT:
    case ACL_INT32:
    case ACL_UINT32:
    case ACL_COMPLEX32: return 4;
    case ACL_DOUBLE:
    case ACL_INT64:
    case ACL_UINT64:
    case ACL_COMPLEX64: return 8;
    case ACL_COMPLEX128: return 16;
    default: return 0;
  }
}

bool tensorBytes(int dataType, const std::vector<int64_t> &dims, uint64_t &bytes) {
  bytes = elementSize(dataType);
  if (bytes == 0) return false;
  for (const int64_t dim : dims) {
    if (dim < 0 || __builtin_mul_overflow(bytes, static_cast<uint64_t>(dim), &bytes)) return false;
  }
  return true;
}

int OmInfo::largestGear() const {
  int best = -1;
  double bestVolume = -1;
  for (size_t gear = 0; gear < gears.size(); ++gear) {
    double volume = 1;
    for (const int64_t value : gears[gear]) volume *= static_cast<double>(value);
    if (volume > bestVolume) {
      best = static_cast<int>(gear);
      bestVolume = volume;
    }
  }
  return best;
}

size_t OmInfo::gearOffset(size_t index) const {
  if (gearKind != GearKind::Dims) return 0;
  size_t offset = 0;
  for (size_t input = 0; input < index && input < inputs.size(); ++input) {
    const auto &dims = inputs[input].dims;
    offset += static_cast<size_t>(std::count(dims.begin(), dims.end(), int64_t{-1}));
  }
  return offset;
}

std::vector<int64_t> OmInfo::inputDims(size_t index, int gear) const {
  std::vector<int64_t> dims = inputs[index].dims;
  if (gear < 0 || static_cast<size_t>(gear) >= gears.size()) return dims;
  const std::vector<int64_t> &values = gears[static_cast<size_t>(gear)];
  size_t next = gearOffset(index);
  for (int64_t &dim : dims) {
    if (dim != -1) continue;
    if (next < values.size()) dim = values[next];
    if (gearKind != GearKind::Batch) ++next;
  }
  return dims;
}

}  // namespace ascendsim
