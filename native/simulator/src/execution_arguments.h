// Models, data sets and buffers that an application hands to the functions for execution, checked.
#pragma once

#include "dataset.h"
#include "model.h"

namespace ascendsim {

/** A buffer may be this much short of what the description asks for. */
constexpr uint64_t kSizeSlack = 64;

/** A model of the current context. On failure null with `status` set and the message recorded. */
std::shared_ptr<Model> requireModel(uint32_t modelId, const char *where, int &status);

/** A live data set; null with the message recorded otherwise. `what` is the name of the argument. */
std::shared_ptr<Dataset> requireDataset(const aclmdlDataset *handle, const char *what, const char *where);

/** Content of a data buffer; null with the message recorded when the handle is not live. */
std::shared_ptr<DataBuffer> bufferAt(Dataset &set, size_t index, const char *what, const char *where);

/** Checks every argument of an execution and collects its memory. On failure null with `status` set. */
std::shared_ptr<Model> prepareExecution(uint32_t modelId, const aclmdlDataset *input, const aclmdlDataset *output,
                                        bool synchronous, Execution &execution, const char *where, int &status);

}  // namespace ascendsim
