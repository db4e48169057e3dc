/*
 * Synchronous inference in the order in which common inference tools call the library:
 *   sync_client MODEL OUTPUT LOOPS BATCH INPUT...   (BATCH 0: static model; INPUT "-": zeros)
 * Prints one latency line per run and one line per output.
 */
#include <sys/time.h>

#include "client.h"

static double now_ms(void) {
  struct timeval time;
  gettimeofday(&time, NULL);
  return (double)time.tv_sec * 1000.0 + (double)time.tv_usec / 1000.0;
}

static void on_exception(aclrtExceptionInfo *info) {
  fprintf(stderr, "exception: task %u stream %u device %u\n", aclrtGetTaskIdFromExceptionInfo(info),
          aclrtGetStreamIdFromExceptionInfo(info), aclrtGetDeviceIdFromExceptionInfo(info));
}

int main(int argc, char **argv) {
  aclrtContext context;
  aclrtStream stream;
  aclrtRunMode mode;
  uint32_t model = 0;
  size_t gears = 0, index, inputs, outputs;
  uint64_t batch;
  aclmdlDesc *desc;
  aclmdlDataset *in, *out;
  int loops, loop;

  if (argc < 5) return 2;
  loops = atoi(argv[3]);
  batch = (uint64_t)atoi(argv[4]);
  CALL(aclInit(NULL));
  CALL(aclrtSetDevice(0));
  CALL(aclrtCreateContext(&context, 0));
  CALL(aclrtCreateStream(&stream));
  CALL(aclrtGetRunMode(&mode));
  if (mode != ACL_HOST) return 3;
  CALL(aclmdlLoadFromFile(argv[1], &model));
  desc = aclmdlCreateDesc();
  CALL(aclmdlGetDesc(desc, model));
  CALL(aclmdlGetInputDynamicGearCount(desc, (size_t)-1, &gears));
  CALL(aclrtSetExceptionInfoCallback(on_exception));

  inputs = aclmdlGetNumInputs(desc);
  outputs = aclmdlGetNumOutputs(desc);
  in = aclmdlCreateDataset();
  for (index = 0; index < inputs; ++index) {
    const size_t size = aclmdlGetInputSizeByIndex(desc, index);
    const int given = argc > (int)(5 + index);
    void *device, *host;
    char *content = read_input(given ? argv[5 + index] : "-", size);
    CALL(aclrtMalloc(&device, size, ACL_MEM_MALLOC_NORMAL_ONLY));
    CALL(aclrtMallocHost(&host, size));
    memcpy(host, content, size);
    free(content);
    CALL(aclrtMemcpy(device, size, host, size, ACL_MEMCPY_HOST_TO_DEVICE));
    CALL(aclrtFreeHost(host));
    CALL(aclmdlAddDatasetBuffer(in, aclCreateDataBuffer(device, size)));
  }
  if (batch > 0) {
    aclmdlBatch known;
    CALL(aclmdlGetDynamicBatch(desc, &known));
    printf("batches %zu\n", known.batchCount);
    CALL(aclmdlGetInputIndexByName(desc, ACL_DYNAMIC_TENSOR_NAME, &index));
    CALL(aclmdlSetDynamicBatchSize(model, in, index, batch));
  }
  out = aclmdlCreateDataset();
  for (index = 0; index < outputs; ++index) {
    const size_t size = aclmdlGetOutputSizeByIndex(desc, index);
    void *device;
    CALL(aclrtMalloc(&device, size, ACL_MEM_MALLOC_NORMAL_ONLY));
    CALL(aclmdlAddDatasetBuffer(out, aclCreateDataBuffer(device, size)));
  }

  for (loop = 0; loop < loops; ++loop) {
    const double start = now_ms();
    CALL(aclmdlExecute(model, in, out));
    printf("Inference time: %.3fms\n", now_ms() - start);
  }
  for (index = 0; index < outputs; ++index) {
    aclDataBuffer *buffer = aclmdlGetDatasetBuffer(out, index);
    aclmdlIODims dims;
    size_t size = aclDataTypeSize(aclmdlGetOutputDataType(desc, index)), axis;
    void *host;
    CALL(aclmdlGetCurOutputDims(desc, index, &dims));
    printf("output %zu %s type %d format %d dims", index, aclmdlGetOutputNameByIndex(desc, index),
           (int)aclmdlGetOutputDataType(desc, index), (int)aclmdlGetOutputFormat(desc, index));
    for (axis = 0; axis < dims.dimCount; ++axis) {
      printf(" %lld", (long long)dims.dims[axis]);
      size *= (size_t)dims.dims[axis];
    }
    printf("\n");
    CALL(aclrtMallocHost(&host, size));
    CALL(aclrtMemcpy(host, size, aclGetDataBufferAddr(buffer), size, ACL_MEMCPY_DEVICE_TO_HOST));
    write_output(argv[2], host, size);
    CALL(aclrtFreeHost(host));
  }

  for (index = 0; index < inputs + outputs; ++index) {
    aclDataBuffer *buffer = aclmdlGetDatasetBuffer(index < inputs ? in : out, index < inputs ? index : index - inputs);
    CALL(aclrtFree(aclGetDataBufferAddr(buffer)));
    CALL(aclDestroyDataBuffer(buffer));
  }
  CALL(aclmdlDestroyDataset(in));
  CALL(aclmdlDestroyDataset(out));
  CALL(aclmdlUnload(model));
  CALL(aclmdlDestroyDesc(desc));
  CALL(aclrtDestroyStream(stream));
  CALL(aclrtDestroyContext(context));
  CALL(aclrtResetDevice(0));
  CALL(aclFinalize());
  printf("success\n");
  return 0;
}
