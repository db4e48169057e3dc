// Initialisation, the messages of failures, versions.
#include "runtime.h"

#include <sys/stat.h>

#include <cstdarg>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace ascendsim {
namespace {

constexpr char kVersion[] = "0.1.0";
constexpr size_t kMaxConfigBytes = 10 * 1024 * 1024;

/** Nesting of `{` and `[` in a JSON text outside strings; -1 when brackets do not match. */
int jsonDepth(const std::string &text) {
  std::string open;
  int deepest = 0;
  bool inString = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (inString) {
      if (c == '\\') ++i;
      if (c == '"') inString = false;
    } else if (c == '"') {
      inString = true;
    } else if (c == '{' || c == '[') {
      open += c;
      deepest = std::max(deepest, static_cast<int>(open.size()));
    } else if (c == '}' || c == ']') {
      if (open.empty() || open.back() != (c == '}' ? '{' : '[')) return -1;
      open.pop_back();
    }
  }
  return open.empty() && !inString && deepest > 0 ? deepest : -1;
}

/** Value of a string member of acl.json ("" when absent); enough for the switches the simulator honours. */
std::string jsonString(const std::string &text, const std::string &key) {
  size_t at = text.find('"' + key + '"');
  if (at == std::string::npos) return "";
  at = text.find(':', at + key.size() + 2);
  if (at == std::string::npos) return "";
  const size_t begin = text.find_first_not_of(" \t\r\n", at + 1);
  if (begin == std::string::npos || text[begin] != '"') return "";
  const size_t end = text.find('"', begin + 1);
  return end == std::string::npos ? "" : text.substr(begin + 1, end - begin - 1);
}

/** Reads and checks acl.json. */
int readConfig(const char *path, std::string &text, const char *where) {
  struct stat info {};
  std::ifstream file(path, std::ios::binary);
  if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) || !file) {
    return fail(kInvalidFile, "EH0003", where, "Path %s is invalid. Reason: the file cannot be opened.", path);
  }
  if (static_cast<size_t>(info.st_size) > kMaxConfigBytes) {
    return fail(kInvalidFile, "EH0004", where, "File %s is invalid. Reason: it is larger than 10 MB.", path);
  }
  std::ostringstream content;
  content << file.rdbuf();
  text = content.str();
  const int depth = jsonDepth(text);
  if (depth < 0 || depth > 10) {
    return fail(kParseFile, "EH0004", where,
                "File %s is invalid. Reason: it is not a JSON object, or nested deeper than 10 levels.", path);
  }
  return kSuccess;
}

int finalize(uint64_t *remaining, bool all, const char *where) {
  Runtime &state = runtime();
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (state.initCount == 0 && state.spareFinalizes > 0) {
    --state.spareFinalizes;
    if (remaining != nullptr) *remaining = 0;
    return kSuccess;
  }
  if (state.initCount == 0) {
    return fail(kRepeatFinalize, "EE1018", where, "aclFinalize is called without aclInit, or more than once.");
  }
  state.spareFinalizes = all ? state.initCount - 1 : 0;
  state.initCount = all ? 0 : state.initCount - 1;
  if (remaining != nullptr) *remaining = state.initCount;
  if (state.initCount == 0) {
    setProcessMessages(false);
    state.exceptionCallback.store(nullptr);
  }
  return kSuccess;
}

}  // namespace
}  // namespace ascendsim

using namespace ascendsim;

aclError aclInit(const char *configPath) {
  std::string config;
  if (configPath != nullptr && *configPath != '\0') {
    const int status = readConfig(configPath, config, __func__);
    if (status != kSuccess) return status;
  }
  Runtime &state = runtime();
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (state.initCount > 0) {
    ++state.initCount;
    return ACL_FAIL(kRepeatInitialize, "EE1018", "aclInit has been called before in this process.");
  }
  state.refreshSettings();
  state.initCount = 1;
  state.spareFinalizes = 0;
  setProcessMessages(jsonString(config, "err_msg_mode") == "1");
  return kSuccess;
}

aclError aclFinalize(void) { return finalize(nullptr, true, __func__); }

aclError aclFinalizeReference(uint64_t *refCount) {
  ACL_REQUIRE(refCount);
  return finalize(refCount, false, __func__);
}

const char *aclGetRecentErrMsg(void) { return takeRecentMessage(); }

aclError aclrtPeekAtLastError(aclrtLastErrLevel) { return lastTaskError(false); }

aclError aclrtGetLastError(aclrtLastErrLevel) { return lastTaskError(true); }

aclError aclrtGetVersion(int32_t *majorVersion, int32_t *minorVersion, int32_t *patchVersion) {
  ACL_REQUIRE(majorVersion);
  ACL_REQUIRE(minorVersion);
  ACL_REQUIRE(patchVersion);
  *majorVersion = 1;
  *minorVersion = 17;
  *patchVersion = 0;
  return kSuccess;
}

aclError aclsysGetVersionStr(char *pkgName, char *versionStr) {
  ACL_REQUIRE(pkgName);
  ACL_REQUIRE(versionStr);
  snprintf(versionStr, 128, "ascendsim-%s", kVersion);
  return kSuccess;
}

aclError aclsysGetVersionNum(char *pkgName, int32_t *versionNum) {
  ACL_REQUIRE(pkgName);
  ACL_REQUIRE(versionNum);
  *versionNum = 100'000;  // major * 10^7 + minor * 10^5 + patch * 10^3 of 0.1.0
  return kSuccess;
}

const char *aclrtGetSocName(void) {
  const Settings &settings = runtime().settings;
  if (settings.soc != nullptr) return settings.soc->name;
  ACL_FAIL(kRtSocVersion, "EE1001", "ASCENDSIM_SOC is %s, which is no known SoC. Known: %s.",
           settings.socName.c_str(), knownSocs().c_str());
  return nullptr;
}

void aclAppLog(int logLevel, const char *func, const char *, uint32_t, const char *fmt, ...) {
  if (func == nullptr || fmt == nullptr) return;
  char text[1024];
  va_list arguments;
  va_start(arguments, fmt);
  vsnprintf(text, sizeof text, fmt, arguments);
  va_end(arguments);
  static const char *const levels[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
  logLine(logLevel >= 0 && logLevel < 4 ? levels[logLevel] : "EVENT", func, text);
}

const char *ascendsim_version(void) { return kVersion; }
