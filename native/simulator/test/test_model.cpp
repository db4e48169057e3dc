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
