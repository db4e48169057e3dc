// .om files: refusals, real files, old layouts, and mutated ones.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <random>

#include "harness.h"

using namespace harness;

namespace {

int loadBytes(const std::string &bytes) {
  uint32_t id = 0;
  const int status = aclmdlLoadFromMem(bytes.data(), bytes.size(), &id);
  if (status == ACL_SUCCESS) CHECK_EQ(aclmdlUnload(id), ACL_SUCCESS);
  return status;
}

}  // namespace

TEST(files_that_are_no_model_are_refused) {
  Session session;
  uint32_t id = 0;
  EXPECT_FAILURE(aclmdlLoadFromFile("/nonexistent/model.om", &id), 145002, "/nonexistent/model.om");
  EXPECT_FAILURE(aclmdlLoadFromFile("/tmp", &id), 145002, "not a regular file");
  const std::string path = "/tmp/ascendsim-" + std::to_string(getpid()) + ".om";
  std::ofstream(path) << "";
  EXPECT_FAILURE(aclmdlLoadFromFile(path.c_str(), &id), 145006, "256-byte header");
  std::ofstream(path) << std::string(1000, 'x');
  EXPECT_FAILURE(aclmdlLoadFromFile(path.c_str(), &id), 145006, "IMOD");
  const std::string good = build::addModel().bytes();
  std::ofstream(path, std::ios::binary) << good.substr(0, good.size() - 1);
  EXPECT_FAILURE(aclmdlLoadFromFile(path.c_str(), &id), 145006, "promises");
  std::ofstream(path, std::ios::binary) << good;
  CHECK_EQ(aclmdlLoadFromFile(path.c_str(), &id), ACL_SUCCESS);
  CHECK_EQ(aclmdlUnload(id), ACL_SUCCESS);
  size_t work = 0, weight = 0;
  CHECK_EQ(aclmdlQuerySize(path.c_str(), &work, &weight), ACL_SUCCESS);
  CHECK_EQ(work, size_t{4096});
  CHECK_EQ(weight, size_t{1024});
  EXPECT_FAILURE(aclmdlQuerySize("/nonexistent", &work, &weight), 145002, "E13001");
  aclmdlDesc *desc = aclmdlCreateDesc();
  CHECK_EQ(aclmdlGetDescFromFile(desc, path.c_str()), ACL_SUCCESS);
  CHECK_EQ(aclmdlGetInputSizeByIndex(desc, 0), size_t{16});
  CHECK_EQ(aclmdlDestroyDesc(desc), ACL_SUCCESS);
  remove(path.c_str());
}

TEST(soc_must_match) {
  Session session;
  build::Om om = build::addModel();
  om.soc = "Ascend910B4";
  EXPECT_FAILURE(loadBytes(om.bytes()), 500002, "Model soc version is not support in this device.");
  om.soc = "";
  CHECK_EQ(loadBytes(om.bytes()), ACL_SUCCESS);
}

TEST(real_models_can_be_described_but_not_run) {
  Session session;
  build::Om om = build::addModel();
  om.itemMagic = 0x5D776EFD;
  om.withInOut = false;  // as files before CANN 5.1
  om.wide = false;
  om.workSize = 90624;
  const std::string bytes = om.bytes();
  EXPECT_FAILURE(loadBytes(bytes), 500002, "not produced by the simulator");
  size_t work = 0, weight = 0;
  CHECK_EQ(aclmdlQuerySizeFromMem(bytes.data(), bytes.size(), &work, &weight), ACL_SUCCESS);
  CHECK_EQ(work, size_t{90624});
  aclmdlDesc *desc = aclmdlCreateDesc();
  CHECK_EQ(aclmdlGetDescFromMem(desc, bytes.data(), bytes.size()), ACL_SUCCESS);
  CHECK_EQ(aclmdlGetNumInputs(desc), size_t{1});
  CHECK_EQ(std::string(aclmdlGetInputNameByIndex(desc, 0)), std::string("x"));
  CHECK_EQ(static_cast<int>(aclmdlGetInputDataType(desc, 0)), static_cast<int>(ACL_FLOAT));
  CHECK_EQ(aclmdlGetOutputSizeByIndex(desc, 0), size_t{16});
  CHECK_EQ(std::string(aclmdlGetOutputNameByIndex(desc, 0)), std::string("add:0:y"));
  CHECK_EQ(aclmdlDestroyDesc(desc), ACL_SUCCESS);
}

TEST(payload_must_fit_the_description) {
  Session session;
  build::Om om = build::addModel();
  om.payload = "this is no ONNX file";
  EXPECT_FAILURE(loadBytes(om.bytes()), 500002, "E10001");
  om.payload = build::Onnx()
                   .input("x", build::kOnnxFloat, {1, 4})
                   .output("y", build::kOnnxFloat, {1, 4})
                   .externalInitializer("b", build::kOnnxFloat, {4}, "/etc/passwd")
                   .node("Add", {"x", "b"}, "y")
                   .bytes();
  EXPECT_FAILURE(loadBytes(om.bytes()), 500002, "refers to other files");
  om.payload = "";
  EXPECT_FAILURE(loadBytes(om.bytes()), 500002, "no payload");
  om = build::addModel();
  om.inputs.push_back({"extra", build::kAclFloat, 4, {1}});
  EXPECT_FAILURE(loadBytes(om.bytes()), 500002, "1 inputs");
  om = build::addModel();
  om.inputs[0].dataType = build::kAclInt32;
  EXPECT_FAILURE(loadBytes(om.bytes()), 500002, "another data type");
  om = build::addModel();
  om.totalNs = {1, 2};
  om.kernels = {};
  EXPECT_FAILURE(loadBytes(om.bytes()), 145006, "gears");
  om.totalNs = {UINT64_MAX};
  EXPECT_FAILURE(loadBytes(om.bytes()), 145006, "hour");
}

TEST(shape_that_contradicts_the_payload_fails_at_execution) {
  Session session;
  build::Om om = build::addModel();
  om.inputs[0].dims = {1, 3};
  om.inputs[0].size = 12;
  Loaded model(session, om);
  Buffers io(model);
  EXPECT_FAILURE(aclmdlExecute(model.id, io.inputs, io.outputs), 507011, "Got invalid dimensions");
}

TEST(mutated_files_never_crash) {
  Session session;
  std::mt19937 random(20261122);
  const std::vector<std::string> seeds = {build::addModel().bytes(), build::batchModel().bytes(),
                                          build::dimsModel().bytes(), [] {
                                            build::Om om = build::imageModel();
                                            om.withInOut = false;
                                            om.wide = false;
                                            return om.bytes();
                                          }()};
  const uint64_t extremes[] = {0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, UINT64_MAX};
  int loaded = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string bytes = seeds[random() % seeds.size()];
    const int edits = 1 + static_cast<int>(random() % 3);
    for (int edit = 0; edit < edits; ++edit) {
      const size_t at = random() % bytes.size();
      switch (random() % 5) {
        case 0: bytes[at] = static_cast<char>(random()); break;
        case 1: bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8)); break;
        case 2: memcpy(&bytes[at], &extremes[random() % 7], std::min<size_t>(bytes.size() - at, 4)); break;
        case 3: memcpy(&bytes[at], &extremes[random() % 7], std::min<size_t>(bytes.size() - at, 8)); break;
        default: bytes.erase(at, 1 + random() % 16); break;
      }
    }
    // Half of the time the length in the header is right, so that the mutation is looked at.
    if (random() % 2 == 0 && bytes.size() > 256) {
      const uint64_t length = bytes.size() - 256;
      memcpy(&bytes[184], &length, 8);
    }
    size_t work = 0, weight = 0;
    aclmdlQuerySizeFromMem(bytes.data(), bytes.size(), &work, &weight);
    aclmdlDesc *desc = aclmdlCreateDesc();
    if (aclmdlGetDescFromMem(desc, bytes.data(), bytes.size()) == ACL_SUCCESS) {
      for (size_t i = 0; i < aclmdlGetNumInputs(desc); ++i) {
        aclmdlIODims dims;
        aclmdlIODimsRange range;
        aclmdlGetInputDims(desc, i, &dims);
        aclmdlGetInputDimsV2(desc, i, &dims);
        aclmdlGetInputDimsRange(desc, i, &range);
      }
      for (size_t i = 0; i < aclmdlGetNumOutputs(desc); ++i) {
        aclmdlIODims dims;
        aclmdlGetOutputDims(desc, i, &dims);
        aclmdlGetCurOutputDims(desc, i, &dims);
      }
      aclmdlBatch batch;
      aclmdlHW hw;
      aclmdlGetDynamicBatch(desc, &batch);
      aclmdlGetDynamicHW(desc, static_cast<size_t>(-1), &hw);
      size_t gears = 0;
      aclmdlGetInputDynamicGearCount(desc, static_cast<size_t>(-1), &gears);
      std::vector<aclmdlIODims> all(gears);
      if (gears > 0) aclmdlGetInputDynamicDims(desc, static_cast<size_t>(-1), all.data(), gears);
    }
    aclmdlDestroyDesc(desc);
    uint32_t id = 0;
    if (aclmdlLoadFromMem(bytes.data(), bytes.size(), &id) != ACL_SUCCESS) {
      CHECK(takeMessage() != "");
      continue;
    }
    ++loaded;
    desc = aclmdlCreateDesc();
    CHECK_EQ(aclmdlGetDesc(desc, id), ACL_SUCCESS);
    aclmdlDataset *in = aclmdlCreateDataset();
    aclmdlDataset *out = aclmdlCreateDataset();
    const auto add = [](aclmdlDataset *set, size_t size) {
      void *memory = nullptr;
      if (size == 0 || size > 1'000'000 || aclrtMalloc(&memory, size, ACL_MEM_MALLOC_NORMAL_ONLY) != ACL_SUCCESS) return;
      aclrtMemset(memory, size, 0, size);
      aclmdlAddDatasetBuffer(set, aclCreateDataBuffer(memory, size));
    };
    for (size_t i = 0; i < aclmdlGetNumInputs(desc); ++i) add(in, aclmdlGetInputSizeByIndex(desc, i));
    for (size_t i = 0; i < aclmdlGetNumOutputs(desc); ++i) add(out, aclmdlGetOutputSizeByIndex(desc, i));
    aclmdlExecute(id, in, out);
    for (aclmdlDataset *set : {in, out}) {
      for (size_t i = 0; i < aclmdlGetDatasetNumBuffers(set); ++i) {
        aclDataBuffer *buffer = aclmdlGetDatasetBuffer(set, i);
        aclrtFree(aclGetDataBufferAddr(buffer));
        aclDestroyDataBuffer(buffer);
      }
      aclmdlDestroyDataset(set);
    }
    aclmdlDestroyDesc(desc);
    CHECK_EQ(aclmdlUnload(id), ACL_SUCCESS);
    takeMessage();
  }
  CHECK(loaded > 100);  // the mutations reach the loader, not only the header check
}
