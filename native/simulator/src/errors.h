// Error codes the simulator answers with, and the text that aclGetRecentErrMsg hands out for them.
#pragma once

#include <string>

namespace ascendsim {

/** ACL status codes, as documented for CANN; the leading group tells the layer (1xxxxx user, 2xxxxx resource, 5xxxxx inner). */
enum Status : int {
  kSuccess = 0,
  kInvalidParam = 100000,
  kUninitialize = 100001,
  kRepeatInitialize = 100002,
  kInvalidFile = 100003,
  kParseFile = 100006,
  kRepeatSubscribe = 100033,
  kRepeatFinalize = 100037,
  kRtParamInvalid = 107000,
  kRtInvalidDeviceId = 107001,
  kRtContextNull = 107002,
  kRtStreamContext = 107003,
  kRtModelContext = 107004,
  kRtEventTimestampInvalid = 107006,
  kRtEventTimestampReversal = 107007,
  kRtThreadSubscribe = 107012,
  kRtStreamNoCallbackRegistered = 107015,
  kRtInvalidHandle = 107017,
  kRtInvalidMallocType = 107018,
  kRtStreamAbort = 107023,
  kGeParamInvalid = 145000,
  kGeNotInitialised = 145001,
  kGeModelPathInvalid = 145002,
  kGeModelIdInvalid = 145003,
  kGeModelDataSizeInvalid = 145006,
  kGeModelAddressInvalid = 145007,
  kGeDynamicInputAddressInvalid = 145011,
  kGeDynamicInputLengthInvalid = 145012,
  kGeDynamicBatchSizeInvalid = 145013,
  kApiNotSupport = 200001,
  kRtFeatureNotSupport = 207000,
  kRtMemoryAllocation = 207001,
  kRtNoDevice = 207004,
  kRtNoEventResource = 207007,
  kRtNoStreamResource = 207008,
  kGeFailure = 500002,
  kRtEventNotComplete = 507006,
  kRtSocVersion = 507008,
  kRtModelExecute = 507011,
  kRtReportTimeout = 507012,
  kRtStreamSyncTimeout = 507046,
  kRtEventSyncTimeout = 507047,
  kRtDriverInternal = 507899,
};

/**
 * Records the message of a failure for the calling thread and returns `code`.
 * `errorCode` is the CANN message number (EH0001, EE1001, E10001, ...), `where` the ACL function that failed.
 */
int fail(int code, const char *errorCode, const char *where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/** Same, for a message that already exists (an asynchronous failure reported by a later call). */
int failWith(int code, const std::string &message);

/** Formats a message as fail() does, without recording it. */
std::string formatError(int code, const char *errorCode, const char *where, const std::string &text);

/** Returns the pending message and clears it, or null when there is none. */
const char *takeRecentMessage();

/** True: messages are kept per process (`err_msg_mode` "1" of acl.json), not per thread. */
void setProcessMessages(bool enabled);

/** Last asynchronous task error of the calling thread. */
int lastTaskError(bool reset);
void setLastTaskError(int code);

/** Writes a line in slog form to stderr when ASCEND_SLOG_PRINT_TO_STDOUT=1; never writes to stdout. */
void logLine(const char *level, const char *where, const char *text);

}  // namespace ascendsim

#define ACL_FAIL(code, errorCode, ...) ::ascendsim::fail((code), (errorCode), __func__, __VA_ARGS__)
/** Refuses a null argument the way the ACL layer does. */
#define ACL_REQUIRE(pointer)                                                             \
  do {                                                                                   \
    if ((pointer) == nullptr) {                                                          \
      return ACL_FAIL(kInvalidParam, "EH0002", "Argument %s must not be null.", #pointer); \
    }                                                                                    \
  } while (false)
