// Streams, events, callbacks and asynchronous execution.
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "harness.h"

using namespace harness;

namespace {

struct Stream {
  Stream() { CHECK_EQ(aclrtCreateStream(&handle), ACL_SUCCESS); }
  ~Stream() { CHECK_EQ(aclrtDestroyStream(handle), ACL_SUCCESS); }
  aclrtStream handle = nullptr;
};

struct Event {
  Event() { CHECK_EQ(aclrtCreateEvent(&handle), ACL_SUCCESS); }
  ~Event() { CHECK_EQ(aclrtDestroyEvent(handle), ACL_SUCCESS); }
  aclrtEvent handle = nullptr;
};

std::atomic<bool> gateOpen{false};

void waitForGate(void *) {
  while (!gateOpen.load()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace

TEST(asynchronous_execution_keeps_the_order_of_its_stream) {
  Session session;
  Loaded model(session, build::addModel());
  Buffers io(model);
  Stream stream;
  float *host = nullptr;
  CHECK_EQ(aclrtMallocHost(reinterpret_cast<void **>(&host), 16), ACL_SUCCESS);
  for (int i = 0; i < 4; ++i) host[i] = static_cast<float>(10 * i);
  void *in = aclGetDataBufferAddr(aclmdlGetDatasetBuffer(io.inputs, 0));
  void *out = aclGetDataBufferAddr(aclmdlGetDatasetBuffer(io.outputs, 0));
  CHECK_EQ(aclrtMemcpyAsync(in, 16, host, 16, ACL_MEMCPY_HOST_TO_DEVICE, stream.handle), ACL_SUCCESS);
  CHECK_EQ(aclmdlExecuteAsync(model.id, io.inputs, io.outputs, stream.handle), ACL_SUCCESS);
  // The result of the first run is the input of the second.
  CHECK_EQ(aclrtMemcpyAsync(in, 16, out, 16, ACL_MEMCPY_DEVICE_TO_DEVICE, stream.handle), ACL_SUCCESS);
  CHECK_EQ(aclmdlExecuteAsync(model.id, io.inputs, io.outputs, stream.handle), ACL_SUCCESS);
  CHECK_EQ(aclrtMemcpyAsync(host, 16, out, 16, ACL_MEMCPY_DEVICE_TO_HOST, stream.handle), ACL_SUCCESS);
  CHECK_EQ(aclrtSynchronizeStream(stream.handle), ACL_SUCCESS);
  CHECK_EQ(host[0], 2.0f);
  CHECK_EQ(host[3], 38.0f);
  CHECK_EQ(aclrtFreeHost(host), ACL_SUCCESS);
}

TEST(memory_freed_before_its_task_is_kept_until_then) {
  Session session;
  Stream stream;
  gateOpen.store(false);
  CHECK_EQ(aclrtLaunchHostFunc(stream.handle, waitForGate, nullptr), ACL_SUCCESS);
  void *device = nullptr;
  CHECK_EQ(aclrtMalloc(&device, 1 << 20, ACL_MEM_MALLOC_NORMAL_ONLY), ACL_SUCCESS);
  CHECK_EQ(aclrtMemsetAsync(device, 1 << 20, 7, 1 << 20, stream.handle), ACL_SUCCESS);
  CHECK_EQ(aclrtFree(device), ACL_SUCCESS);
  gateOpen.store(true);
  CHECK_EQ(aclrtSynchronizeStream(stream.handle), ACL_SUCCESS);
}

TEST(events_measure_device_time) {
  Session session;
  Loaded model(session, build::addModel());
  Buffers io(model);
  Stream stream;
  Event start, end;
  CHECK_EQ(aclrtRecordEvent(start.handle, stream.handle), ACL_SUCCESS);
  for (int i = 0; i < 3; ++i) CHECK_EQ(aclmdlExecuteAsync(model.id, io.inputs, io.outputs, stream.handle), ACL_SUCCESS);
  CHECK_EQ(aclrtRecordEvent(end.handle, stream.handle), ACL_SUCCESS);
  CHECK_EQ(aclrtSynchronizeStream(stream.handle), ACL_SUCCESS);
  float ms = 0;
  CHECK_EQ(aclrtEventElapsedTime(&ms, start.handle, end.handle), ACL_SUCCESS);
  CHECK_EQ(ms, 7.5f);
  EXPECT_FAILURE(aclrtEventElapsedTime(&ms, end.handle, start.handle), 107007, "before");
  uint64_t first = 0, last = 0;
  CHECK_EQ(aclrtEventGetTimestamp(start.handle, &first), ACL_SUCCESS);
  CHECK_EQ(aclrtEventGetTimestamp(end.handle, &last), ACL_SUCCESS);
  CHECK_EQ(last - first, uint64_t{7500});
  Event unused;
  EXPECT_FAILURE(aclrtEventElapsedTime(&ms, start.handle, unused.handle), 107006, "not been recorded");
}

TEST(synchronous_execution_lies_between_events_of_the_default_stream) {
  Session session;
  Loaded model(session, build::addModel());
  Buffers io(model);
  Event start, end;
  CHECK_EQ(aclrtRecordEvent(start.handle, nullptr), ACL_SUCCESS);
  CHECK_EQ(aclrtSynchronizeEvent(start.handle), ACL_SUCCESS);
  CHECK_EQ(aclmdlExecute(model.id, io.inputs, io.outputs), ACL_SUCCESS);
  CHECK_EQ(aclrtRecordEvent(end.handle, nullptr), ACL_SUCCESS);
  CHECK_EQ(aclrtSynchronizeEvent(end.handle), ACL_SUCCESS);
  float ms = 0;
  CHECK_EQ(aclrtEventElapsedTime(&ms, start.handle, end.handle), ACL_SUCCESS);
  CHECK_EQ(ms, 2.5f);
}

TEST(event_status_has_two_opposite_numberings) {
  Session session;
  Stream stream;
  Event event;
  aclrtEventRecordedStatus recorded = ACL_EVENT_RECORDED_STATUS_COMPLETE;
  aclrtEventStatus old = ACL_EVENT_STATUS_COMPLETE;
  CHECK_EQ(aclrtQueryEventStatus(event.handle, &recorded), ACL_SUCCESS);
  CHECK_EQ(static_cast<int>(recorded), 0);
  gateOpen.store(false);
  CHECK_EQ(aclrtLaunchHostFunc(stream.handle, waitForGate, nullptr), ACL_SUCCESS);
  CHECK_EQ(aclrtRecordEvent(event.handle, stream.handle), ACL_SUCCESS);
  CHECK_EQ(aclrtQueryEvent(event.handle, &old), ACL_SUCCESS);
  CHECK_EQ(static_cast<int>(old), 1);
  aclrtStreamStatus status = ACL_STREAM_STATUS_COMPLETE;
  CHECK_EQ(aclrtStreamQuery(stream.handle, &status), ACL_SUCCESS);
  CHECK_EQ(static_cast<int>(status), 1);
  float ms = 0;
  EXPECT_FAILURE(aclrtEventElapsedTime(&ms, event.handle, event.handle), 507006, "not complete");
  EXPECT_FAILURE(aclrtSynchronizeEventWithTimeout(event.handle, 5), 507047, "5 ms");
  EXPECT_FAILURE(aclrtSynchronizeStreamWithTimeout(stream.handle, 5), 507046, "5 ms");
  EXPECT_FAILURE(aclrtSynchronizeDeviceWithTimeout(5), 507046, "5 ms");
  EXPECT_FAILURE(aclrtSynchronizeStreamWithTimeout(stream.handle, 0), 107000, "timeout");
  EXPECT_FAILURE(aclrtSynchronizeStreamWithTimeout(stream.handle, -2), 107000, "timeout");
  gateOpen.store(true);
  CHECK_EQ(aclrtSynchronizeStreamWithTimeout(stream.handle, 60'000), ACL_SUCCESS);
  CHECK_EQ(aclrtQueryEventStatus(event.handle, &recorded), ACL_SUCCESS);
  CHECK_EQ(static_cast<int>(recorded), 1);
  CHECK_EQ(aclrtQueryEvent(event.handle, &old), ACL_SUCCESS);
  CHECK_EQ(static_cast<int>(old), 0);
  CHECK_EQ(aclrtSynchronizeDevice(), ACL_SUCCESS);
}

TEST(event_kinds_have_their_limits) {
  Session session;
  aclrtEvent ex = nullptr;
  aclrtEvent plainFlag = nullptr;
  CHECK_EQ(aclrtCreateEventExWithFlag(&ex, ACL_EVENT_TIME_LINE), ACL_SUCCESS);
  CHECK_EQ(aclrtCreateEventWithFlag(&plainFlag, ACL_EVENT_TIME_LINE), ACL_SUCCESS);
  aclrtEventRecordedStatus recorded = ACL_EVENT_RECORDED_STATUS_NOT_READY;
  CHECK_EQ(aclrtQueryEventStatus(ex, &recorded), ACL_SUCCESS);
  CHECK_EQ(static_cast<int>(recorded), 1);
  aclrtEventStatus old;
  EXPECT_FAILURE(aclrtQueryEvent(ex, &old), 107000, "aclrtQueryEventStatus");
  EXPECT_FAILURE(aclrtResetEvent(ex, nullptr), 107000, "reset");
  EXPECT_FAILURE(aclrtStreamWaitEvent(nullptr, plainFlag), 107000, "ACL_EVENT_SYNC");
  EXPECT_FAILURE(aclrtCreateEventWithFlag(&plainFlag, 0x80000000u), 107000, "flag");
  CHECK_EQ(aclrtDestroyEvent(ex), ACL_SUCCESS);
  CHECK_EQ(aclrtDestroyEvent(plainFlag), ACL_SUCCESS);
  EXPECT_FAILURE(aclrtDestroyEvent(ex), 107017, "destroyed");
  EXPECT_FAILURE(aclrtRecordEvent(ex, nullptr), 107017, "destroyed");
  Event never;
  EXPECT_FAILURE(aclrtSynchronizeEvent(never.handle), 107000, "not been recorded");
}

TEST(streams_wait_for_events_of_other_streams) {
  Session session;
  Loaded model(session, build::addModel());
  Buffers io(model);
  Stream producer, consumer;
  Event done, start, end;
  CHECK_EQ(aclrtRecordEvent(start.handle, producer.handle), ACL_SUCCESS);
  CHECK_EQ(aclmdlExecuteAsync(model.id, io.inputs, io.outputs, producer.handle), ACL_SUCCESS);
  CHECK_EQ(aclrtRecordEvent(done.handle, producer.handle), ACL_SUCCESS);
  CHECK_EQ(aclrtStreamWaitEvent(consumer.handle, done.handle), ACL_SUCCESS);
  CHECK_EQ(aclmdlExecuteAsync(model.id, io.inputs, io.outputs, consumer.handle), ACL_SUCCESS);
  CHECK_EQ(aclrtRecordEvent(end.handle, consumer.handle), ACL_SUCCESS);
  CHECK_EQ(aclrtSynchronizeStream(consumer.handle), ACL_SUCCESS);
  float ms = 0;
  CHECK_EQ(aclrtEventElapsedTime(&ms, start.handle, end.handle), ACL_SUCCESS);
  CHECK_EQ(ms, 5.0f);
  aclrtEventWaitStatus waiting = ACL_EVENT_WAIT_STATUS_NOT_READY;
  CHECK_EQ(aclrtQueryEventWaitStatus(done.handle, &waiting), ACL_SUCCESS);
  CHECK_EQ(static_cast<int>(waiting), 0);
  CHECK_EQ(aclrtResetEvent(done.handle, consumer.handle), ACL_SUCCESS);
  CHECK_EQ(aclrtSynchronizeStream(consumer.handle), ACL_SUCCESS);
  aclrtEventRecordedStatus recorded = ACL_EVENT_RECORDED_STATUS_COMPLETE;
  CHECK_EQ(aclrtQueryEventStatus(done.handle, &recorded), ACL_SUCCESS);
  CHECK_EQ(static_cast<int>(recorded), 0);
}

TEST(waiting_for_an_event_that_never_comes_can_be_given_up) {
  Session session;
  aclrtStream stream = nullptr;
  CHECK_EQ(aclrtCreateStream(&stream), ACL_SUCCESS);
  Event never;
  CHECK_EQ(aclrtStreamWaitEvent(stream, never.handle), ACL_SUCCESS);
  EXPECT_FAILURE(aclrtSynchronizeStreamWithTimeout(stream, 10), 507046, "10 ms");
  CHECK_EQ(aclrtDestroyStreamForce(stream), ACL_SUCCESS);
  EXPECT_FAILURE(aclrtDestroyStream(stream), 107017, "destroyed");
}

TEST(aborted_stream_leaves_nobody_waiting) {
  Session session;
  Stream stream;
  Event event;
  gateOpen.store(false);
  CHECK_EQ(aclrtLaunchHostFunc(stream.handle, waitForGate, nullptr), ACL_SUCCESS);
  CHECK_EQ(aclrtRecordEvent(event.handle, stream.handle), ACL_SUCCESS);
  Event never;
  CHECK_EQ(aclrtStreamWaitEvent(stream.handle, never.handle), ACL_SUCCESS);
  CHECK_EQ(aclrtStreamAbort(stream.handle), ACL_SUCCESS);
  CHECK_EQ(aclrtSynchronizeEvent(event.handle), ACL_SUCCESS);
  aclrtEventWaitStatus waiting = ACL_EVENT_WAIT_STATUS_NOT_READY;
  CHECK_EQ(aclrtQueryEventWaitStatus(never.handle, &waiting), ACL_SUCCESS);
  CHECK_EQ(static_cast<int>(waiting), 0);
  gateOpen.store(true);
  CHECK_EQ(aclrtSynchronizeStream(stream.handle), ACL_SUCCESS);
}

TEST(streams_belong_to_their_context) {
  Session session;
  aclrtContext own = nullptr;
  CHECK_EQ(aclrtGetCurrentContext(&own), ACL_SUCCESS);
  Stream stream;
  aclrtContext other = nullptr;
  CHECK_EQ(aclrtCreateContext(&other, 0), ACL_SUCCESS);
  EXPECT_FAILURE(aclrtSynchronizeStream(stream.handle), 107003, "current context");
  EXPECT_FAILURE(aclrtDestroyStream(stream.handle), 107003, "current context");
  CHECK_EQ(aclrtDestroyContext(other), ACL_SUCCESS);
  CHECK_EQ(aclrtSetCurrentContext(own), ACL_SUCCESS);
  aclrtStream defaultStream = nullptr;
  CHECK_EQ(aclrtCtxGetCurrentDefaultStream(&defaultStream), ACL_SUCCESS);
  EXPECT_FAILURE(aclrtDestroyStream(defaultStream), 107000, "default stream");
  int32_t id = -1;
  CHECK_EQ(aclrtStreamGetId(stream.handle, &id), ACL_SUCCESS);
  aclrtStream configured = nullptr;
  CHECK_EQ(aclrtCreateStreamWithConfig(&configured, 3, 0x3), ACL_SUCCESS);
  uint32_t value = 0;
  CHECK_EQ(aclrtStreamGetPriority(configured, &value), ACL_SUCCESS);
  CHECK_EQ(value, 3u);
  CHECK_EQ(aclrtStreamGetFlags(configured, &value), ACL_SUCCESS);
  CHECK_EQ(value, 3u);
  CHECK_EQ(aclrtDestroyStream(configured), ACL_SUCCESS);
  EXPECT_FAILURE(aclrtCreateStreamWithConfig(&configured, 8, 0), 107000, "priority");
}

TEST(device_has_a_limited_number_of_streams) {
  Session session("ASCENDSIM_SOC", "Ascend310B4");
  std::vector<aclrtStream> streams;
  aclrtStream stream = nullptr;
  uint32_t available = 0;
  CHECK_EQ(aclrtGetStreamAvailableNum(&available), ACL_SUCCESS);
  for (uint32_t i = 0; i < available; ++i) {
    CHECK_EQ(aclrtCreateStream(&stream), ACL_SUCCESS);
    streams.push_back(stream);
  }
  EXPECT_FAILURE(aclrtCreateStream(&stream), 207008, "512");
  for (aclrtStream each : streams) CHECK_EQ(aclrtDestroyStream(each), ACL_SUCCESS);
}

TEST(failures_of_asynchronous_tasks_are_reported_by_the_next_synchronisation) {
  Session session;
  build::Om om = build::addModel();
  om.payload = build::Onnx()
                   .input("x", build::kOnnxFloat, {1, 4})
                   .output("y", build::kOnnxFloat, {1, 4})
                   .initializer("s", build::kOnnxFloat, {3}, build::floats({1, 2, 3}))
                   .node("Cast", {"x"}, "i", {build::intAttribute("to", build::kOnnxInt32)})
                   .node("AscendDequant", {"i", "s"}, "y", {}, "ascendsim")
                   .bytes();
  Loaded model(session, om);
  Buffers io(model);
  Stream stream;
  static std::atomic<uint32_t> seen{0};
  seen.store(0);
  CHECK_EQ(aclrtSetExceptionInfoCallback([](aclrtExceptionInfo *info) {
             if (aclrtGetDeviceIdFromExceptionInfo(info) == 0) seen.store(aclrtGetErrorCodeFromExceptionInfo(info));
           }),
           ACL_SUCCESS);
  CHECK_EQ(aclmdlExecuteAsync(model.id, io.inputs, io.outputs, stream.handle), ACL_SUCCESS);
  EXPECT_FAILURE(aclrtSynchronizeStream(stream.handle), 507011, "number of scales");
  CHECK_EQ(seen.load(), 507011u);
  CHECK_EQ(aclrtPeekAtLastError(ACL_RT_THREAD_LEVEL), 507011);
  CHECK_EQ(aclrtGetLastError(ACL_RT_THREAD_LEVEL), 507011);
  CHECK_EQ(aclrtGetLastError(ACL_RT_THREAD_LEVEL), 0);
  CHECK_EQ(aclrtSynchronizeStream(stream.handle), ACL_SUCCESS);
  CHECK_EQ(aclrtSetExceptionInfoCallback(nullptr), ACL_SUCCESS);
  CHECK_EQ(aclrtGetTaskIdFromExceptionInfo(nullptr), 0xFFFFFFFFu);
  takeMessage();
}

TEST(callbacks_run_on_the_subscribed_thread) {
  Session session;
  Stream stream;
  EXPECT_FAILURE(aclrtProcessReport(10), 107012, "subscribed");
  EXPECT_FAILURE(aclrtLaunchCallback([](void *) {}, nullptr, ACL_CALLBACK_BLOCK, stream.handle), 107015, "SubscribeReport");
  static std::atomic<int> calls{0};
  static std::atomic<uint64_t> ranOn{0};
  calls.store(0);
  std::atomic<bool> quit{false};
  std::thread worker([&quit] {
    while (!quit.load()) {
      const int status = aclrtProcessReport(20);
      if (status != ACL_SUCCESS) CHECK(status == 507012 || status == 107012);
      if (status == 107012) std::this_thread::yield();
    }
  });
  const uint64_t id = static_cast<uint64_t>(worker.native_handle());
  CHECK_EQ(aclrtSubscribeReport(id, stream.handle), ACL_SUCCESS);
  for (int i = 0; i < 10; ++i) {
    const auto body = [](void *argument) {
      *static_cast<int *>(argument) += 1;
      ranOn.store(static_cast<uint64_t>(pthread_self()));
      calls.fetch_add(1);
    };
    static int total = 0;
    CHECK_EQ(aclrtLaunchCallback(body, &total, i % 2 == 0 ? ACL_CALLBACK_BLOCK : ACL_CALLBACK_NO_BLOCK, stream.handle),
             ACL_SUCCESS);
  }
  CHECK_EQ(aclrtSynchronizeStream(stream.handle), ACL_SUCCESS);
  while (calls.load() < 10) std::this_thread::yield();
  CHECK_EQ(ranOn.load(), id);
  CHECK_EQ(aclrtUnSubscribeReport(id, stream.handle), ACL_SUCCESS);
  EXPECT_FAILURE(aclrtUnSubscribeReport(id, stream.handle), 107012, "not subscribed");
  EXPECT_FAILURE(aclrtProcessReport(0), 100000, "timeout");
  quit.store(true);
  worker.join();
}

TEST(host_functions_run_in_stream_order) {
  Session session;
  Stream stream;
  static std::vector<int> order;
  order.clear();
  static int numbers[] = {1, 2, 3};
  for (int &number : numbers) {
    CHECK_EQ(aclrtLaunchHostFunc(stream.handle, [](void *n) { order.push_back(*static_cast<int *>(n)); }, &number),
             ACL_SUCCESS);
  }
  CHECK_EQ(aclrtSynchronizeStream(stream.handle), ACL_SUCCESS);
  CHECK(order == std::vector<int>({1, 2, 3}));
}

TEST(unloading_a_model_does_not_disturb_what_is_queued) {
  Session session;
  const std::string om = build::addModel().bytes();
  uint32_t id = 0;
  CHECK_EQ(aclmdlLoadFromMem(om.data(), om.size(), &id), ACL_SUCCESS);
  Stream stream;
  gateOpen.store(false);
  CHECK_EQ(aclrtLaunchHostFunc(stream.handle, waitForGate, nullptr), ACL_SUCCESS);
  aclmdlDataset *in = aclmdlCreateDataset();
  aclmdlDataset *out = aclmdlCreateDataset();
  Buffers::add(in, 16);
  Buffers::add(out, 16);
  CHECK_EQ(aclmdlExecuteAsync(id, in, out, stream.handle), ACL_SUCCESS);
  CHECK_EQ(aclmdlUnload(id), ACL_SUCCESS);
  for (aclmdlDataset *set : {in, out}) {
    aclDataBuffer *buffer = aclmdlGetDatasetBuffer(set, 0);
    CHECK_EQ(aclrtFree(aclGetDataBufferAddr(buffer)), ACL_SUCCESS);
    CHECK_EQ(aclDestroyDataBuffer(buffer), ACL_SUCCESS);
    CHECK_EQ(aclmdlDestroyDataset(set), ACL_SUCCESS);
  }
  gateOpen.store(true);
  CHECK_EQ(aclrtSynchronizeStream(stream.handle), ACL_SUCCESS);
}

TEST(execute_v2_takes_a_timeout) {
  Session session;
  Loaded model(session, build::addModel());
  Buffers io(model);
  Stream stream;
  aclmdlExecConfigHandle *config = aclmdlCreateExecConfigHandle();
  const int32_t timeout = 30;
  CHECK_EQ(aclmdlSetExecConfigOpt(config, ACL_MDL_STREAM_SYNC_TIMEOUT, &timeout, sizeof timeout), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlSetExecConfigOpt(config, ACL_MDL_STREAM_SYNC_TIMEOUT, &timeout, 8), 100000, "valueSize");
  gateOpen.store(false);
  CHECK_EQ(aclrtLaunchHostFunc(stream.handle, waitForGate, nullptr), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlExecuteV2(model.id, io.inputs, io.outputs, stream.handle, config), 507046, "30 ms");
  gateOpen.store(true);
  CHECK_EQ(aclmdlExecuteV2(model.id, io.inputs, io.outputs, stream.handle, nullptr), ACL_SUCCESS);
  CHECK_EQ(aclmdlExecuteAsyncV2(model.id, io.inputs, io.outputs, stream.handle, config), ACL_SUCCESS);
  CHECK_EQ(aclrtSynchronizeStream(stream.handle), ACL_SUCCESS);
  CHECK_EQ(aclmdlDestroyExecConfigHandle(config), ACL_SUCCESS);
  EXPECT_FAILURE(aclmdlExecuteV2(model.id, io.inputs, io.outputs, stream.handle, config), 100000, "exist");
}

TEST(many_threads_share_a_device) {
  Session session;
  aclrtContext context = nullptr;
  CHECK_EQ(aclrtGetCurrentContext(&context), ACL_SUCCESS);
  Loaded model(session, build::addModel());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      CHECK_EQ(aclrtSetCurrentContext(context), ACL_SUCCESS);
      Buffers io(model);
      for (int i = 0; i < 20; ++i) {
        const float base = static_cast<float>(100 * t + i);
        io.write(0, {base, base, base, base});
        CHECK_EQ(aclmdlExecute(model.id, io.inputs, io.outputs), ACL_SUCCESS);
        CHECK_EQ(io.read(0)[3], base + 4);
      }
    });
  }
  for (std::thread &thread : threads) thread.join();
}
