// Initialisation, devices, contexts, error messages.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <thread>

#include "harness.h"

using namespace harness;

TEST(init_and_finalize_follow_the_documented_codes) {
  setenv("ASCENDSIM_PACE", "0", 1);
  EXPECT_FAILURE(aclFinalize(), 100037, "EE1018");
  CHECK_EQ(aclInit(nullptr), ACL_SUCCESS);
  EXPECT_FAILURE(aclInit(nullptr), 100002, "called before");
  uint64_t left = 99;
  CHECK_EQ(aclFinalizeReference(&left), ACL_SUCCESS);
  CHECK_EQ(left, uint64_t{1});
  CHECK_EQ(aclFinalize(), ACL_SUCCESS);
  EXPECT_FAILURE(aclFinalize(), 100037, "aclFinalize");
  // Programs that finalize once for all, and those that finalize as often as they initialise.
  CHECK_EQ(aclInit(nullptr), ACL_SUCCESS);
  EXPECT_FAILURE(aclInit(nullptr), 100002, "called before");
  CHECK_EQ(aclFinalize(), ACL_SUCCESS);
  CHECK_EQ(aclFinalize(), ACL_SUCCESS);
  EXPECT_FAILURE(aclFinalize(), 100037, "aclFinalize");
}

TEST(init_reads_a_json_file) {
  const std::string path = "/tmp/ascendsim-acl-" + std::to_string(getpid()) + ".json";
  EXPECT_FAILURE(aclInit("/nonexistent/acl.json"), 100003, "/nonexistent/acl.json");
  std::ofstream(path) << "{ not closed";
  EXPECT_FAILURE(aclInit(path.c_str()), 100006, "JSON");
  std::ofstream(path) << "[[[[[[[[[[[]]]]]]]]]]]";
  EXPECT_FAILURE(aclInit(path.c_str()), 100006, "10 levels");
  std::ofstream(path) << "{}";
  CHECK_EQ(aclInit(path.c_str()), ACL_SUCCESS);
  CHECK_EQ(aclFinalize(), ACL_SUCCESS);
  // Messages per process: a failure on another thread can be read here.
  std::ofstream(path) << "{\"err_msg_mode\": \"1\"}";
  CHECK_EQ(aclInit(path.c_str()), ACL_SUCCESS);
  std::thread([] { aclrtSetDevice(77); }).join();
  CHECK(takeMessage().find("77") != std::string::npos);
  CHECK_EQ(aclFinalize(), ACL_SUCCESS);
  remove(path.c_str());
}

TEST(messages_are_per_thread_and_cleared_by_reading) {
  Session session;
  CHECK(aclGetRecentErrMsg() == nullptr);
  EXPECT_FAILURE(aclrtSetDevice(5), 107001, "EL0002");
  CHECK(aclGetRecentErrMsg() == nullptr);
  aclrtSetDevice(-1);
  std::thread([] { CHECK(aclGetRecentErrMsg() == nullptr); }).join();
  const std::string message = takeMessage();
  CHECK(message.find("[PID: ") == 0);
  CHECK(message.find("Solution:") != std::string::npos);
  CHECK(message.find("aclrtSetDevice") != std::string::npos);
}

TEST(calls_without_a_context_are_refused) {
  setenv("ASCENDSIM_PACE", "0", 1);
  CHECK_EQ(aclInit(nullptr), ACL_SUCCESS);
  void *memory = nullptr;
  EXPECT_FAILURE(aclrtMalloc(&memory, 16, ACL_MEM_MALLOC_HUGE_FIRST), 107002, "context");
  aclrtStream stream = nullptr;
  EXPECT_FAILURE(aclrtCreateStream(&stream), 107002, "context");
  EXPECT_FAILURE(aclrtSynchronizeStream(nullptr), 107002, "context");
  EXPECT_FAILURE(aclrtSynchronizeDevice(), 107002, "context");
  aclrtContext context = nullptr;
  EXPECT_FAILURE(aclrtGetCurrentContext(&context), 107002, "context");
  size_t a = 0, b = 0;
  EXPECT_FAILURE(aclrtGetMemInfo(ACL_DDR_MEM, &a, &b), 107002, "context");
  uint32_t id = 0;
  const std::string om = build::addModel().bytes();
  EXPECT_FAILURE(aclmdlLoadFromMem(om.data(), om.size(), &id), 107002, "context");
  CHECK_EQ(aclFinalize(), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlLoadFromMem(om.data(), om.size(), &id), 145001, "aclInit");
}

TEST(contexts_belong_to_threads) {
  Session session;
  aclrtContext main = nullptr;
  CHECK_EQ(aclrtGetCurrentContext(&main), ACL_SUCCESS);
  std::thread([main] {
    aclrtContext own = nullptr;
    EXPECT_FAILURE(aclrtGetCurrentContext(&own), 107002, "context");
    CHECK_EQ(aclrtSetCurrentContext(main), ACL_SUCCESS);
    CHECK_EQ(aclrtGetCurrentContext(&own), ACL_SUCCESS);
    CHECK(own == main);
    int32_t device = -1;
    CHECK_EQ(aclrtGetDevice(&device), ACL_SUCCESS);
    CHECK_EQ(device, 0);
  }).join();
}

TEST(explicit_contexts_become_current_and_die_cleanly) {
  Session session;
  aclrtContext context = nullptr;
  CHECK_EQ(aclrtCreateContext(&context, 0), ACL_SUCCESS);
  aclrtContext current = nullptr;
  CHECK_EQ(aclrtGetCurrentContext(&current), ACL_SUCCESS);
  CHECK(current == context);
  aclrtStream stream = nullptr;
  CHECK_EQ(aclrtCreateStream(&stream), ACL_SUCCESS);
  CHECK_EQ(aclrtDestroyContext(context), ACL_SUCCESS);
  EXPECT_FAILURE(aclrtDestroyContext(context), 107017, "context");
  EXPECT_FAILURE(aclrtSetCurrentContext(context), 107017, "context");
  EXPECT_FAILURE(aclrtGetCurrentContext(&current), 107002, "context");
  CHECK_EQ(aclrtSetDevice(0), ACL_SUCCESS);
  EXPECT_FAILURE(aclrtSynchronizeStream(stream), 107017, "stream");
  CHECK_EQ(aclrtResetDevice(0), ACL_SUCCESS);
  EXPECT_FAILURE(aclrtCreateContext(&context, 9), 107001, "9");
  EXPECT_FAILURE(aclrtDestroyContext(nullptr), 100000, "null");
  aclrtContext defaultContext = nullptr;
  CHECK_EQ(aclrtGetCurrentContext(&defaultContext), ACL_SUCCESS);
  EXPECT_FAILURE(aclrtDestroyContext(defaultContext), 107000, "default context");
}

TEST(device_is_counted_and_its_memory_returns_with_the_last_reset) {
  Session session;
  CHECK_EQ(aclrtSetDevice(0), ACL_SUCCESS);
  void *memory = nullptr;
  CHECK_EQ(aclrtMalloc(&memory, 1000, ACL_MEM_MALLOC_NORMAL_ONLY), ACL_SUCCESS);
  CHECK_EQ(aclrtResetDevice(0), ACL_SUCCESS);
  uint64_t used = 0, peak = 0, capacity = 0;
  CHECK_EQ(ascendsim_device_memory(0, &used, &peak, &capacity), 1);
  CHECK_EQ(used, uint64_t{1056});  // 1024 + 32
  CHECK_EQ(aclrtResetDevice(0), ACL_SUCCESS);
  CHECK_EQ(ascendsim_device_memory(0, &used, &peak, &capacity), 1);
  CHECK_EQ(used, uint64_t{0});
  EXPECT_FAILURE(aclrtFree(memory), 107000, "not the start");
  CHECK_EQ(aclrtSetDevice(0), ACL_SUCCESS);
}

TEST(several_devices_have_their_own_memory) {
  Session session("ASCENDSIM_DEVICES", "2", "ASCENDSIM_SOC", "Ascend910B4");
  uint32_t count = 0;
  CHECK_EQ(aclrtGetDeviceCount(&count), ACL_SUCCESS);
  CHECK_EQ(count, 2u);
  CHECK_EQ(std::string(aclrtGetSocName()), std::string("Ascend910B4"));
  CHECK_EQ(aclrtSetDevice(1), ACL_SUCCESS);
  void *memory = nullptr;
  CHECK_EQ(aclrtMalloc(&memory, 3 << 20, ACL_MEM_MALLOC_HUGE_FIRST), ACL_SUCCESS);
  size_t free = 0, total = 0;
  CHECK_EQ(aclrtGetMemInfo(ACL_HBM_MEM, &free, &total), ACL_SUCCESS);
  CHECK_EQ(total, size_t{32} << 30);
  CHECK_EQ(total - free, size_t{4} << 20);  // two huge pages
  CHECK_EQ(aclrtGetMemInfo(ACL_DDR_MEM, &free, &total), ACL_SUCCESS);
  CHECK_EQ(total, size_t{0});
  CHECK_EQ(aclrtSetDevice(0), ACL_SUCCESS);
  CHECK_EQ(aclrtGetMemInfo(ACL_HBM_MEM, &free, &total), ACL_SUCCESS);
  CHECK_EQ(total - free, size_t{0});
  CHECK_EQ(aclrtResetDevice(0), ACL_SUCCESS);
  CHECK_EQ(aclrtFree(memory), ACL_SUCCESS);
  CHECK_EQ(aclrtResetDevice(1), ACL_SUCCESS);
}

TEST(visible_devices_limit_the_count) {
  setenv("ASCEND_RT_VISIBLE_DEVICES", "0,1,9", 1);
  Session session("ASCENDSIM_DEVICES", "4");
  uint32_t count = 0;
  CHECK_EQ(aclrtGetDeviceCount(&count), ACL_SUCCESS);
  CHECK_EQ(count, 2u);
  unsetenv("ASCEND_RT_VISIBLE_DEVICES");
}

TEST(no_device_and_unknown_soc_are_reported) {
  setenv("ASCENDSIM_DEVICES", "0", 1);
  CHECK_EQ(aclInit(nullptr), ACL_SUCCESS);
  uint32_t count = 1;
  EXPECT_FAILURE(aclrtGetDeviceCount(&count), 207004, "No device");
  CHECK_EQ(count, 0u);
  CHECK_EQ(aclFinalize(), ACL_SUCCESS);
  unsetenv("ASCENDSIM_DEVICES");
  setenv("ASCENDSIM_SOC", "Ascend12345", 1);
  CHECK_EQ(aclInit(nullptr), ACL_SUCCESS);
  EXPECT_FAILURE(aclrtSetDevice(0), 507008, "Ascend12345");
  CHECK(aclrtGetSocName() == nullptr);
  takeMessage();
  CHECK_EQ(aclFinalize(), ACL_SUCCESS);
  unsetenv("ASCENDSIM_SOC");
}

TEST(device_queries) {
  Session session;
  aclrtRunMode mode = ACL_DEVICE;
  CHECK_EQ(aclrtGetRunMode(&mode), ACL_SUCCESS);
  CHECK_EQ(static_cast<int>(mode), static_cast<int>(ACL_HOST));
  int64_t value = 0;
  CHECK_EQ(aclrtGetDeviceInfo(0, 101, &value), ACL_SUCCESS);
  CHECK_EQ(value, int64_t{8});
  EXPECT_FAILURE(aclrtGetDeviceInfo(0, 31337, &value), 207000, "31337");
  aclrtUtilizationInfo utilisation{};
  CHECK_EQ(aclrtGetDeviceUtilizationRate(0, &utilisation), ACL_SUCCESS);
  CHECK_EQ(utilisation.memoryUtilization, -1);
  aclrtDeviceStatus status = ACL_RT_DEVICE_STATUS_ABNORMAL;
  CHECK_EQ(aclrtQueryDeviceStatus(0, &status), ACL_SUCCESS);
  CHECK_EQ(static_cast<int>(status), 0);
  size_t free = 0, total = 0;
  CHECK_EQ(aclrtGetMemInfo(ACL_DDR_MEM, &free, &total), ACL_SUCCESS);
  CHECK_EQ(total, size_t{21525} << 20);
  size_t viaHbm = 0;
  CHECK_EQ(aclrtGetMemInfo(ACL_HBM_MEM, &free, &viaHbm), ACL_SUCCESS);
  CHECK_EQ(viaHbm, total);
  int32_t major = 0, minor = 0, patch = 0;
  CHECK_EQ(aclrtGetVersion(&major, &minor, &patch), ACL_SUCCESS);
  char package[] = "runtime";
  char version[128];
  CHECK_EQ(aclsysGetVersionStr(package, version), ACL_SUCCESS);
  CHECK(std::string(version).find("ascendsim-") == 0);
}

extern "C" int aclrtCreateNotify(void *, uint64_t);
TEST(unsupported_functions_answer_207000) {
  void *notify = nullptr;
  EXPECT_FAILURE(aclrtCreateNotify(&notify, 0), 207000, "aclrtCreateNotify");
}

TEST(null_arguments_are_refused_everywhere) {
  Session session;
  EXPECT_FAILURE(aclrtGetDeviceCount(nullptr), 100000, "EH0002");
  EXPECT_FAILURE(aclrtCreateContext(nullptr, 0), 100000, "EH0002");
  EXPECT_FAILURE(aclrtCreateStream(nullptr), 100000, "EH0002");
  EXPECT_FAILURE(aclrtCreateEvent(nullptr), 100000, "EH0002");
  EXPECT_FAILURE(aclrtMalloc(nullptr, 8, ACL_MEM_MALLOC_HUGE_FIRST), 100000, "EH0002");
  EXPECT_FAILURE(aclrtFree(nullptr), 100000, "EH0002");
  EXPECT_FAILURE(aclmdlLoadFromFile(nullptr, nullptr), 100000, "EH0002");
  EXPECT_FAILURE(aclmdlGetDesc(nullptr, 1), 100000, "EH0002");
  EXPECT_FAILURE(aclmdlExecute(1, nullptr, nullptr), 100000, "EH0002");
  EXPECT_FAILURE(aclDestroyDataBuffer(nullptr), 100000, "EH0002");
  EXPECT_FAILURE(aclmdlAddDatasetBuffer(nullptr, nullptr), 100000, "EH0002");
  EXPECT_FAILURE(aclrtRecordEvent(nullptr, nullptr), 100000, "EH0002");
  EXPECT_FAILURE(aclrtSetCurrentContext(nullptr), 100000, "EH0002");
  CHECK_EQ(aclmdlGetNumInputs(nullptr), size_t{0});
  CHECK(takeMessage() != "");
  CHECK(aclGetDataBufferAddr(nullptr) == nullptr);
  CHECK(takeMessage() != "");
  aclDestroyTensorDesc(nullptr);
  CHECK(takeMessage() != "");
}
