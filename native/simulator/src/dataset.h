// Data buffers, data sets and tensor descriptors: plain records behind handles.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "acl/acl.h"
#include "handles.h"

namespace ascendsim {

struct DataBuffer {
  std::mutex mutex;
  void *data = nullptr;
  size_t size = 0;
};

struct TensorDesc {
  int dataType = -1;
  int format = -1;
  std::vector<int64_t> dims;
  std::string name;
};

struct Dataset {
  std::mutex mutex;
  std::vector<aclDataBuffer *> buffers;
  std::vector<aclTensorDesc *> descriptors;  // by buffer position, null where none was set
};

HandleTable<DataBuffer> &dataBuffers();
HandleTable<Dataset> &datasets();
HandleTable<TensorDesc> &tensorDescs();

}  // namespace ascendsim
