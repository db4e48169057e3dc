// Model descriptions.
#include "model.h"

#include <cstdio>
#include <cstring>

using namespace ascendsim;

namespace {

/** What an application holds as aclmdlDesc. */
struct ModelDesc {
  bool filled = false;
  uint32_t modelId = 0;  // 0: read from a file
  OmInfo info;
};

HandleTable<ModelDesc> &modelDescs() {
  static auto *const table = new HandleTable<ModelDesc>(HandleKind::ModelDesc);
  return *table;
}

/** The description behind a handle, or null with the message recorded. */
std::shared_ptr<ModelDesc> findDesc(const aclmdlDesc *handle, bool filled, const char *where) {
  if (handle == nullptr) {
    fail(kInvalidParam, "EH0002", where, "Argument modelDesc must not be null.");
    return nullptr;
  }
  std::shared_ptr<ModelDesc> desc = modelDescs().find(handle);
  if (desc == nullptr) {
    fail(kInvalidParam, "EH0001", where,
         "Value %p for modelDesc is invalid. Reason: it does not exist or was destroyed.",
         static_cast<const void *>(handle));
    return nullptr;
  }
  if (filled && !desc->filled) {
    fail(kInvalidParam, "EH0001", where, "Value %p for modelDesc is invalid. Reason: call aclmdlGetDesc first.",
         static_cast<const void *>(handle));
    return nullptr;
  }
  return desc;
}

enum class Side { Input, Output };

const std::vector<TensorInfo> &tensorsOf(const ModelDesc &desc, Side side) {
  return side == Side::Input ? desc.info.inputs : desc.info.outputs;
}

/** A tensor of a description, or null with the message recorded. The description is kept alive in `desc`. */
const TensorInfo *findTensor(const aclmdlDesc *handle, Side side, size_t index, std::shared_ptr<ModelDesc> &desc,
                             const char *where) {
  desc = findDesc(handle, true, where);
  if (desc == nullptr) return nullptr;
  const std::vector<TensorInfo> &tensors = tensorsOf(*desc, side);
  if (index < tensors.size()) return &tensors[index];
  fail(kInvalidParam, "EH0001", where, "Value %zu for index is invalid. Expected value: [0, %zu).", index,
       tensors.size());
  return nullptr;
}

/** Names of 128 characters and more do not fit aclmdlIODims: they are replaced by one that can be mapped back. */
std::string shortName(const ModelDesc &desc, Side side, size_t index) {
  const std::string &name = tensorsOf(desc, side)[index].name;
  if (name.size() < ACL_MAX_TENSOR_NAME_LEN) return name;
  const char *kind = side == Side::Input ? "input" : "output";
  return "acl_modelId_" + std::to_string(desc.modelId) + "_" + kind + "_" + std::to_string(index) + "_0";
}

void fillDims(aclmdlIODims &out, const std::string &name, const std::vector<int64_t> &dims) {
  memset(&out, 0, sizeof out);
  snprintf(out.name, sizeof out.name, "%s", name.c_str());
  out.dimCount = dims.size();
  for (size_t i = 0; i < dims.size() && i < ACL_MAX_DIM_CNT; ++i) out.dims[i] = dims[i];
}

aclError describe(aclmdlDesc *handle, OmSource *source, const OmError &openError, const char *where) {
  const std::shared_ptr<ModelDesc> desc = findDesc(handle, false, where);
  if (desc == nullptr) return kInvalidParam;
  if (source == nullptr) return fail(openError.status, openError.code, where, "%s", openError.text.c_str());
  OmLayout layout;
  OmInfo info;
  OmError error;
  if (!readLayout(*source, layout, error) || !readInfo(*source, layout, info, error)) {
    return fail(error.status, error.code, where, "%s", error.text.c_str());
  }
  desc->info = std::move(info);
  desc->modelId = 0;
  desc->filled = true;
  return kSuccess;
}

aclError findIndex(const aclmdlDesc *handle, Side side, const char *name, size_t *index, const char *where) {
  if (name == nullptr) return fail(kInvalidParam, "EH0002", where, "Argument name must not be null.");
  if (index == nullptr) return fail(kInvalidParam, "EH0002", where, "Argument index must not be null.");
  const std::shared_ptr<ModelDesc> desc = findDesc(handle, true, where);
  if (desc == nullptr) return kInvalidParam;
  const std::vector<TensorInfo> &tensors = tensorsOf(*desc, side);
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].name == name || shortName(*desc, side, i) == name) {
      *index = i;
      return kSuccess;
    }
  }
  return fail(kInvalidParam, "EH0001", where, "Value %s for name is invalid. Reason: the model has no such %s.", name,
              side == Side::Input ? "input" : "output");
}

/** Gear whose shapes a description shows: the one set last on the loaded model, else the largest. */
int shownGear(const ModelDesc &desc) {
  const std::shared_ptr<Model> model = desc.modelId != 0 ? findModel(desc.modelId) : nullptr;
  const int set = model != nullptr ? model->currentGear.load() : -1;
  return set >= 0 ? set : desc.info.largestGear();
}

constexpr size_t kAllInputs = static_cast<size_t>(-1);

aclError requireAllInputs(size_t index, const char *where) {
  if (index == kAllInputs) return kSuccess;
  return fail(kInvalidParam, "EH0001", where, "Value %zu for index is invalid. Expected value: -1.", index);
}

}  // namespace

aclmdlDesc *aclmdlCreateDesc(void) {
  return static_cast<aclmdlDesc *>(modelDescs().add(std::make_shared<ModelDesc>()));
}

aclError aclmdlDestroyDesc(aclmdlDesc *modelDesc) {
  if (findDesc(modelDesc, false, __func__) == nullptr) return kInvalidParam;
  modelDescs().take(modelDesc);
  return kSuccess;
}

aclError aclmdlGetDesc(aclmdlDesc *modelDesc, uint32_t modelId) {
  const std::shared_ptr<ModelDesc> desc = findDesc(modelDesc, false, __func__);
  if (desc == nullptr) return kInvalidParam;
  const std::shared_ptr<Model> model = findModel(modelId);
  if (model == nullptr) {
    return ACL_FAIL(kGeModelIdInvalid, "E10001",
                    "Value %u for parameter modelId is invalid. Reason: no such model is loaded.", modelId);
  }
  desc->info = model->info;
  desc->modelId = modelId;
  desc->filled = true;
  return kSuccess;
}

aclError aclmdlGetDescFromFile(aclmdlDesc *modelDesc, const char *modelPath) {
  ACL_REQUIRE(modelPath);
  OmError error;
  const std::unique_ptr<OmSource> source = OmSource::open(modelPath, error);
  return describe(modelDesc, source.get(), error, __func__);
}

aclError aclmdlGetDescFromMem(aclmdlDesc *modelDesc, const void *model, size_t modelSize) {
  ACL_REQUIRE(model);
  const std::unique_ptr<OmSource> source = OmSource::memory(model, modelSize);
  return describe(modelDesc, source.get(), {}, __func__);
}

size_t aclmdlGetNumInputs(aclmdlDesc *modelDesc) {
  const auto desc = findDesc(modelDesc, true, __func__);
  return desc != nullptr ? desc->info.inputs.size() : 0;
}

size_t aclmdlGetNumOutputs(aclmdlDesc *modelDesc) {
  const auto desc = findDesc(modelDesc, true, __func__);
  return desc != nullptr ? desc->info.outputs.size() : 0;
}

size_t aclmdlGetInputSizeByIndex(aclmdlDesc *modelDesc, size_t index) {
  std::shared_ptr<ModelDesc> desc;
  const TensorInfo *const tensor = findTensor(modelDesc, Side::Input, index, desc, __func__);
  return tensor != nullptr ? static_cast<size_t>(tensor->size) : 0;
}

size_t aclmdlGetOutputSizeByIndex(aclmdlDesc *modelDesc, size_t index) {
  std::shared_ptr<ModelDesc> desc;
  const TensorInfo *const tensor = findTensor(modelDesc, Side::Output, index, desc, __func__);
  return tensor != nullptr ? static_cast<size_t>(tensor->size) : 0;
}

// The names returned below live as long as the description.

const char *aclmdlGetInputNameByIndex(const aclmdlDesc *modelDesc, size_t index) {
  std::shared_ptr<ModelDesc> desc;
  const TensorInfo *const tensor = findTensor(modelDesc, Side::Input, index, desc, __func__);
  return tensor != nullptr ? tensor->name.c_str() : "";
}

const char *aclmdlGetOutputNameByIndex(const aclmdlDesc *modelDesc, size_t index) {
  std::shared_ptr<ModelDesc> desc;
  const TensorInfo *const tensor = findTensor(modelDesc, Side::Output, index, desc, __func__);
  return tensor != nullptr ? tensor->name.c_str() : "";
}

aclError aclmdlGetInputIndexByName(const aclmdlDesc *modelDesc, const char *name, size_t *index) {
  return findIndex(modelDesc, Side::Input, name, index, __func__);
}

aclError aclmdlGetOutputIndexByName(const aclmdlDesc *modelDesc, const char *name, size_t *index) {
  return findIndex(modelDesc, Side::Output, name, index, __func__);
}

const char *aclmdlGetTensorRealName(const aclmdlDesc *modelDesc, const char *name) {
  const auto desc = findDesc(modelDesc, true, __func__);
  if (desc == nullptr) return nullptr;
  if (name == nullptr) {
    ACL_FAIL(kInvalidParam, "EH0002", "Argument name must not be null.");
    return nullptr;
  }
  for (const Side side : {Side::Input, Side::Output}) {
    const std::vector<TensorInfo> &tensors = tensorsOf(*desc, side);
    for (size_t index = 0; index < tensors.size(); ++index) {
      if (tensors[index].name == name || shortName(*desc, side, index) == name) return tensors[index].name.c_str();
    }
  }
  ACL_FAIL(kInvalidParam, "EH0001", "Value %s for name is invalid. Reason: the model has no such tensor.", name);
  return nullptr;
}

aclFormat aclmdlGetInputFormat(const aclmdlDesc *modelDesc, size_t index) {
  std::shared_ptr<ModelDesc> desc;
  const TensorInfo *const tensor = findTensor(modelDesc, Side::Input, index, desc, __func__);
  return tensor != nullptr ? static_cast<aclFormat>(tensor->format) : ACL_FORMAT_UNDEFINED;
}

aclFormat aclmdlGetOutputFormat(const aclmdlDesc *modelDesc, size_t index) {
  std::shared_ptr<ModelDesc> desc;
  const TensorInfo *const tensor = findTensor(modelDesc, Side::Output, index, desc, __func__);
  return tensor != nullptr ? static_cast<aclFormat>(tensor->format) : ACL_FORMAT_UNDEFINED;
}

aclDataType aclmdlGetInputDataType(const aclmdlDesc *modelDesc, size_t index) {
  std::shared_ptr<ModelDesc> desc;
  const TensorInfo *const tensor = findTensor(modelDesc, Side::Input, index, desc, __func__);
  return tensor != nullptr ? static_cast<aclDataType>(tensor->dataType) : ACL_DT_UNDEFINED;
}

aclDataType aclmdlGetOutputDataType(const aclmdlDesc *modelDesc, size_t index) {
  std::shared_ptr<ModelDesc> desc;
  const TensorInfo *const tensor = findTensor(modelDesc, Side::Output, index, desc, __func__);
  return tensor != nullptr ? static_cast<aclDataType>(tensor->dataType) : ACL_DT_UNDEFINED;
}

aclError aclmdlGetInputDims(const aclmdlDesc *modelDesc, size_t index, aclmdlIODims *dims) {
  ACL_REQUIRE(dims);
  std::shared_ptr<ModelDesc> desc;
  const TensorInfo *const tensor = findTensor(modelDesc, Side::Input, index, desc, __func__);
  if (tensor == nullptr) return kInvalidParam;
  fillDims(*dims, shortName(*desc, Side::Input, index), tensor->dims);
  return kSuccess;
}

aclError aclmdlGetInputDimsV2(const aclmdlDesc *modelDesc, size_t index, aclmdlIODims *dims) {
  ACL_REQUIRE(dims);
  std::shared_ptr<ModelDesc> desc;
  const TensorInfo *const tensor = findTensor(modelDesc, Side::Input, index, desc, __func__);
  if (tensor == nullptr) return kInvalidParam;
  fillDims(*dims, shortName(*desc, Side::Input, index), tensor->dimsV2);
  return kSuccess;
}

aclError aclmdlGetInputDimsRange(const aclmdlDesc *modelDesc, size_t index, aclmdlIODimsRange *dimsRange) {
  ACL_REQUIRE(dimsRange);
  std::shared_ptr<ModelDesc> desc;
  const TensorInfo *const tensor = findTensor(modelDesc, Side::Input, index, desc, __func__);
  if (tensor == nullptr) return kInvalidParam;
  memset(dimsRange, 0, sizeof *dimsRange);
  dimsRange->rangeCount = tensor->dims.size();
  for (size_t i = 0; i < tensor->dims.size(); ++i) {
    const bool given = tensor->ranges.size() >= 2 * (i + 1);
    dimsRange->range[i][0] = given ? tensor->ranges[2 * i] : tensor->dims[i] < 0 ? 1 : tensor->dims[i];
    dimsRange->range[i][1] = given ? tensor->ranges[2 * i + 1] : tensor->dims[i];
  }
  return kSuccess;
}

aclError aclmdlGetOutputDims(const aclmdlDesc *modelDesc, size_t index, aclmdlIODims *dims) {
  ACL_REQUIRE(dims);
  std::shared_ptr<ModelDesc> desc;
  const TensorInfo *const tensor = findTensor(modelDesc, Side::Output, index, desc, __func__);
  if (tensor == nullptr) return kInvalidParam;
  const int gear = desc->info.largestGear();
  const bool perGear = gear >= 0 && !desc->info.gearOutputs.empty();
  fillDims(*dims, shortName(*desc, Side::Output, index),
           perGear ? desc->info.gearOutputs[static_cast<size_t>(gear)][index] : tensor->dims);
  return kSuccess;
}

aclError aclmdlGetCurOutputDims(const aclmdlDesc *modelDesc, size_t index, aclmdlIODims *dims) {
  ACL_REQUIRE(dims);
  std::shared_ptr<ModelDesc> desc;
  const TensorInfo *const tensor = findTensor(modelDesc, Side::Output, index, desc, __func__);
  if (tensor == nullptr) return kInvalidParam;
  const int gear = shownGear(*desc);
  if (gear >= 0 && !desc->info.gearOutputs.empty()) {
    fillDims(*dims, shortName(*desc, Side::Output, index), desc->info.gearOutputs[static_cast<size_t>(gear)][index]);
    return kSuccess;
  }
  for (const int64_t dim : tensor->dims) {
    if (dim < 0) {
      return ACL_FAIL(kApiNotSupport, "EH0006", "The output shape of a model with dynamic shape is not known in advance.");
    }
  }
  fillDims(*dims, shortName(*desc, Side::Output, index), tensor->dims);
  return kSuccess;
}

const char *aclmdlGetOpAttr(aclmdlDesc *modelDesc, const char *opName, const char *attr) {
  if (findDesc(modelDesc, true, __func__) == nullptr) return nullptr;
  if (opName == nullptr || attr == nullptr) {
    ACL_FAIL(kInvalidParam, "EH0002", "Argument opName and attr must not be null.");
    return nullptr;
  }
  if (strcmp(attr, "_datadump_original_op_names") != 0) {
    ACL_FAIL(kInvalidParam, "EH0001", "Value %s for attr is invalid. Expected value: _datadump_original_op_names.", attr);
    return nullptr;
  }
  return "";  // the attribute is legal, no operator carries it
}

aclError aclmdlGetDynamicBatch(const aclmdlDesc *modelDesc, aclmdlBatch *batch) {
  ACL_REQUIRE(batch);
  const auto desc = findDesc(modelDesc, true, __func__);
  if (desc == nullptr) return kInvalidParam;
  memset(batch, 0, sizeof *batch);
  if (desc->info.gearKind != GearKind::Batch) return kSuccess;
  for (const auto &gear : desc->info.gears) {
    if (batch->batchCount == ACL_MAX_BATCH_NUM) break;
    batch->batch[batch->batchCount++] = static_cast<uint64_t>(gear[0]);
  }
  return kSuccess;
}

aclError aclmdlGetDynamicHW(const aclmdlDesc *modelDesc, size_t index, aclmdlHW *hw) {
  ACL_REQUIRE(hw);
  const auto desc = findDesc(modelDesc, true, __func__);
  if (desc == nullptr) return kInvalidParam;
  const int status = requireAllInputs(index, __func__);
  if (status != kSuccess) return status;
  memset(hw, 0, sizeof *hw);
  if (desc->info.gearKind != GearKind::Image) return kSuccess;
  for (const auto &gear : desc->info.gears) {
    if (hw->hwCount == ACL_MAX_HW_NUM) break;
    hw->hw[hw->hwCount][0] = static_cast<uint64_t>(gear[0]);
    hw->hw[hw->hwCount++][1] = static_cast<uint64_t>(gear[1]);
  }
  return kSuccess;
}

aclError aclmdlGetInputDynamicGearCount(const aclmdlDesc *modelDesc, size_t index, size_t *gearCount) {
  ACL_REQUIRE(gearCount);
  const auto desc = findDesc(modelDesc, true, __func__);
  if (desc == nullptr) return kInvalidParam;
  const int status = requireAllInputs(index, __func__);
  if (status != kSuccess) return status;
  *gearCount = desc->info.gearKind == GearKind::Dims ? desc->info.gears.size() : 0;
  return kSuccess;
}

aclError aclmdlGetInputDynamicDims(const aclmdlDesc *modelDesc, size_t index, aclmdlIODims *dims, size_t gearCount) {
  ACL_REQUIRE(dims);
  const auto desc = findDesc(modelDesc, true, __func__);
  if (desc == nullptr) return kInvalidParam;
  const int status = requireAllInputs(index, __func__);
  if (status != kSuccess) return status;
  const OmInfo &info = desc->info;
  const size_t known = info.gearKind == GearKind::Dims ? info.gears.size() : 0;
  if (gearCount < known) {
    return ACL_FAIL(kInvalidParam, "EH0001", "Value %zu for gearCount is invalid. Expected value: %zu.", gearCount,
                    known);
  }
  for (size_t gear = 0; gear < known; ++gear) {
    // The axes of all data inputs in one row.
    std::vector<int64_t> row;
    for (size_t input = 0; input < info.inputs.size(); ++input) {
      if (static_cast<int>(input) == info.gearInput) continue;
      const std::vector<int64_t> shape = info.inputDims(input, static_cast<int>(gear));
      row.insert(row.end(), shape.begin(), shape.end());
    }
    if (row.size() > ACL_MAX_DIM_CNT) row.resize(ACL_MAX_DIM_CNT);
    fillDims(dims[gear], "", row);
  }
  return kSuccess;
}
