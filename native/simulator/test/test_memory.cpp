// Device memory, copies, data buffers and tensor descriptors.
#include "harness.h"

using namespace harness;

TEST(device_memory_is_limited) {
  Session session("ASCENDSIM_MEMORY_BYTES", "1000000");
  void *first = nullptr;
  void *second = nullptr;
  CHECK_EQ(aclrtMalloc(&first, 600'000, ACL_MEM_MALLOC_NORMAL_ONLY), ACL_SUCCESS);
  CHECK_EQ(reinterpret_cast<uintptr_t>(first) % 64, uintptr_t{0});
  EXPECT_FAILURE(aclrtMalloc(&second, 600'000, ACL_MEM_MALLOC_NORMAL_ONLY), 207001, "EL0004");
  EXPECT_FAILURE(aclrtMalloc(&second, SIZE_MAX, ACL_MEM_MALLOC_NORMAL_ONLY), 207001, "EL0004");
  CHECK_EQ(aclrtFree(first), ACL_SUCCESS);
  EXPECT_FAILURE(aclrtFree(first), 107000, "not the start");
  CHECK_EQ(aclrtMalloc(&second, 600'000, ACL_MEM_MALLOC_NORMAL_ONLY), ACL_SUCCESS);
  EXPECT_FAILURE(aclrtFree(static_cast<char *>(second) + 64), 107000, "not the start");
  CHECK_EQ(aclrtFree(second), ACL_SUCCESS);
  EXPECT_FAILURE(aclrtMalloc(&first, 0, ACL_MEM_MALLOC_NORMAL_ONLY), 100000, "size");
  EXPECT_FAILURE(aclrtMalloc(&first, 8, static_cast<aclrtMemMallocPolicy>(0x42)), 107018, "policy");
}

TEST(copies_check_both_sides) {
  Session session;
  char host[64] = "hello";
  char back[64] = {};
  void *device = nullptr;
  CHECK_EQ(aclrtMalloc(&device, 64, ACL_MEM_MALLOC_HUGE_FIRST), ACL_SUCCESS);
  CHECK_EQ(aclrtMemcpy(device, 64, host, 64, ACL_MEMCPY_HOST_TO_DEVICE), ACL_SUCCESS);
  CHECK_EQ(aclrtMemcpy(back, 64, device, 64, ACL_MEMCPY_DEVICE_TO_HOST), ACL_SUCCESS);
  CHECK_EQ(std::string(back), std::string("hello"));
  CHECK_EQ(aclrtMemcpy(back, 64, host, 64, ACL_MEMCPY_HOST_TO_HOST), ACL_SUCCESS);
  CHECK_EQ(aclrtMemcpy(device, 64, host, 64, ACL_MEMCPY_DEFAULT), ACL_SUCCESS);
  EXPECT_FAILURE(aclrtMemcpy(back, 64, host, 64, ACL_MEMCPY_HOST_TO_DEVICE), 507899, "host memory to host memory");
  EXPECT_FAILURE(aclrtMemcpy(device, 64, host, 64, ACL_MEMCPY_DEVICE_TO_HOST), 507899, "kind 2");
  EXPECT_FAILURE(aclrtMemcpy(device, 32, host, 64, ACL_MEMCPY_HOST_TO_DEVICE), 100000, "destMax");
  EXPECT_FAILURE(aclrtMemcpy(device, 9999, host, 999, ACL_MEMCPY_HOST_TO_DEVICE), 507899, "beyond");
  EXPECT_FAILURE(aclrtMemcpy(nullptr, 64, host, 64, ACL_MEMCPY_HOST_TO_DEVICE), 100000, "dst");
  EXPECT_FAILURE(aclrtMemcpy(device, 64, host, 64, static_cast<aclrtMemcpyKind>(99)), 100000, "99");
  EXPECT_FAILURE(aclrtMemset(device, 64, 0, 65), 100000, "maxCount");
  EXPECT_FAILURE(aclrtMemset(device, 9999, 0, 9999), 507899, "beyond");
  CHECK_EQ(aclrtMemset(device, 64, 'x', 3), ACL_SUCCESS);
  CHECK_EQ(aclrtMemcpy(back, 64, device, 64, ACL_MEMCPY_DEVICE_TO_HOST), ACL_SUCCESS);
  CHECK_EQ(std::string(back), std::string("xxxlo"));
  CHECK_EQ(aclrtFree(device), ACL_SUCCESS);
}

TEST(pitched_copies) {
  Session session;
  const char source[] = "abc...def...";
  char target[8] = {};
  void *device = nullptr;
  CHECK_EQ(aclrtMalloc(&device, 6, ACL_MEM_MALLOC_HUGE_FIRST), ACL_SUCCESS);
  CHECK_EQ(aclrtMemcpy2d(device, 3, source, 6, 3, 2, ACL_MEMCPY_HOST_TO_DEVICE), ACL_SUCCESS);
  CHECK_EQ(aclrtMemcpy(target, 6, device, 6, ACL_MEMCPY_DEVICE_TO_HOST), ACL_SUCCESS);
  CHECK_EQ(std::string(target), std::string("abcdef"));
  EXPECT_FAILURE(aclrtMemcpy2d(device, 3, source, 6, 4, 2, ACL_MEMCPY_HOST_TO_DEVICE), 100000, "pitches");
  EXPECT_FAILURE(aclrtMemcpy2d(device, 40, source, 6, 3, 2000, ACL_MEMCPY_HOST_TO_DEVICE), 507899, "beyond");
  EXPECT_FAILURE(aclrtMemcpy2d(device, SIZE_MAX, source, 6, 3, 2, ACL_MEMCPY_HOST_TO_DEVICE), 100000, "pitches");
  CHECK_EQ(aclrtFree(device), ACL_SUCCESS);
}

TEST(copies_advance_the_device_clock_by_the_link_model) {
  Session session;
  std::vector<char> host(25'200'000);
  void *device = nullptr;
  CHECK_EQ(aclrtMalloc(&device, host.size(), ACL_MEM_MALLOC_HUGE_FIRST), ACL_SUCCESS);
  const uint64_t before = ascendsim_device_time_ns(0);
  CHECK_EQ(aclrtMemcpy(device, host.size(), host.data(), host.size(), ACL_MEMCPY_HOST_TO_DEVICE), ACL_SUCCESS);
  const uint64_t ns = ascendsim_device_time_ns(0) - before;
  // PCIe 4.0 x16 at 80 %: 16 GT/s x 16 x 128/130 / 8 x 0.8 = 25.2 GB/s, plus 10 us.
  CHECK(ns > 1'005'000 && ns < 1'015'000);
  CHECK_EQ(aclrtFree(device), ACL_SUCCESS);
}

TEST(host_memory_is_tracked) {
  Session session;
  void *host = nullptr;
  CHECK_EQ(aclrtMallocHost(&host, 100), ACL_SUCCESS);
  aclrtPtrAttributes attributes;
  CHECK_EQ(aclrtPointerGetAttributes(host, &attributes), ACL_SUCCESS);
  CHECK_EQ(attributes.location.type, 0u);
  EXPECT_FAILURE(aclrtFree(host), 107000, "device allocation");
  CHECK_EQ(aclrtFreeHost(host), ACL_SUCCESS);
  EXPECT_FAILURE(aclrtFreeHost(host), 107000, "aclrtMallocHost");
  void *device = nullptr;
  CHECK_EQ(acldvppMalloc(&device, 100), ACL_SUCCESS);
  CHECK_EQ(aclrtPointerGetAttributes(device, &attributes), ACL_SUCCESS);
  CHECK_EQ(attributes.location.type, 1u);
  EXPECT_FAILURE(aclrtFreeHost(device), 107000, "aclrtMallocHost");
  CHECK_EQ(acldvppFree(device), ACL_SUCCESS);
}

TEST(data_buffers_and_sets_survive_misuse) {
  aclDataBuffer *buffer = aclCreateDataBuffer(&buffer, 8);
  CHECK(aclGetDataBufferAddr(buffer) == &buffer);
  CHECK_EQ(aclGetDataBufferSizeV2(buffer), size_t{8});
  CHECK_EQ(aclUpdateDataBuffer(buffer, nullptr, 0), ACL_SUCCESS);
  CHECK_EQ(aclGetDataBufferSize(buffer), 0u);
  aclmdlDataset *set = aclmdlCreateDataset();
  CHECK_EQ(aclmdlAddDatasetBuffer(set, buffer), ACL_SUCCESS);
  CHECK_EQ(aclmdlGetDatasetNumBuffers(set), size_t{1});
  CHECK(aclmdlGetDatasetBuffer(set, 0) == buffer);
  CHECK(aclmdlGetDatasetBuffer(set, 1) == nullptr);
  CHECK(takeMessage() != "");
  const int64_t dims[] = {2, 3};
  aclTensorDesc *desc = aclCreateTensorDesc(ACL_FLOAT, 2, dims, ACL_FORMAT_ND);
  CHECK_EQ(aclGetTensorDescSize(desc), size_t{24});
  CHECK_EQ(aclGetTensorDescElementCount(desc), size_t{6});
  int64_t dim = 0;
  CHECK_EQ(aclGetTensorDescDimV2(desc, 1, &dim), ACL_SUCCESS);
  CHECK_EQ(dim, int64_t{3});
  EXPECT_FAILURE(aclGetTensorDescDimV2(desc, 2, &dim), 100000, "index");
  CHECK_EQ(aclmdlSetDatasetTensorDesc(set, desc, 0), ACL_SUCCESS);
  CHECK(aclmdlGetDatasetTensorDesc(set, 0) == desc);
  EXPECT_FAILURE(aclmdlSetDatasetTensorDesc(set, desc, 1), 100000, "index");
  aclDestroyTensorDesc(desc);
  aclDestroyTensorDesc(desc);
  CHECK(takeMessage() != "");
  CHECK(aclCreateTensorDesc(ACL_FLOAT, 129, dims, ACL_FORMAT_ND) == nullptr);
  takeMessage();
  CHECK_EQ(aclDestroyDataBuffer(buffer), ACL_SUCCESS);
  EXPECT_FAILURE(aclDestroyDataBuffer(buffer), 100000, "destroyed");
  CHECK_EQ(aclmdlDestroyDataset(set), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlDestroyDataset(set), 100000, "destroyed");
  CHECK_EQ(aclmdlGetDatasetNumBuffers(set), size_t{0});
  takeMessage();
  // Pointers that were never handles.
  int number = 0;
  EXPECT_FAILURE(aclmdlDestroyDataset(reinterpret_cast<aclmdlDataset *>(&number)), 100000, "does not exist");
  EXPECT_FAILURE(aclrtSynchronizeStream(&number), 107002, "context");
}
