// Weights of a model where they are: slices of files, mapped, or memory of the caller.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace observer {

struct Weight {
  std::string name;
  int element;
  std::vector<int64_t> dims;
  const void *data;
  size_t bytes;
};

class Weights {
 public:
  Weights();
  ~Weights();
  Weights(const Weights &) = delete;
  Weights &operator=(const Weights &) = delete;

  /** The caller keeps `data` alive as long as this object. */
  void addMemory(std::string name, int element, std::vector<int64_t> dims, const void *data, size_t bytes);
  /** @returns what went wrong, or "" */
  std::string addFile(std::string name, int element, std::vector<int64_t> dims, const std::string &path,
                      uint64_t offset, size_t bytes);

  const std::vector<Weight> &list() const { return list_; }

 private:
  class Mapping;
  std::map<std::string, std::unique_ptr<Mapping>> files_;
  std::vector<std::unique_ptr<uint64_t[]>> copies_;
  std::vector<Weight> list_;
};

}  // namespace observer
