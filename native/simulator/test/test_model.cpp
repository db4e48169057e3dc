// Loading, describing and executing models.
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <thread>

#include "acl/acl.h"
#include "builders.h"
#include "check.h"
#include "harness.h"

using namespace harness;

TEST(model_runs_and_reports_device_time) {
  Session session;
  Loaded model(session, build::addModel());
  CHECK_EQ(aclmdlGetNumInputs(model.desc), size_t{1});
  CHECK_EQ(aclmdlGetNumOutputs(model.desc), size_t{1});
  CHECK_EQ(aclmdlGetInputSizeByIndex(model.desc, 0), size_t{16});
  CHECK_EQ(std::string(aclmdlGetInputNameByIndex(model.desc, 0)), std::string("x"));
  CHECK_EQ(std::string(aclmdlGetOutputNameByIndex(model.desc, 0)), std::string("add:0:y"));
  aclmdlIODims dims;
  CHECK_EQ(aclmdlGetInputDims(model.desc, 0, &dims), ACL_SUCCESS);
  CHECK_EQ(dims.dimCount, size_t{2});
  CHECK_EQ(dims.dims[1], int64_t{4});
  CHECK_EQ(aclmdlGetCurOutputDims(model.desc, 0, &dims), ACL_SUCCESS);
  CHECK_EQ(dims.dims[1], int64_t{4});
  size_t gears = 99;
  CHECK_EQ(aclmdlGetInputDynamicGearCount(model.desc, static_cast<size_t>(-1), &gears), ACL_SUCCESS);
  CHECK_EQ(gears, size_t{0});

  Buffers io(model);
  io.write(0, {10, 20, 30, 40});
  const uint64_t before = ascendsim_device_time_ns(0);
  CHECK_EQ(aclmdlExecute(model.id, io.inputs, io.outputs), ACL_SUCCESS);
  CHECK_EQ(ascendsim_device_time_ns(0) - before, uint64_t{2'500'000});
  const std::vector<float> y = io.read(0);
  CHECK(y == std::vector<float>({11, 22, 33, 44}));
  io.write(0, {0, 0, 0, 0});
  CHECK_EQ(aclmdlExecute(model.id, io.inputs, io.outputs), ACL_SUCCESS);
  CHECK(io.read(0) == std::vector<float>({1, 2, 3, 4}));

  const char *name = nullptr;
  const char *type = nullptr;
  uint64_t ns = 0;
  CHECK_EQ(ascendsim_profile(model.id, 1, &name, &type, &ns), 1);
  CHECK_EQ(std::string(name) + std::string(type), std::string("castCast"));
  CHECK_EQ(ns, uint64_t{500'000});
  CHECK_EQ(ascendsim_profile(model.id, 2, &name, &type, &ns), 0);
}

TEST(outputs_of_an_unchanged_input_are_reused_and_still_written) {
  Session session;
  Loaded model(session, build::addModel());
  Buffers io(model);
  io.write(0, {5, 5, 5, 5});
  CHECK_EQ(aclmdlExecute(model.id, io.inputs, io.outputs), ACL_SUCCESS);
  void *out = aclGetDataBufferAddr(aclmdlGetDatasetBuffer(io.outputs, 0));
  CHECK_EQ(aclrtMemset(out, 16, 0xFF, 16), ACL_SUCCESS);
  CHECK_EQ(aclmdlExecute(model.id, io.inputs, io.outputs), ACL_SUCCESS);
  CHECK(io.read(0) == std::vector<float>({6, 7, 8, 9}));
}

TEST(quantized_arithmetic_matches_a_scalar_computation) {
  Session session;
  Loaded model(session, build::quantModel());
  Buffers io(model);
  const std::vector<float> x = {0.11f, -2.5f, 13.0f, 0.049f, 1.0f, -1.0f, 0.3f, -13.5f};
  io.write(0, x);
  CHECK_EQ(aclmdlExecute(model.id, io.inputs, io.outputs), ACL_SUCCESS);
  const int8_t w[4][3] = {{1, 2, 3}, {-1, -2, -3}, {4, 5, 6}, {7, -8, 9}};
  const float scales[] = {0.5f, 0.25f, 2.0f};
  const std::vector<float> y = io.read(0);
  const std::vector<float> r = io.read(1);
  const auto half = [](float v) { return aclFloat16ToFloat(aclFloatToFloat16(v)); };
  for (int row = 0; row < 2; ++row) {
    for (int column = 0; column < 3; ++column) {
      int sum = 0;
      for (int k = 0; k < 4; ++k) {
        const float scaled = half(half(half(x[static_cast<size_t>(row * 4 + k)]) * 10.0f) - 5.0f);
        const int q = static_cast<int>(std::nearbyint(std::fmin(std::fmax(scaled, -128.0f), 127.0f)));
        sum += (q + 5) * w[k][column];
      }
      CHECK_EQ(y[static_cast<size_t>(row * 3 + column)], half(static_cast<float>(sum) * scales[column]));
    }
  }
  for (size_t i = 0; i < x.size(); ++i) CHECK_EQ(r[i], half(x[i]));
}

TEST(custom_operator_errors_are_reported_not_fatal) {
  Session session;
  build::Om om = build::quantModel();
  // Three scales on an axis of four.
  om.payload = build::Onnx()
                   .input("x", build::kOnnxFloat, {2, 4})
                   .output("y", build::kOnnxFloat, {2, 4})
                   .initializer("s", build::kOnnxFloat, {3}, build::floats({1, 2, 3}))
                   .node("Cast", {"x"}, "i", {build::intAttribute("to", build::kOnnxInt32)})
                   .node("AscendDequant", {"i", "s"}, "y", {build::intAttribute("axis", 1)}, "ascendsim")
                   .bytes();
  om.outputs = {{"y", build::kAclFloat, 32, {2, 4}}};
  Loaded model(session, om);
  Buffers io(model);
  EXPECT_FAILURE(aclmdlExecute(model.id, io.inputs, io.outputs), 507011, "number of scales");
}

TEST(buffers_may_be_64_bytes_short_but_not_more) {
  Session session;
  build::Om om = build::addModel();
  om.payload = build::Onnx()
                   .input("x", build::kOnnxFloat, {40})
                   .output("y", build::kOnnxFloat, {40})
                   .node("Neg", {"x"}, "y")
                   .bytes();
  om.inputs = {{"x", build::kAclFloat, 160, {40}}};
  om.outputs = {{"y", build::kAclFloat, 160, {40}}};
  Loaded model(session, om);
  for (const size_t size : {size_t{160}, size_t{100}, size_t{95}, size_t{300}}) {
    aclmdlDataset *in = aclmdlCreateDataset();
    aclmdlDataset *out = aclmdlCreateDataset();
    Buffers::add(in, size);
    Buffers::add(out, 160);
    const int status = aclmdlExecute(model.id, in, out);
    CHECK_EQ(status, size == 95 ? 145000 : ACL_SUCCESS);
    const std::string message = takeMessage();
    CHECK_EQ(message.find("E13025") != std::string::npos, size == 95);
    std::swap(in, out);
    CHECK_EQ(aclmdlExecute(model.id, in, out), size == 95 ? 145000 : ACL_SUCCESS);
    takeMessage();
    for (aclmdlDataset *set : {in, out}) {
      aclDataBuffer *buffer = aclmdlGetDatasetBuffer(set, 0);
      aclrtFree(aclGetDataBufferAddr(buffer));
      aclDestroyDataBuffer(buffer);
      aclmdlDestroyDataset(set);
    }
  }
}

TEST(execute_refuses_wrong_arguments) {
  Session session;
  Loaded model(session, build::addModel());
  Buffers io(model);
  EXPECT_FAILURE(aclmdlExecute(4711, io.inputs, io.outputs), 145003, "4711");
  EXPECT_FAILURE(aclmdlExecute(model.id, nullptr, io.outputs), 100000, "input");
  aclmdlDataset *empty = aclmdlCreateDataset();
  EXPECT_FAILURE(aclmdlExecute(model.id, empty, io.outputs), 145000, "1 inputs");
  EXPECT_FAILURE(aclmdlExecute(model.id, io.inputs, empty), 145000, "1 outputs");
  // Host memory where device memory is needed.
  float host[4] = {};
  aclDataBuffer *buffer = aclCreateDataBuffer(host, sizeof host);
  CHECK_EQ(aclmdlAddDatasetBuffer(empty, buffer), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlExecute(model.id, empty, io.outputs), 507011, "not memory of device");
  // A buffer that claims more than its allocation has.
  void *small = nullptr;
  CHECK_EQ(aclrtMalloc(&small, 16, ACL_MEM_MALLOC_NORMAL_ONLY), ACL_SUCCESS);
  CHECK_EQ(aclUpdateDataBuffer(buffer, small, 1 << 20), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlExecute(model.id, empty, io.outputs), 507011, "claims");
  CHECK_EQ(aclUpdateDataBuffer(buffer, nullptr, 16), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlExecute(model.id, empty, io.outputs), 100000, "null");
  CHECK_EQ(aclDestroyDataBuffer(buffer), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlExecute(model.id, empty, io.outputs), 100000, "destroyed");
  CHECK_EQ(aclmdlDestroyDataset(empty), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlExecute(model.id, empty, io.outputs), 100000, "destroyed");
  CHECK_EQ(aclrtFree(small), ACL_SUCCESS);
  // A model belongs to the context of its load.
  aclrtContext own = nullptr;
  aclrtContext other = nullptr;
  CHECK_EQ(aclrtGetCurrentContext(&own), ACL_SUCCESS);
  CHECK_EQ(aclrtCreateContext(&other, 0), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlExecute(model.id, io.inputs, io.outputs), 107004, "another context");
  EXPECT_FAILURE(aclmdlUnload(model.id), 107004, "another context");
  CHECK_EQ(aclrtDestroyContext(other), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlExecute(model.id, io.inputs, io.outputs), 107002, "context");
  CHECK_EQ(aclrtSetCurrentContext(own), ACL_SUCCESS);
}

TEST(empty_output_buffer_is_allocated_by_the_runtime) {
  Session session;
  Loaded model(session, build::addModel());
  Buffers io(model);
  aclDataBuffer *out = aclmdlGetDatasetBuffer(io.outputs, 0);
  CHECK_EQ(aclrtFree(aclGetDataBufferAddr(out)), ACL_SUCCESS);
  CHECK_EQ(aclUpdateDataBuffer(out, nullptr, 0), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlExecuteAsync(model.id, io.inputs, io.outputs, nullptr), 100000, "null");
  CHECK_EQ(aclmdlExecute(model.id, io.inputs, io.outputs), ACL_SUCCESS);
  CHECK_EQ(aclGetDataBufferSizeV2(out), size_t{16});
  CHECK(io.read(0) == std::vector<float>({1, 2, 3, 4}));
}

TEST(unloaded_models_and_descriptions_are_refused) {
  Session session;
  const std::string om = build::addModel().bytes();
  uint32_t id = 0;
  CHECK_EQ(aclmdlLoadFromMem(om.data(), om.size(), &id), ACL_SUCCESS);
  aclmdlDesc *desc = aclmdlCreateDesc();
  CHECK_EQ(aclmdlGetNumInputs(desc), size_t{0});
  CHECK(takeMessage().find("aclmdlGetDesc first") != std::string::npos);
  CHECK_EQ(aclmdlGetDesc(desc, id), ACL_SUCCESS);
  CHECK_EQ(aclmdlUnload(id), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlUnload(id), 145003, "no such model");
  EXPECT_FAILURE(aclmdlGetDesc(desc, id), 145003, "no such model");
  CHECK_EQ(aclmdlGetNumInputs(desc), size_t{1});  // a description outlives its model
  aclmdlIODims dims;
  EXPECT_FAILURE(aclmdlGetInputDims(desc, 1, &dims), 100000, "index");
  size_t index = 9;
  CHECK_EQ(aclmdlGetInputIndexByName(desc, "x", &index), ACL_SUCCESS);
  CHECK_EQ(index, size_t{0});
  EXPECT_FAILURE(aclmdlGetInputIndexByName(desc, "nope", &index), 100000, "nope");
  CHECK_EQ(aclmdlDestroyDesc(desc), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlDestroyDesc(desc), 100000, "destroyed");
  CHECK_EQ(std::string(aclmdlGetInputNameByIndex(desc, 0)), std::string(""));
  takeMessage();
}

TEST(long_tensor_names_can_be_mapped_back) {
  Session session;
  build::Om om = build::addModel();
  om.outputs[0].name = std::string(200, 'n');
  Loaded model(session, om);
  aclmdlIODims dims;
  CHECK_EQ(aclmdlGetOutputDims(model.desc, 0, &dims), ACL_SUCCESS);
  CHECK(std::string(dims.name).find("acl_modelId_") == 0);
  CHECK_EQ(std::string(aclmdlGetTensorRealName(model.desc, dims.name)), om.outputs[0].name);
  CHECK_EQ(std::string(aclmdlGetOutputNameByIndex(model.desc, 0)), om.outputs[0].name);
  size_t index = 9;
  CHECK_EQ(aclmdlGetOutputIndexByName(model.desc, dims.name, &index), ACL_SUCCESS);
  CHECK_EQ(index, size_t{0});
}

TEST(model_memory_counts_and_limits) {
  Session session("ASCENDSIM_MEMORY_BYTES", "10000");
  build::Om om = build::addModel();
  om.workSize = 6000;
  om.weightSize = 5000;
  const std::string bytes = om.bytes();
  uint32_t id = 0;
  EXPECT_FAILURE(aclmdlLoadFromMem(bytes.data(), bytes.size(), &id), 207001, "11000");
  size_t work = 0, weight = 0;
  CHECK_EQ(aclmdlQuerySizeFromMem(bytes.data(), bytes.size(), &work, &weight), ACL_SUCCESS);
  CHECK_EQ(work, size_t{6000});
  CHECK_EQ(weight, size_t{5000});
  om.weightSize = 3000;
  const std::string smaller = om.bytes();
  CHECK_EQ(aclmdlLoadFromMem(smaller.data(), smaller.size(), &id), ACL_SUCCESS);
  uint64_t used = 0, peak = 0, capacity = 0;
  CHECK_EQ(ascendsim_device_memory(0, &used, &peak, &capacity), 1);
  CHECK_EQ(used, uint64_t{9000});
  CHECK_EQ(aclmdlUnload(id), ACL_SUCCESS);
  CHECK_EQ(ascendsim_device_memory(0, &used, &peak, &capacity), 1);
  CHECK_EQ(used, uint64_t{0});
  CHECK_EQ(peak, uint64_t{9000});
  // With the application's own memory.
  void *workMemory = nullptr;
  void *weightMemory = nullptr;
  CHECK_EQ(aclrtMalloc(&workMemory, 6000, ACL_MEM_MALLOC_NORMAL_ONLY), ACL_SUCCESS);
  CHECK_EQ(aclrtMalloc(&weightMemory, 3000, ACL_MEM_MALLOC_NORMAL_ONLY), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlLoadFromMemWithMem(smaller.data(), smaller.size(), &id, workMemory, 5999, weightMemory, 3000),
                 145000, "workSize");
  EXPECT_FAILURE(aclmdlLoadFromMemWithMem(smaller.data(), smaller.size(), &id, &work, 6000, weightMemory, 3000),
                 145000, "device memory");
  CHECK_EQ(aclmdlLoadFromMemWithMem(smaller.data(), smaller.size(), &id, workMemory, 6000, weightMemory, 3000),
           ACL_SUCCESS);
  CHECK_EQ(aclmdlUnload(id), ACL_SUCCESS);
  CHECK_EQ(aclrtFree(workMemory), ACL_SUCCESS);
  CHECK_EQ(aclrtFree(weightMemory), ACL_SUCCESS);
}

TEST(load_with_options) {
  Session session;
  const std::string om = build::addModel().bytes();
  aclmdlConfigHandle *config = aclmdlCreateConfigHandle();
  uint32_t id = 0;
  EXPECT_FAILURE(aclmdlLoadWithConfig(config, &id), 100000, "LOAD_TYPE");
  const size_t type = ACL_MDL_LOAD_FROM_MEM;
  EXPECT_FAILURE(aclmdlSetConfigOpt(config, ACL_MDL_LOAD_TYPE_SIZET, &type, 4), 100000, "valueSize");
  CHECK_EQ(aclmdlSetConfigOpt(config, ACL_MDL_LOAD_TYPE_SIZET, &type, sizeof type), ACL_SUCCESS);
  const void *data = om.data();
  const size_t size = om.size();
  CHECK_EQ(aclmdlSetConfigOpt(config, ACL_MDL_MEM_ADDR_PTR, &data, sizeof data), ACL_SUCCESS);
  CHECK_EQ(aclmdlSetConfigOpt(config, ACL_MDL_MEM_SIZET, &size, sizeof size), ACL_SUCCESS);
  CHECK_EQ(aclmdlLoadWithConfig(config, &id), ACL_SUCCESS);
  CHECK_EQ(aclmdlUnload(id), ACL_SUCCESS);
  CHECK_EQ(aclmdlDestroyConfigHandle(config), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlDestroyConfigHandle(config), 100000, "exist");
}

TEST(models_end_with_their_context) {
  Session session;
  aclrtContext context = nullptr;
  CHECK_EQ(aclrtCreateContext(&context, 0), ACL_SUCCESS);
  const std::string om = build::addModel().bytes();
  uint32_t id = 0;
  CHECK_EQ(aclmdlLoadFromMem(om.data(), om.size(), &id), ACL_SUCCESS);
  CHECK_EQ(aclrtDestroyContext(context), ACL_SUCCESS);
  CHECK_EQ(aclrtSetDevice(0), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlUnload(id), 145003, "no such model");
  uint64_t used = 1, peak = 0, capacity = 0;
  CHECK_EQ(ascendsim_device_memory(0, &used, &peak, &capacity), 1);
  CHECK_EQ(used, uint64_t{0});
  CHECK_EQ(aclrtResetDevice(0), ACL_SUCCESS);
}

TEST(pacing_makes_execution_as_long_as_modelled) {
  Session session("ASCENDSIM_PACE", "1");
  build::Om om = build::addModel();
  om.totalNs = {20'000'000};
  Loaded model(session, om);
  Buffers io(model);
  for (int run = 0; run < 3; ++run) {
    const auto start = std::chrono::steady_clock::now();
    CHECK_EQ(aclmdlExecute(model.id, io.inputs, io.outputs), ACL_SUCCESS);
    CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(20));
  }
  setenv("ASCENDSIM_PACE", "0", 1);
}
