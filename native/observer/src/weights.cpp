#include "weights.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace observer {
namespace {

/** Elements are at most this wide; what lies at a multiple of it in a file is used in place. */
constexpr uint64_t kAlignment = 8;

}  // namespace

/** A file in memory, read as its pages are touched. */
class Weights::Mapping {
 public:
  Mapping() = default;
  ~Mapping() {
    if (data_ != nullptr) munmap(data_, bytes_);
  }
  Mapping(const Mapping &) = delete;
  Mapping &operator=(const Mapping &) = delete;

  std::string open(const std::string &path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return path + ": " + strerror(errno);
    std::string error;
    struct stat status {};
    if (fstat(descriptor, &status) != 0) {
      error = path + ": " + strerror(errno);
    } else if (status.st_size > 0) {
      bytes_ = static_cast<uint64_t>(status.st_size);
      void *const mapped = mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, descriptor, 0);
      if (mapped == MAP_FAILED) {
        error = path + ": " + strerror(errno);
      } else {
        data_ = mapped;
      }
    }
    close(descriptor);
    return error;
  }
  uint64_t bytes() const { return bytes_; }
  const char *at(uint64_t offset) const { return static_cast<const char *>(data_) + offset; }

 private:
  void *data_ = nullptr;
  uint64_t bytes_ = 0;
};

Weights::Weights() = default;
Weights::~Weights() = default;

void Weights::addMemory(std::string name, int element, std::vector<int64_t> dims, const void *data, size_t bytes) {
  list_.push_back({std::move(name), element, std::move(dims), data, bytes});
}

std::string Weights::addFile(std::string name, int element, std::vector<int64_t> dims, const std::string &path,
                             uint64_t offset, size_t bytes) {
  std::unique_ptr<Mapping> &file = files_[path];
  if (file == nullptr) {
    auto opened = std::make_unique<Mapping>();
    std::string error = opened->open(path);
    if (!error.empty()) return error;
    file = std::move(opened);
  }
  if (offset > file->bytes() || bytes > file->bytes() - offset) {
    return path + " ends before weight " + name;
  }
  const void *data = file->at(offset);
  if (offset % kAlignment != 0) {
    auto copy = std::make_unique<uint64_t[]>(bytes / sizeof(uint64_t) + 1);
    memcpy(copy.get(), data, bytes);
    data = copy.get();
    copies_.push_back(std::move(copy));
  }
  addMemory(std::move(name), element, std::move(dims), data, bytes);
  return "";
}

}  // namespace observer
