// A model with an `Observe` operator behind every wanted tensor. Its values are counted where they are, while the model
// runs; nothing but statistics leaves the runtime.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ort_slots.h"
#include "statistics.h"
#include "task_thread.h"
#include "weights.h"

namespace observer {

/** Domain of the operator, and the attribute that says which probe a node feeds. */
constexpr char kDomain[] = "aqw";
constexpr char kOperator[] = "Observe";
constexpr char kProbeAttribute[] = "probe";

struct OpenOptions {
  int threads;               // 0: ONNX Runtime's default
  int optimization;          // GraphOptimizationLevel
  std::string skipped;       // optimizers that are left out, separated by semicolons
  std::string weightsFolder; // where locations of external data start
  bool frugal;               // no second copy of weights in the layout of kernels, no buffers kept for the next run
};

/** Failures come back as texts, "" being success. Functions are for one thread at a time, but `terminate`. */
class Session {
 public:
  static std::unique_ptr<Session> create(std::string &error);
  ~Session();
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;

  Weights &weights() { return weights_; }
  int addProbe(const Wanted &wanted);
  TensorStatistics *probe(int index);

  /** Loads the model; one that is already open is closed first. Statistics stay. */
  std::string open(const void *model, size_t bytes, const OpenOptions &options);
  /** Copies the values of an input for the runs to come. */
  void setInput(const std::string &name, int element, std::vector<int64_t> dims, const void *data, size_t bytes);
  std::string run();
  /** Makes the running `run` end early, and every later one. */
  void terminate();
  /** Probes in the order in which the last run reached them. */
  const std::vector<int> &order() const { return order_; }

  /** Called by the operator. */
  OrtStatus *observe(int64_t probe, OrtKernelContext *context);
  const OrtApi *api() const { return api_; }

 private:
  struct Operator;
  struct Input {
    int element;
    std::vector<int64_t> dims;
    std::vector<uint64_t> data;
    size_t bytes;
  };

  Session() = default;
  std::string registerOperator();
  std::string load(const void *model, size_t bytes, const OpenOptions &options);
  std::string configure(OrtSessionOptions *options, const OpenOptions &wanted);
  std::string addWeights(OrtSessionOptions *options);
  std::string readNames();
  std::string execute();
  void close();

  const OrtApi *api_ = nullptr;
  OrtEnv *environment_ = nullptr;
  OrtMemoryInfo *memory_ = nullptr;
  OrtRunOptions *runOptions_ = nullptr;
  OrtCustomOpDomain *domain_ = nullptr;
  OrtSession *session_ = nullptr;
  std::unique_ptr<Operator> operator_;
  Weights weights_;
  std::vector<OrtValue *> weightValues_;
  std::vector<std::unique_ptr<TensorStatistics>> probes_;
  std::map<std::string, Input> inputs_;
  std::vector<std::string> inputNames_;
  std::vector<std::string> outputNames_;
  std::vector<int> order_;
  std::vector<float> widened_;
  std::unique_ptr<Scratch> scratch_;
  TaskThread thread_;
};

}  // namespace observer
