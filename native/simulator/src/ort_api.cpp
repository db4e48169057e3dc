// Finds and loads libonnxruntime.
#include "ort_api.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>

namespace ascendsim {
namespace {

#if defined(__aarch64__)
constexpr char kArchitecture[] = "arm64";
#else
constexpr char kArchitecture[] = "x64";
#endif

struct OrtApiBase {
  const OrtApi *(*GetApi)(uint32_t);
  const char *(*GetVersionString)();
};

/** ASCENDSIM_ORT, else the copy in node_modules next to this library's source tree. */
std::string ortPath() {
  const char *configured = getenv("ASCENDSIM_ORT");
  if (configured != nullptr && *configured != '\0') return configured;
  Dl_info self{};
  if (dladdr(reinterpret_cast<const void *>(&loadOrt), &self) == 0 || self.dli_fname == nullptr) return "";
  const std::string library = self.dli_fname;
  const size_t slash = library.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : library.substr(0, slash);
  return folder + "/../../../node_modules/onnxruntime-node/bin/napi-v6/linux/" + kArchitecture + "/libonnxruntime.so.1";
}

std::mutex &loadMutex() {
  static std::mutex *const mutex = new std::mutex;
  return *mutex;
}

}  // namespace

const OrtApi *loadOrt(std::string &error) {
  static const OrtApi *api = nullptr;
  const std::lock_guard<std::mutex> lock(loadMutex());
  if (api != nullptr) return api;
  const std::string path = ortPath();
  void *const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char *reason = dlerror();
    error = "ONNX Runtime cannot be loaded: " + std::string(reason != nullptr ? reason : path.c_str());
    return nullptr;
  }
  using GetBase = const OrtApiBase *();
  auto *const getBase = reinterpret_cast<GetBase *>(dlsym(library, "OrtGetApiBase"));
  if (getBase != nullptr) api = getBase()->GetApi(kOrtApiVersion);
  if (api == nullptr) error = path + " does not offer API version " + std::to_string(kOrtApiVersion);
  return api;
}

OrtEnv *ortEnvironment(const OrtApi *api, std::string &error) {
  static OrtEnv *environment = nullptr;
  const std::lock_guard<std::mutex> lock(loadMutex());
  if (environment != nullptr) return environment;
  constexpr int kFatalOnly = 4;  // ORT_LOGGING_LEVEL_FATAL: nothing else may reach the application's terminal
  error = takeOrtError(api, ortCreateEnv(api, kFatalOnly, "ascendsim", &environment));
  return environment;
}

std::string takeOrtError(const OrtApi *api, OrtStatus *status) {
  if (status == nullptr) return "";
  std::string message = ortGetErrorMessage(api, status);
  if (message.empty()) message = "unknown error";
  ortReleaseStatus(api, status);
  return message;
}

}  // namespace ascendsim
