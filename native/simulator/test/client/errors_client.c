/*
 * What an application may do wrong, one after the other; every call must be refused with its code and a message:
 *   errors_client MODEL OTHER_SOC_MODEL
 * Prints "NAME CODE MESSAGE" per misuse, the message on one line.
 */
#include "client.h"

static void refused(const char *name, aclError status) {
  const char *message = aclGetRecentErrMsg();
  printf("%s %d ", name, status);
  for (; message != NULL && *message != '\0'; ++message) putchar(*message == '\n' ? ' ' : *message);
  putchar('\n');
}

/* A dataset of one host or device buffer per tensor, each `less` bytes too short. */
static aclmdlDataset *dataset(aclmdlDesc *desc, int inputs, size_t less) {
  aclmdlDataset *set = aclmdlCreateDataset();
  const size_t count = inputs ? aclmdlGetNumInputs(desc) : aclmdlGetNumOutputs(desc);
  size_t index;
  for (index = 0; index < count; ++index) {
    const size_t size =
        inputs ? aclmdlGetInputSizeByIndex(desc, index) : aclmdlGetOutputSizeByIndex(desc, index);
    void *device;
    CALL(aclrtMalloc(&device, size, ACL_MEM_MALLOC_HUGE_FIRST));
    CALL(aclmdlAddDatasetBuffer(set, aclCreateDataBuffer(device, size - less)));
  }
  return set;
}

int main(int argc, char **argv) {
  uint32_t model = 0, other = 0;
  size_t free_bytes = 0, total = 0;
  void *memory = NULL;
  aclrtStream stream;
  aclrtContext context;
  aclmdlDesc *desc;
  aclmdlDataset *in, *out;
  char host[16];

  if (argc < 3) return 2;
  CALL(aclInit(NULL));
  refused("double_init", aclInit(NULL));
  refused("no_context", aclrtCreateStream(&stream));
  refused("no_such_device", aclrtSetDevice(77));
  CALL(aclrtSetDevice(0));
  CALL(aclmdlLoadFromFile(argv[1], &model));
  desc = aclmdlCreateDesc();
  CALL(aclmdlGetDesc(desc, model));
  in = dataset(desc, 1, 0);
  out = dataset(desc, 0, 0);
  CALL(aclmdlExecute(model, in, out));
  refused("wrong_model_id", aclmdlExecute(model + 1000, in, out));
  refused("input_too_short", aclmdlExecute(model, dataset(desc, 1, 65), out));
  refused("input_missing", aclmdlExecute(model, aclmdlCreateDataset(), out));
  refused("null_dataset", aclmdlExecute(model, NULL, out));
  refused("other_soc", aclmdlLoadFromFile(argv[2], &other));
  refused("no_file", aclmdlLoadFromFile("/no/such/model.om", &other));
  CALL(aclrtGetMemInfo(ACL_HBM_MEM, &free_bytes, &total));
  refused("out_of_memory", aclrtMalloc(&memory, total + 1, ACL_MEM_MALLOC_HUGE_FIRST));
  CALL(aclrtMalloc(&memory, 16, ACL_MEM_MALLOC_HUGE_FIRST));
  refused("copy_too_long", aclrtMemcpy(memory, 8, host, 16, ACL_MEMCPY_HOST_TO_DEVICE));
  CALL(aclrtFree(memory));
  refused("freed_twice", aclrtFree(memory));
  CALL(aclrtCreateStream(&stream));
  CALL(aclrtDestroyStream(stream));
  refused("stream_after_destroy", aclrtSynchronizeStream(stream));
  CALL(aclrtCreateContext(&context, 0));
  CALL(aclrtDestroyContext(context));
  refused("context_after_destroy", aclrtSetCurrentContext(context));
  CALL(aclrtSetDevice(0));
  CALL(aclmdlUnload(model));
  refused("execute_after_unload", aclmdlExecute(model, in, out));
  refused("unloaded_twice", aclmdlUnload(model));
  CALL(aclrtResetDevice(0));
  /* Initialised twice, finalised twice: both ways of counting are accepted. */
  CALL(aclFinalize());
  CALL(aclFinalize());
  refused("finalized_once_too_often", aclFinalize());
  return 0;
}
