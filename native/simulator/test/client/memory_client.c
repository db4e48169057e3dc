/*
 * Loading a model into memory of the application, as in the vendor's synchronous classification sample:
 *   memory_client MODEL OUTPUT INPUT...
 * Prints the queried sizes and the device memory before and after.
 */
#include "client.h"

int main(int argc, char **argv) {
  size_t work_size = 0, weight_size = 0, free_before = 0, free_after = 0, total = 0, index;
  void *work, *weight;
  uint32_t model = 0;
  aclmdlDesc *desc;
  aclmdlDataset *in, *out;

  if (argc < 3) return 2;
  CALL(aclInit(""));
  CALL(aclrtSetDevice(0));
  CALL(aclrtGetMemInfo(ACL_HBM_MEM, &free_before, &total));
  CALL(aclmdlQuerySize(argv[1], &work_size, &weight_size));
  printf("work %zu weight %zu\n", work_size, weight_size);
  CALL(aclrtMalloc(&work, work_size, ACL_MEM_MALLOC_HUGE_FIRST));
  CALL(aclrtMalloc(&weight, weight_size, ACL_MEM_MALLOC_HUGE_FIRST));
  CALL(aclmdlLoadFromFileWithMem(argv[1], &model, work, work_size, weight, weight_size));
  desc = aclmdlCreateDesc();
  CALL(aclmdlGetDesc(desc, model));
  in = aclmdlCreateDataset();
  out = aclmdlCreateDataset();
  for (index = 0; index < aclmdlGetNumInputs(desc); ++index) {
    const size_t size = aclmdlGetInputSizeByIndex(desc, index);
    char *content = read_input((int)(3 + index) < argc ? argv[3 + index] : "-", size);
    void *device;
    CALL(aclrtMalloc(&device, size, ACL_MEM_MALLOC_HUGE_FIRST));
    CALL(aclrtMemcpy(device, size, content, size, ACL_MEMCPY_HOST_TO_DEVICE));
    free(content);
    CALL(aclmdlAddDatasetBuffer(in, aclCreateDataBuffer(device, size)));
  }
  for (index = 0; index < aclmdlGetNumOutputs(desc); ++index) {
    /* Left to the runtime: it allocates on the first execution. */
    CALL(aclmdlAddDatasetBuffer(out, aclCreateDataBuffer(NULL, 0)));
  }
  CALL(aclmdlExecute(model, in, out));
  for (index = 0; index < aclmdlGetNumOutputs(desc); ++index) {
    aclDataBuffer *buffer = aclmdlGetDatasetBuffer(out, index);
    const size_t size = aclGetDataBufferSizeV2(buffer);
    char *host = (char *)malloc(size);
    CALL(aclrtMemcpy(host, size, aclGetDataBufferAddr(buffer), size, ACL_MEMCPY_DEVICE_TO_HOST));
    write_output(argv[2], host, size);
    free(host);
    CALL(aclrtFree(aclGetDataBufferAddr(buffer)));
    CALL(aclDestroyDataBuffer(buffer));
  }
  for (index = 0; index < aclmdlGetDatasetNumBuffers(in); ++index) {
    aclDataBuffer *buffer = aclmdlGetDatasetBuffer(in, index);
    CALL(aclrtFree(aclGetDataBufferAddr(buffer)));
    CALL(aclDestroyDataBuffer(buffer));
  }
  CALL(aclmdlDestroyDataset(in));
  CALL(aclmdlDestroyDataset(out));
  CALL(aclmdlUnload(model));
  CALL(aclmdlDestroyDesc(desc));
  CALL(aclrtFree(work));
  CALL(aclrtFree(weight));
  CALL(aclrtGetMemInfo(ACL_HBM_MEM, &free_after, &total));
  printf("free before %zu after %zu\n", free_before, free_after);
  CALL(aclrtResetDevice(0));
  CALL(aclFinalize());
  printf("success\n");
  return 0;
}
