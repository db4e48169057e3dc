// Life of loaded models.
#pragma once

#include <memory>

namespace ascendsim {

struct Context;

/** Unloads the models that were loaded in a context. */
void unloadModelsOf(const Context &context);

}  // namespace ascendsim
