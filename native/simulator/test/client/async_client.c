/*
 * Asynchronous inference with a callback thread, as in the vendor's asynchronous classification sample:
 *   async_client MODEL OUTPUT RUNS INPUT
 * Every run has its own buffers; the callback copies a finished output. Prints the elapsed device time of all runs.
 */
#include <pthread.h>

#include "client.h"

#define MAX_RUNS 64

static aclrtContext context;
static volatile int quit = 0;

struct run {
  int done;
  size_t size;
  void *device;
  char *host;
};

static void *process_callbacks(void *unused) {
  (void)unused;
  CALL(aclrtSetCurrentContext(context));
  while (!quit) (void)aclrtProcessReport(50);
  return NULL;
}

static void on_done(void *user) {
  struct run *run = (struct run *)user;
  CALL(aclrtMemcpy(run->host, run->size, run->device, run->size, ACL_MEMCPY_DEVICE_TO_HOST));
  run->done = 1;
}

int main(int argc, char **argv) {
  static struct run runs[MAX_RUNS];
  aclmdlDataset *in[MAX_RUNS], *out[MAX_RUNS];
  aclrtStream stream;
  aclrtEvent start, end;
  pthread_t thread;
  uint32_t model = 0;
  aclmdlDesc *desc;
  size_t size, index, inputs;
  float elapsed = 0;
  int count, i;

  if (argc < 5) return 2;
  count = atoi(argv[3]);
  if (count < 1 || count > MAX_RUNS) return 2;
  CALL(aclInit(NULL));
  CALL(aclrtSetDevice(0));
  CALL(aclrtCreateContext(&context, 0));
  CALL(aclrtCreateStream(&stream));
  CALL(aclmdlLoadFromFile(argv[1], &model));
  desc = aclmdlCreateDesc();
  CALL(aclmdlGetDesc(desc, model));
  inputs = aclmdlGetNumInputs(desc);
  if (pthread_create(&thread, NULL, process_callbacks, NULL) != 0) return 3;
  CALL(aclrtSubscribeReport((uint64_t)thread, stream));
  CALL(aclrtCreateEvent(&start));
  CALL(aclrtCreateEvent(&end));

  for (i = 0; i < count; ++i) {
    in[i] = aclmdlCreateDataset();
    out[i] = aclmdlCreateDataset();
    for (index = 0; index < inputs; ++index) {
      void *device;
      char *content;
      size = aclmdlGetInputSizeByIndex(desc, index);
      content = read_input((int)(4 + index) < argc ? argv[4 + index] : "-", size);
      CALL(aclrtMalloc(&device, size, ACL_MEM_MALLOC_HUGE_FIRST));
      CALL(aclrtMemcpy(device, size, content, size, ACL_MEMCPY_HOST_TO_DEVICE));
      free(content);
      CALL(aclmdlAddDatasetBuffer(in[i], aclCreateDataBuffer(device, size)));
    }
    for (index = 0; index < aclmdlGetNumOutputs(desc); ++index) {
      void *device;
      size = aclmdlGetOutputSizeByIndex(desc, index);
      CALL(aclrtMalloc(&device, size, ACL_MEM_MALLOC_HUGE_FIRST));
      CALL(aclmdlAddDatasetBuffer(out[i], aclCreateDataBuffer(device, size)));
      if (index > 0) continue;
      runs[i].size = size;
      runs[i].device = device;
      runs[i].host = (char *)calloc(1, size);
    }
  }
  CALL(aclrtRecordEvent(start, stream));
  for (i = 0; i < count; ++i) {
    CALL(aclmdlExecuteAsync(model, in[i], out[i], stream));
    CALL(aclrtLaunchCallback(on_done, &runs[i], ACL_CALLBACK_BLOCK, stream));
  }
  CALL(aclrtRecordEvent(end, stream));
  CALL(aclrtSynchronizeStream(stream));
  CALL(aclrtEventElapsedTime(&elapsed, start, end));
  CALL(aclrtUnSubscribeReport((uint64_t)thread, stream));
  quit = 1;
  pthread_join(thread, NULL);
  for (i = 0; i < count; ++i) {
    if (!runs[i].done) {
      fprintf(stderr, "callback %d did not run\n", i);
      return 1;
    }
  }
  printf("elapsed %.6f ms for %d runs\n", (double)elapsed, count);
  write_output(argv[2], runs[count - 1].host, runs[count - 1].size);

  for (i = 0; i < count; ++i) {
    aclmdlDataset *sets[2];
    int which;
    sets[0] = in[i];
    sets[1] = out[i];
    for (which = 0; which < 2; ++which) {
      for (index = 0; index < aclmdlGetDatasetNumBuffers(sets[which]); ++index) {
        aclDataBuffer *buffer = aclmdlGetDatasetBuffer(sets[which], index);
        CALL(aclrtFree(aclGetDataBufferAddr(buffer)));
        CALL(aclDestroyDataBuffer(buffer));
      }
      CALL(aclmdlDestroyDataset(sets[which]));
    }
    free(runs[i].host);
  }
  CALL(aclrtDestroyEvent(start));
  CALL(aclrtDestroyEvent(end));
  CALL(aclmdlUnload(model));
  CALL(aclmdlDestroyDesc(desc));
  CALL(aclrtDestroyStream(stream));
  CALL(aclrtDestroyContext(context));
  CALL(aclrtResetDevice(0));
  CALL(aclFinalize());
  printf("success\n");
  return 0;
}
