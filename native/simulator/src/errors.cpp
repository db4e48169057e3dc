// Keeps the message of the last failure per thread (or per process) in the layout of the CANN error composer.
#include "errors.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace ascendsim {
namespace {

struct Messages {
  std::string pending;
  std::string handedOut;  // keeps the text alive until the next read
};

thread_local Messages threadMessages;
thread_local int threadTaskError = 0;
std::atomic<bool> processMessages{false};

struct Shared {
  std::mutex mutex;
  std::string pending;
};

Shared &shared() {
  static Shared *const instance = new Shared;  // never destroyed: worker threads may outlive static destructors
  return *instance;
}

std::string timestamp() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm local{};
  localtime_r(&now.tv_sec, &local);
  char text[64];
  const size_t length = strftime(text, sizeof text, "%Y-%m-%d-%H:%M:%S", &local);
  snprintf(text + length, sizeof text - length, ".%03ld.%03ld", now.tv_nsec / 1000000, now.tv_nsec / 1000 % 1000);
  return text;
}

struct Title {
  const char *code;
  const char *title;
  const char *solution;
};

/** Titles and remedies of the message numbers that the simulator uses. */
const Title kTitles[] = {
    {"EH0001", "Invalid_Argument", "Check the argument against the interface description."},
    {"EH0002", "Invalid_Argument_Null_Pointer", "Pass a valid pointer."},
    {"EH0003", "Invalid_File_Path", "Check that the file exists and can be read."},
    {"EH0004", "Invalid_File", "Check the content of the file."},
    {"EH0006", "Not_Supported", "Use an interface that this device supports."},
    {"EE1001", "Invalid_Argument", "Check the argument against the interface description."},
    {"EE1002", "Execution_Error_Stream_Synchronize_Timeout", "Use a longer timeout, or look for a task that never ends."},
    {"EE1003", "Execution_Error_Event_Synchronize_Timeout", "Use a longer timeout, or check that the event is recorded."},
    {"EE1004", "Invalid_Argument_Null_Pointer", "Pass a valid pointer."},
    {"EE1005", "Not_Supported", "This feature is not supported by the simulated device."},
    {"EE1009", "Execution_Error_Model", "Check the model and the buffers it was given."},
    {"EE1010", "Invalid_Argument_Context", "Use the object in the context in which it was created."},
    {"EE1018", "Call_Sequence_Error", "Call the interfaces in the documented order."},
    {"EE1023", "Resource_Error", "Release objects that are not used any more."},
    {"EL0002", "Invalid_Device_Id", "Use a device id below the count that aclrtGetDeviceCount returns."},
    {"EL0004", "Resource_Error_Out_of_Memory", "Free device memory, use a smaller model or batch, or a device with more memory."},
    {"E10001", "Invalid_Argument", "Check the value. A model file must be complete and compiled for this device."},
    {"E13001", "Invalid_File_Path", "Check that the file exists and can be read."},
    {"E13025", "Invalid_Input_Tensor", "Give a buffer of the size that the model description reports."},
    {"E19999", "Inner_Error", "Install ONNX Runtime, or set ASCENDSIM_ORT to the path of libonnxruntime.so.1."},
    {"E13031", "Invalid_Output_Tensor", "Give a buffer of the size that the model description reports."},
};

const Title &titleOf(const char *errorCode) {
  static const Title fallback{"", "Inner_Error", "Check the log."};
  for (const Title &title : kTitles) {
    if (strcmp(title.code, errorCode) == 0) return title;
  }
  return fallback;
}

void keep(const std::string &message) {
  if (processMessages.load(std::memory_order_relaxed)) {
    const std::lock_guard<std::mutex> lock(shared().mutex);
    shared().pending = message;
  } else {
    threadMessages.pending = message;
  }
}

}  // namespace

std::string formatError(int code, const char *errorCode, const char *where, const std::string &text) {
  const Title &title = titleOf(errorCode);
  std::string message = "[PID: " + std::to_string(getpid()) + "] " + timestamp() + " " + title.title + "(" + errorCode +
                        "): " + text + "\n        Solution: " + title.solution +
                        "\n        TraceBack (most recent call last):\n        " + where + " failed, result = " +
                        std::to_string(code) + ".";
  return message;
}

int fail(int code, const char *errorCode, const char *where, const char *format, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return failWith(code, formatError(code, errorCode, where, text));
}

int failWith(int code, const std::string &message) {
  keep(message);
  logLine("ERROR", "", message.c_str());
  return code;
}

const char *takeRecentMessage() {
  Messages &own = threadMessages;
  if (processMessages.load(std::memory_order_relaxed)) {
    const std::lock_guard<std::mutex> lock(shared().mutex);
    own.pending.swap(shared().pending);
    shared().pending.clear();
  }
  if (own.pending.empty()) return nullptr;
  own.handedOut.swap(own.pending);
  own.pending.clear();
  return own.handedOut.c_str();
}

void setProcessMessages(bool enabled) { processMessages.store(enabled, std::memory_order_relaxed); }

int lastTaskError(bool reset) {
  const int code = threadTaskError;
  if (reset) threadTaskError = 0;
  return code;
}

void setLastTaskError(int code) { threadTaskError = code; }

void logLine(const char *level, const char *where, const char *text) {
  static const bool enabled = [] {
    const char *value = getenv("ASCEND_SLOG_PRINT_TO_STDOUT");
    return value != nullptr && strcmp(value, "1") == 0;
  }();
  if (!enabled) return;
  fprintf(stderr, "[%s] ASCENDCL(%d,ascendsim):%s [%s]%ld %s\n", level, getpid(), timestamp().c_str(), where,
          static_cast<long>(syscall(SYS_gettid)), text);
}

}  // namespace ascendsim
