// Data buffers, data sets, tensor descriptors and data types.
#include "dataset.h"

#include <cmath>
#include <cstring>

#include "errors.h"
#include "fp16.h"
#include "om_file.h"
#include "runtime.h"

namespace ascendsim {

HandleTable<DataBuffer> &dataBuffers() {
  static auto *const table = new HandleTable<DataBuffer>(HandleKind::DataBuffer);
  return *table;
}

HandleTable<Dataset> &datasets() {
  static auto *const table = new HandleTable<Dataset>(HandleKind::Dataset);
  return *table;
}

HandleTable<TensorDesc> &tensorDescs() {
  static auto *const table = new HandleTable<TensorDesc>(HandleKind::TensorDesc);
  return *table;
}

namespace {

/** Object of a handle, or null with the message recorded. */
template <class T>
std::shared_ptr<T> require(HandleTable<T> &table, const void *handle, const char *what, const char *where) {
  if (handle == nullptr) {
    fail(kInvalidParam, "EH0002", where, "Argument %s must not be null.", what);
    return nullptr;
  }
  std::shared_ptr<T> object = table.find(handle);
  if (object == nullptr) {
    fail(kInvalidParam, "EH0001", where, "Value %p for %s is invalid. Reason: it does not exist or was destroyed.",
         handle, what);
  }
  return object;
}

}  // namespace
}  // namespace ascendsim

using namespace ascendsim;

aclDataBuffer *aclCreateDataBuffer(void *data, size_t size) {
  auto buffer = std::make_shared<DataBuffer>();
  buffer->data = data;
  buffer->size = size;
  return static_cast<aclDataBuffer *>(dataBuffers().add(std::move(buffer)));
}

aclError aclDestroyDataBuffer(const aclDataBuffer *dataBuffer) {
  if (require(dataBuffers(), dataBuffer, "dataBuffer", __func__) == nullptr) return kInvalidParam;
  dataBuffers().take(dataBuffer);
  return kSuccess;
}

aclError aclUpdateDataBuffer(aclDataBuffer *dataBuffer, void *data, size_t size) {
  const auto buffer = require(dataBuffers(), dataBuffer, "dataBuffer", __func__);
  if (buffer == nullptr) return kInvalidParam;
  const std::lock_guard<std::mutex> lock(buffer->mutex);
  buffer->data = data;
  buffer->size = size;
  return kSuccess;
}

void *aclGetDataBufferAddr(const aclDataBuffer *dataBuffer) {
  const auto buffer = require(dataBuffers(), dataBuffer, "dataBuffer", __func__);
  if (buffer == nullptr) return nullptr;
  const std::lock_guard<std::mutex> lock(buffer->mutex);
  return buffer->data;
}

uint32_t aclGetDataBufferSize(const aclDataBuffer *dataBuffer) {
  return static_cast<uint32_t>(aclGetDataBufferSizeV2(dataBuffer));
}

size_t aclGetDataBufferSizeV2(const aclDataBuffer *dataBuffer) {
  const auto buffer = require(dataBuffers(), dataBuffer, "dataBuffer", __func__);
  if (buffer == nullptr) return 0;
  const std::lock_guard<std::mutex> lock(buffer->mutex);
  return buffer->size;
}

aclmdlDataset *aclmdlCreateDataset(void) {
  return static_cast<aclmdlDataset *>(datasets().add(std::make_shared<Dataset>()));
}

aclError aclmdlDestroyDataset(const aclmdlDataset *dataset) {
  if (require(datasets(), dataset, "dataset", __func__) == nullptr) return kInvalidParam;
  datasets().take(dataset);
  return kSuccess;
}

aclError aclmdlAddDatasetBuffer(aclmdlDataset *dataset, aclDataBuffer *dataBuffer) {
  const auto set = require(datasets(), dataset, "dataset", __func__);
  if (set == nullptr) return kInvalidParam;
  if (require(dataBuffers(), dataBuffer, "dataBuffer", __func__) == nullptr) return kInvalidParam;
  const std::lock_guard<std::mutex> lock(set->mutex);
  set->buffers.push_back(dataBuffer);
  set->descriptors.push_back(nullptr);
  return kSuccess;
}

size_t aclmdlGetDatasetNumBuffers(const aclmdlDataset *dataset) {
  const auto set = require(datasets(), dataset, "dataset", __func__);
  if (set == nullptr) return 0;
  const std::lock_guard<std::mutex> lock(set->mutex);
  return set->buffers.size();
}

aclDataBuffer *aclmdlGetDatasetBuffer(const aclmdlDataset *dataset, size_t index) {
  const auto set = require(datasets(), dataset, "dataset", __func__);
  if (set == nullptr) return nullptr;
  const std::lock_guard<std::mutex> lock(set->mutex);
  if (index < set->buffers.size()) return set->buffers[index];
  ACL_FAIL(kInvalidParam, "EH0001", "Value %zu for index is invalid. Expected value: [0, %zu).", index,
           set->buffers.size());
  return nullptr;
}

aclError aclmdlSetDatasetTensorDesc(aclmdlDataset *dataset, aclTensorDesc *tensorDesc, size_t index) {
  const auto set = require(datasets(), dataset, "dataset", __func__);
  if (set == nullptr) return kInvalidParam;
  if (tensorDesc != nullptr && require(tensorDescs(), tensorDesc, "tensorDesc", __func__) == nullptr) {
    return kInvalidParam;
  }
  const std::lock_guard<std::mutex> lock(set->mutex);
  if (index >= set->descriptors.size()) {
    return ACL_FAIL(kInvalidParam, "EH0001", "Value %zu for index is invalid. Expected value: [0, %zu).", index,
                    set->descriptors.size());
  }
  set->descriptors[index] = tensorDesc;
  return kSuccess;
}

aclTensorDesc *aclmdlGetDatasetTensorDesc(const aclmdlDataset *dataset, size_t index) {
  const auto set = require(datasets(), dataset, "dataset", __func__);
  if (set == nullptr) return nullptr;
  const std::lock_guard<std::mutex> lock(set->mutex);
  if (index < set->descriptors.size()) return set->descriptors[index];
  ACL_FAIL(kInvalidParam, "EH0001", "Value %zu for index is invalid. Expected value: [0, %zu).", index,
           set->descriptors.size());
  return nullptr;
}

aclTensorDesc *aclCreateTensorDesc(aclDataType dataType, int numDims, const int64_t *dims, aclFormat format) {
  if (numDims < 0 || numDims > ACL_MAX_DIM_CNT || (numDims > 0 && dims == nullptr)) {
    ACL_FAIL(kInvalidParam, "EH0001", "Value %d for numDims is invalid. Expected value: [0, 128], with dims.", numDims);
    return nullptr;
  }
  auto desc = std::make_shared<TensorDesc>();
  desc->dataType = static_cast<int>(dataType);
  desc->format = static_cast<int>(format);
  if (numDims > 0) desc->dims.assign(dims, dims + numDims);
  return static_cast<aclTensorDesc *>(tensorDescs().add(std::move(desc)));
}

void aclDestroyTensorDesc(const aclTensorDesc *desc) {
  if (require(tensorDescs(), desc, "desc", __func__) != nullptr) tensorDescs().take(desc);
}

aclDataType aclGetTensorDescType(const aclTensorDesc *desc) {
  const auto found = require(tensorDescs(), desc, "desc", __func__);
  return found != nullptr ? static_cast<aclDataType>(found->dataType) : ACL_DT_UNDEFINED;
}

aclFormat aclGetTensorDescFormat(const aclTensorDesc *desc) {
  const auto found = require(tensorDescs(), desc, "desc", __func__);
  return found != nullptr ? static_cast<aclFormat>(found->format) : ACL_FORMAT_UNDEFINED;
}

size_t aclGetTensorDescElementCount(const aclTensorDesc *desc) {
  const auto found = require(tensorDescs(), desc, "desc", __func__);
  uint64_t count = 0;
  return found != nullptr && tensorBytes(ACL_INT8, found->dims, count) ? static_cast<size_t>(count) : 0;
}

size_t aclGetTensorDescSize(const aclTensorDesc *desc) {
  const auto found = require(tensorDescs(), desc, "desc", __func__);
  uint64_t bytes = 0;
  return found != nullptr && tensorBytes(found->dataType, found->dims, bytes) ? static_cast<size_t>(bytes) : 0;
}

size_t aclGetTensorDescNumDims(const aclTensorDesc *desc) {
  const auto found = require(tensorDescs(), desc, "desc", __func__);
  return found != nullptr ? found->dims.size() : 0;
}

aclError aclGetTensorDescDimV2(const aclTensorDesc *desc, size_t index, int64_t *dimSize) {
  ACL_REQUIRE(dimSize);
  const auto found = require(tensorDescs(), desc, "desc", __func__);
  if (found == nullptr) return kInvalidParam;
  if (index >= found->dims.size()) {
    return ACL_FAIL(kInvalidParam, "EH0001", "Value %zu for index is invalid. Expected value: [0, %zu).", index,
                    found->dims.size());
  }
  *dimSize = found->dims[index];
  return kSuccess;
}

void aclSetTensorDescName(aclTensorDesc *desc, const char *name) {
  const auto found = require(tensorDescs(), desc, "desc", __func__);
  if (found != nullptr) found->name = name != nullptr ? name : "";
}

aclTensorDesc *aclGetTensorDescByIndex(aclTensorDesc *desc, size_t index) {
  // Descriptors made by applications are single ones; arrays come from aclmdlCreateAndGetOpDesc only.
  if (require(tensorDescs(), desc, "desc", __func__) == nullptr) return nullptr;
  if (index == 0) return desc;
  ACL_FAIL(kInvalidParam, "EH0001", "Value %zu for index is invalid. Expected value: 0.", index);
  return nullptr;
}

void *aclGetTensorDescAddress(const aclTensorDesc *desc) {
  require(tensorDescs(), desc, "desc", __func__);
  return nullptr;
}

size_t aclDataTypeSize(aclDataType dataType) {
  const int type = static_cast<int>(dataType);
  if (type == ACL_INT4 || type == ACL_UINT1 || (type >= ACL_FLOAT6_E3M2 && type <= ACL_FLOAT4_E1M2)) return 1;
  return static_cast<size_t>(elementSize(type));
}

float aclFloat16ToFloat(aclFloat16 value) {
  // No infinity and no NaN: exponent 31 is a number like any other (CANN, aclFloat16ToFloat).
  const int exponent = (value >> 10) & 0x1F;
  const int mantissa = value & 0x3FF;
  const float magnitude =
      exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                    : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  return (value & 0x8000) != 0 ? -magnitude : magnitude;
}

aclFloat16 aclFloatToFloat16(float value) {
  const uint16_t sign = static_cast<uint16_t>(floatBits(value) >> 16 & 0x8000u);
  if (value != value) return static_cast<aclFloat16>(sign | 0x7BFFu);
  const float rounded = std::fabs(roundToHalf(value));
  uint16_t bits = 0;
  if (rounded < 6.103515625e-05f) {  // 2^-14: subnormal, in steps of 2^-24
    bits = static_cast<uint16_t>(std::ldexp(rounded, 24));
  } else {
    bits = static_cast<uint16_t>((floatBits(rounded) - 0x38000000u) >> 13);
  }
  return static_cast<aclFloat16>(sign | bits);
}
