// Models compiled for several batch sizes, image sizes or dimensions.
#include <cstring>

#include "harness.h"

using namespace harness;

namespace {
constexpr size_t kAll = static_cast<size_t>(-1);
}

TEST(batch_gears) {
  Session session;
  Loaded model(session, build::batchModel());
  aclmdlBatch batch;
  CHECK_EQ(aclmdlGetDynamicBatch(model.desc, &batch), ACL_SUCCESS);
  CHECK_EQ(batch.batchCount, size_t{3});
  CHECK_EQ(batch.batch[2], uint64_t{4});
  size_t index = 0;
  CHECK_EQ(aclmdlGetInputIndexByName(model.desc, ACL_DYNAMIC_TENSOR_NAME, &index), ACL_SUCCESS);
  CHECK_EQ(index, size_t{1});
  aclmdlIODims dims;
  CHECK_EQ(aclmdlGetInputDims(model.desc, 0, &dims), ACL_SUCCESS);
  CHECK_EQ(dims.dims[0], int64_t{-1});
  CHECK_EQ(aclmdlGetCurOutputDims(model.desc, 0, &dims), ACL_SUCCESS);
  CHECK_EQ(dims.dims[0], int64_t{4});  // nothing set: the largest gear

  Buffers io(model);
  io.write(0, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  CHECK_EQ(aclmdlSetDynamicBatchSize(model.id, io.inputs, index, 2), ACL_SUCCESS);
  CHECK_EQ(aclmdlGetCurOutputDims(model.desc, 0, &dims), ACL_SUCCESS);
  CHECK_EQ(dims.dims[0], int64_t{2});
  const uint64_t before = ascendsim_device_time_ns(0);
  CHECK_EQ(aclmdlExecute(model.id, io.inputs, io.outputs), ACL_SUCCESS);
  CHECK_EQ(ascendsim_device_time_ns(0) - before, uint64_t{2'000'000});
  std::vector<float> y = io.read(0);
  CHECK(y == std::vector<float>({2, 4, 6, 8, 10, 12, 0, 0, 0, 0, 0, 0}));
  const char *name = nullptr;
  const char *type = nullptr;
  uint64_t ns = 0;
  CHECK_EQ(ascendsim_profile(model.id, 0, &name, &type, &ns), 1);
  CHECK_EQ(ns, uint64_t{2'000'000});
  CHECK_EQ(aclmdlSetDynamicBatchSize(model.id, io.inputs, index, 4), ACL_SUCCESS);
  CHECK_EQ(aclmdlExecute(model.id, io.inputs, io.outputs), ACL_SUCCESS);
  CHECK_EQ(io.read(0)[11], 24.0f);

  EXPECT_FAILURE(aclmdlSetDynamicBatchSize(model.id, io.inputs, index, 0), 100000, "batchSize");
  EXPECT_FAILURE(aclmdlSetDynamicBatchSize(model.id, io.inputs, index, 3), 145013, "not compiled for it");
  EXPECT_FAILURE(aclmdlSetDynamicBatchSize(model.id, io.inputs, 0, 2), 100000, "index");
  EXPECT_FAILURE(aclmdlSetDynamicHWSize(model.id, io.inputs, index, 2, 2), 100000, "kind of gear");
  aclDataBuffer *helper = aclmdlGetDatasetBuffer(io.inputs, index);
  void *memory = aclGetDataBufferAddr(helper);
  CHECK_EQ(aclUpdateDataBuffer(helper, nullptr, 4), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlSetDynamicBatchSize(model.id, io.inputs, index, 2), 145011, "address");
  CHECK_EQ(aclUpdateDataBuffer(helper, memory, 3), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlSetDynamicBatchSize(model.id, io.inputs, index, 2), 145012, "size");
  CHECK_EQ(aclUpdateDataBuffer(helper, memory, 4), ACL_SUCCESS);
}

TEST(gear_that_was_never_set_is_the_largest) {
  Session session;
  Loaded model(session, build::batchModel());
  Buffers io(model);
  const uint64_t before = ascendsim_device_time_ns(0);
  CHECK_EQ(aclmdlExecute(model.id, io.inputs, io.outputs), ACL_SUCCESS);
  CHECK_EQ(ascendsim_device_time_ns(0) - before, uint64_t{4'000'000});
}

TEST(input_too_small_for_its_gear_is_refused) {
  Session session;
  build::Om om = build::batchModel();
  om.inputs[0].dims = {-1, 100};
  om.inputs[0].size = 1600;
  om.outputs[0] = {"y", build::kAclFloat, 1600, {4, 100}};
  om.outputShapes = {"0,0,1,100", "1,0,2,100", "2,0,4,100"};
  om.payload = build::Onnx()
                   .input("x", build::kOnnxFloat, {-1, 100})
                   .output("y", build::kOnnxFloat, {-1, 100})
                   .node("Neg", {"x"}, "y")
                   .bytes();
  Loaded model(session, om);
  Buffers io(model);
  aclDataBuffer *data = aclmdlGetDatasetBuffer(io.inputs, 0);
  CHECK_EQ(aclUpdateDataBuffer(data, aclGetDataBufferAddr(data), 400), ACL_SUCCESS);
  CHECK_EQ(aclmdlSetDynamicBatchSize(model.id, io.inputs, 1, 1), ACL_SUCCESS);
  CHECK_EQ(aclmdlExecute(model.id, io.inputs, io.outputs), ACL_SUCCESS);
  CHECK_EQ(aclmdlSetDynamicBatchSize(model.id, io.inputs, 1, 2), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlExecute(model.id, io.inputs, io.outputs), 507011, "its gear needs 800");
}

TEST(image_gears) {
  Session session;
  Loaded model(session, build::imageModel());
  aclmdlHW hw;
  CHECK_EQ(aclmdlGetDynamicHW(model.desc, kAll, &hw), ACL_SUCCESS);
  CHECK_EQ(hw.hwCount, size_t{2});
  CHECK_EQ(hw.hw[1][1], uint64_t{4});
  EXPECT_FAILURE(aclmdlGetDynamicHW(model.desc, 0, &hw), 100000, "-1");
  Buffers io(model);
  io.write(0, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  CHECK_EQ(aclmdlSetDynamicHWSize(model.id, io.inputs, 1, 2, 2), ACL_SUCCESS);
  CHECK_EQ(aclmdlExecute(model.id, io.inputs, io.outputs), ACL_SUCCESS);
  CHECK(io.read(0) == std::vector<float>({2, 4, 6, 8, 0, 0, 0, 0, 0, 0, 0, 0}));
  CHECK_EQ(aclmdlSetDynamicHWSize(model.id, io.inputs, 1, 3, 4), ACL_SUCCESS);
  CHECK_EQ(aclmdlExecute(model.id, io.inputs, io.outputs), ACL_SUCCESS);
  CHECK_EQ(io.read(0)[11], 24.0f);
  EXPECT_FAILURE(aclmdlSetDynamicHWSize(model.id, io.inputs, 1, 4, 3), 145013, "4,3");
}

TEST(dims_gears) {
  Session session;
  Loaded model(session, build::dimsModel());
  size_t count = 0;
  CHECK_EQ(aclmdlGetInputDynamicGearCount(model.desc, kAll, &count), ACL_SUCCESS);
  CHECK_EQ(count, size_t{2});
  EXPECT_FAILURE(aclmdlGetInputDynamicGearCount(model.desc, 0, &count), 100000, "-1");
  aclmdlIODims gears[2];
  CHECK_EQ(aclmdlGetInputDynamicDims(model.desc, kAll, gears, 2), ACL_SUCCESS);
  CHECK_EQ(gears[1].dimCount, size_t{4});
  CHECK_EQ(gears[1].dims[0], int64_t{3});
  EXPECT_FAILURE(aclmdlGetInputDynamicDims(model.desc, kAll, gears, 1), 100000, "gearCount");
  Buffers io(model);
  io.write(0, {1, 2, 3, 4, 5, 6});
  io.write(1, {10, 20});
  aclmdlIODims wanted{};
  wanted.dimCount = 4;
  const int64_t dims[] = {3, 2, 1, 2};
  memcpy(wanted.dims, dims, sizeof dims);
  CHECK_EQ(aclmdlSetInputDynamicDims(model.id, io.inputs, 2, &wanted), ACL_SUCCESS);
  CHECK_EQ(aclmdlExecute(model.id, io.inputs, io.outputs), ACL_SUCCESS);
  CHECK(io.read(0) == std::vector<float>({11, 22, 13, 24, 15, 26}));
  wanted.dims[0] = 2;
  EXPECT_FAILURE(aclmdlSetInputDynamicDims(model.id, io.inputs, 2, &wanted), 145013, "not compiled for it");
  wanted.dims[0] = 1;
  wanted.dims[1] = 7;
  EXPECT_FAILURE(aclmdlSetInputDynamicDims(model.id, io.inputs, 2, &wanted), 145013, "static");
  wanted.dimCount = 3;
  EXPECT_FAILURE(aclmdlSetInputDynamicDims(model.id, io.inputs, 2, &wanted), 100000, "dimCount");
  wanted.dimCount = 1'000'000;
  EXPECT_FAILURE(aclmdlSetInputDynamicDims(model.id, io.inputs, 2, &wanted), 100000, "dimCount");
}
