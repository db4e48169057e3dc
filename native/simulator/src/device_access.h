// What the functions for devices and for contexts share.
#pragma once

#include "runtime.h"

namespace ascendsim {

/** Device for an id. On failure returns null with `status` set and the message recorded. */
Device *requireDevice(int64_t id, const char *where, int &status);

/** Makes a context with its default stream. */
std::shared_ptr<Context> makeContext(Device &device, bool isDefault);

/** Ends the use of a device when nothing refers to it any more: its memory returns to the driver. */
void closeDevice(Device &device);

}  // namespace ascendsim
