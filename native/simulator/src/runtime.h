// State of the simulated machine: devices, contexts, streams, events, memory. One instance per process.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "acl/acl.h"
#include "clock.h"
#include "errors.h"
#include "handles.h"
#include "settings.h"

namespace ascendsim {

struct Device;
struct Context;
class Model;

/** What a task of a stream gets to know when it runs. */
struct TaskInfo {
  uint64_t submitNs;   // device time when the host enqueued it
  uint64_t wallNs;     // wall clock of the same moment
  uint32_t taskId;
};

/** An in-order queue of device work, executed by its own thread (started with the first task). */
class Stream : public std::enable_shared_from_this<Stream> {
 public:
  Stream(Context &context, int32_t id, uint32_t priority, uint32_t flags);
  ~Stream();
  Stream(const Stream &) = delete;
  Stream &operator=(const Stream &) = delete;

  /**
   * Appends a task; its return value other than 0 is reported by the next synchronisation. `cancel` is called instead
   * when the task is discarded, so that nobody waits for it for ever.
   */
  using Task = std::function<int(Stream &, const TaskInfo &)>;
  void enqueue(Task task, std::function<void()> cancel = nullptr);

  /** Waits for all tasks (timeoutMs < 0: for ever). False on timeout. */
  bool drain(int32_t timeoutMs);
  /** First failure since the last call, with its message; 0 when none. */
  int takeError(std::string &message);
  bool idle();
  /** Discards what has not started and ends the thread after the task in progress; waits for it. */
  void stop();
  /** Discards what has not started. */
  void abort();
  bool stopping() const { return stopping_.load(); }

  /** For tasks: books modelled time, runs `body`, and waits until its end when pacing is on. */
  int runTimed(const TaskInfo &info, Engine engine, uint64_t durationNs, const std::function<int()> &body);
  /** For tasks: the stream's own time, not before the task was submitted. */
  uint64_t timeAt(const TaskInfo &info);
  /** For tasks: later tasks start no earlier than `time`. */
  void advanceTo(uint64_t time);
  uint64_t timeNs();
  /** For tasks: keeps the message of a failure for takeError(). */
  void setErrorMessage(const std::string &message);

  const int32_t id;
  const uint32_t priority;
  const uint32_t flags;
  const std::weak_ptr<Context> context;
  Device &device;
  std::atomic<uint64_t> subscriber{0};  // thread that processes callbacks, 0 = none

 private:
  struct Entry {
    Task task;
    TaskInfo info;
    std::function<void()> cancel;
  };
  void work();
  static void discard(std::deque<Entry> &entries);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  std::deque<Entry> queue_;
  std::thread worker_;
  bool busy_ = false;
  std::atomic<bool> stopping_{false};
  uint64_t timeNs_ = 0;
  uint64_t pacedUntil_ = 0;
  int error_ = 0;
  std::string errorMessage_;
};

/** A point in the work of a stream. */
struct Event {
  enum class Kind { Plain, WithFlag, ExWithFlag };
  Kind kind = Kind::Plain;
  uint32_t flags = 0;
  uint32_t id = 0;
  int32_t deviceId = 0;
  std::mutex mutex;
  std::condition_variable changed;
  uint64_t recordCount = 0;     // records asked for
  uint64_t completedCount = 0;  // records reached by their stream
  uint64_t resetCount = 0;      // value of recordCount at the last completed reset
  uint32_t pendingWaits = 0;
  uint64_t timeNs = 0;

  bool timed() const { return kind == Kind::Plain || (flags & ACL_EVENT_TIME_LINE) != 0; }
  bool recorded() const { return recordCount > resetCount; }
  bool complete() const { return recorded() && completedCount >= recordCount; }
};

struct Context : std::enable_shared_from_this<Context> {
  Context(Device &owner, bool isDefault) : device(owner), isDefault(isDefault) {}
  Device &device;
  const bool isDefault;
  std::atomic<bool> alive{true};
  aclrtContext handle = nullptr;
  aclrtStream defaultStreamHandle = nullptr;
  std::shared_ptr<Stream> defaultStream;
};

/** A piece of device or page-locked host memory. It is freed when the last task that uses it is done. */
struct Allocation {
  Allocation(uintptr_t base, size_t capacity, uint64_t accounted, int32_t device)
      : base(base), capacity(capacity), accounted(accounted), device(device) {}
  ~Allocation();
  Allocation(const Allocation &) = delete;
  Allocation &operator=(const Allocation &) = delete;
  const uintptr_t base;
  const size_t capacity;
  const uint64_t accounted;  // bytes of device memory charged, 0 for host memory
  const int32_t device;      // -1 for page-locked host memory
};

/** All allocations by address. */
class AllocationMap {
 public:
  void add(std::shared_ptr<Allocation> allocation);
  /** The allocation that contains `pointer`, or null. */
  std::shared_ptr<Allocation> find(const void *pointer) const;
  /** Removes the allocation that starts at `pointer`. */
  std::shared_ptr<Allocation> take(const void *pointer, bool device);
  std::vector<std::shared_ptr<Allocation>> takeDevice(int32_t device);
  bool empty() const;

 private:
  mutable std::mutex mutex_;
  std::map<uintptr_t, std::shared_ptr<Allocation>> live_;
};

struct Device {
  Device(int32_t id, uint64_t capacity) : id(id), capacity(capacity) {}
  const int32_t id;
  const uint64_t capacity;
  DeviceClock clock;

  /** Charges `bytes` of device memory; false when it does not fit. */
  bool charge(uint64_t bytes);
  void release(uint64_t bytes);
  uint64_t used() const;
  uint64_t peak() const;

  // Guarded by Runtime::mutex.
  uint64_t references = 0;  // aclrtSetDevice minus aclrtResetDevice
  uint64_t contexts = 0;    // explicit contexts
  std::shared_ptr<Context> defaultContext;
  // For the utilisation query.
  std::mutex utilisationMutex;
  uint64_t utilisationWallNs = 0;
  uint64_t utilisationBusyNs = 0;

 private:
  mutable std::mutex memoryMutex_;
  uint64_t used_ = 0;
  uint64_t peak_ = 0;
};

struct ExceptionRecord {
  uint32_t taskId, streamId, threadId, deviceId, errorCode;
};

class Runtime {
 public:
  Runtime();
  Settings settings;
  std::vector<std::unique_ptr<Device>> devices;
  std::mutex mutex;  // life of devices and contexts, initialisation count
  uint64_t initCount = 0;
  uint64_t spareFinalizes = 0;  // aclFinalize calls still accepted: one per aclInit, on product lines that count them
  HandleTable<Context> contexts{HandleKind::Context};
  HandleTable<Stream> streams{HandleKind::Stream};
  HandleTable<Event> events{HandleKind::Event};
  HandleTable<ExceptionRecord> exceptions{HandleKind::ExceptionInfo};
  AllocationMap allocations;
  std::atomic<aclrtExceptionInfoCallback> exceptionCallback{nullptr};
  std::atomic<int32_t> streamCount{0};
  std::atomic<uint32_t> eventCount{0};
  std::atomic<uint32_t> taskCount{0};

  std::mutex modelsMutex;
  uint32_t modelCount = 0;
  std::map<uint32_t, std::shared_ptr<Model>> models;

  bool initialised();
  /** Reads the environment again, unless something is in use. Call with `mutex` held. */
  void refreshSettings();
  /** Device by id, or null. */
  Device *device(int64_t id);
};

/** The one instance; never destroyed, as threads may outlive static destructors. */
Runtime &runtime();

/** The calling thread's context when it is alive, else null. */
std::shared_ptr<Context> currentContext();

/** The calling thread's context. Without one returns null with `status` set and the message recorded. */
std::shared_ptr<Context> requireContext(const char *where, int &status);
void setCurrentContext(std::shared_ptr<Context> context);

/**
 * Stream for a handle: null means the default stream of the current context. On failure returns null with `status`
 * set (no context, not a stream, stream of another context) and the message recorded.
 */
std::shared_ptr<Stream> resolveStream(aclrtStream handle, const char *where, int &status);

/** Refuses a timeout that is neither -1 (for ever) nor positive. In milliseconds. */
int checkTimeout(int32_t timeout, const char *where);

/** Makes a stream of `context` and its handle. */
std::shared_ptr<Stream> makeStream(Context &context, uint32_t priority, uint32_t flags, aclrtStream *handle);

/** Stops the streams of a context and unloads its models. */
void tearDown(const std::shared_ptr<Context> &context, bool force);

/** Device memory of `size` bytes. On failure null with `status` set and the message recorded. */
std::shared_ptr<Allocation> allocateDevice(Device &device, size_t size, int policy, bool slack, const char *where,
                                           int &status);
/** Returns an allocation's bytes to its device. */
void releaseDevice(const Allocation &allocation);

/** Makes a call of modelled length: books it, runs `body`, waits for its end when pacing is on. */
int runSynchronously(Device &device, Engine engine, uint64_t durationNs, const std::function<int()> &body);

/** Tells the application's exception callback about a failed task. */
void reportException(const ExceptionRecord &record);

}  // namespace ascendsim

/** Fetches the current context or returns 107002. */
#define ACL_CONTEXT(name)                                                              \
  int name##Status = ::ascendsim::kSuccess;                                            \
  const std::shared_ptr<::ascendsim::Context> name =                                   \
      ::ascendsim::requireContext(__func__, name##Status);                             \
  if (name == nullptr) return name##Status;
