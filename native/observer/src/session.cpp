#include "session.h"

#include <algorithm>
#include <cstring>
#include <thread>

namespace observer {
namespace {

constexpr int kOrtFail = 1;             // OrtErrorCode ORT_FAIL
constexpr int kOrtInvalidArgument = 2;  // OrtErrorCode ORT_INVALID_ARGUMENT
constexpr int kErrorsOnly = 3;          // ORT_LOGGING_LEVEL_ERROR: warnings about foreign models stay out of the terminal
/** Threads that count at the same time: each has counters of its own. */
constexpr unsigned kCountingThreads = 4;

#define ORT_TRY(call)                                          \
  do {                                                         \
    std::string failure = takeOrtError(api_, call);            \
    if (!failure.empty()) return failure;                      \
  } while (false)

#define ORT_PASS(call)                       \
  do {                                       \
    OrtStatus *const failed = (call);        \
    if (failed != nullptr) return failed;    \
  } while (false)

/** Frees what a C function gave. */
template <class T>
class Owned {
 public:
  using Release = void (*)(const OrtApi *, T *);
  Owned(const OrtApi *api, Release release) : api_(api), release_(release) {}
  ~Owned() {
    if (value != nullptr) release_(api_, value);
  }
  Owned(const Owned &) = delete;
  Owned &operator=(const Owned &) = delete;
  T *value = nullptr;

 private:
  const OrtApi *api_;
  Release release_;
};

/** Values of one run; released when it ends, however it ends. */
struct Values {
  const OrtApi *api;
  std::vector<OrtValue *> list;
  ~Values() {
    for (OrtValue *value : list) {
      if (value != nullptr) ortReleaseValue(api, value);
    }
  }
};

struct Kernel {
  Session *session;
  int64_t probe;
};

/** Spreads work over the threads of ONNX Runtime. */
struct KernelParallel final : Parallel {
  const OrtApi *api;
  const OrtKernelContext *context;

  KernelParallel(const OrtApi *api, const OrtKernelContext *context) : api(api), context(context) {}
  void run(size_t parts, void (*body)(void *, size_t), void *argument) const override {
    OrtStatus *const status = ortParallelFor(api, context, body, parts, size_t{0}, argument);
    if (status == nullptr) return;
    ortReleaseStatus(api, status);
    for (size_t part = 0; part < parts; ++part) body(argument, part);
  }
};

unsigned countingThreads(int threads) {
  const unsigned available = threads > 0 ? static_cast<unsigned>(threads) : std::thread::hardware_concurrency();
  return std::max(1u, std::min(available, kCountingThreads));
}

}  // namespace

struct Session::Operator {
  OrtCustomOp base;  // first member: ORT hands back a pointer to it
  Session *session;

  static OrtStatus *createKernel(const OrtCustomOp *base, const OrtApi *api, const OrtKernelInfo *info, void **result) {
    int64_t probe = 0;
    ORT_PASS(ortAttributeInt(api, info, kProbeAttribute, &probe));
    *result = new Kernel{reinterpret_cast<const Operator *>(base)->session, probe};
    return nullptr;
  }
  static OrtStatus *compute(void *kernel, OrtKernelContext *context) {
    const Kernel &own = *static_cast<Kernel *>(kernel);
    try {
      return own.session->observe(own.probe, context);
    } catch (const std::exception &failure) {
      return ortCreateStatus(own.session->api(), kOrtFail, failure.what());
    }
  }
};

std::unique_ptr<Session> Session::create(std::string &error) {
  std::unique_ptr<Session> session(new Session);
  session->api_ = loadOrt(error);
  if (session->api_ == nullptr) return nullptr;
  session->environment_ = ortEnvironment(session->api_, error);
  if (session->environment_ == nullptr) return nullptr;
  error = session->registerOperator();
  return error.empty() ? std::move(session) : nullptr;
}

Session::~Session() {
  thread_.run([this] { close(); });
  if (domain_ != nullptr) ortReleaseCustomOpDomain(api_, domain_);
  if (runOptions_ != nullptr) ortReleaseRunOptions(api_, runOptions_);
  if (memory_ != nullptr) ortSlot<void(OrtMemoryInfo *)>(api_, 94)(memory_);  // ReleaseMemoryInfo
}

std::string Session::registerOperator() {
  constexpr int kUndefined = 0;  // any element type; the kernel looks at the value's
  constexpr int kRequired = 0;
  operator_ = std::make_unique<Operator>();
  operator_->session = this;
  OrtCustomOp &base = operator_->base;
  base = OrtCustomOp{};
  base.version = kOrtApiVersion;
  base.GetName = [](const OrtCustomOp *) { return kOperator; };
  base.GetExecutionProviderType = [](const OrtCustomOp *) -> const char * { return "CPUExecutionProvider"; };
  base.GetInputType = [](const OrtCustomOp *, size_t) { return kUndefined; };
  base.GetInputTypeCount = [](const OrtCustomOp *) -> size_t { return 1; };
  base.GetOutputType = [](const OrtCustomOp *, size_t) -> int { return kOrtUint8; };
  base.GetOutputTypeCount = [](const OrtCustomOp *) -> size_t { return 1; };
  base.KernelDestroy = [](void *kernel) { delete static_cast<Kernel *>(kernel); };
  base.GetInputCharacteristic = [](const OrtCustomOp *, size_t) { return kRequired; };
  base.GetOutputCharacteristic = [](const OrtCustomOp *, size_t) { return kRequired; };
  base.GetInputMemoryType = [](const OrtCustomOp *, size_t) { return 0; };  // OrtMemTypeDefault
  base.GetVariadicInputMinArity = [](const OrtCustomOp *) { return 1; };
  base.GetVariadicInputHomogeneity = [](const OrtCustomOp *) { return 1; };
  base.GetVariadicOutputMinArity = [](const OrtCustomOp *) { return 1; };
  base.GetVariadicOutputHomogeneity = [](const OrtCustomOp *) { return 1; };
  base.CreateKernelV2 = Operator::createKernel;
  base.KernelComputeV2 = Operator::compute;
  base.GetStartVersion = [](const OrtCustomOp *) { return 1; };
  base.GetEndVersion = [](const OrtCustomOp *) { return 1; };
  ORT_TRY(ortCreateCpuMemoryInfo(api_, 1, 0, &memory_));  // OrtArenaAllocator, OrtMemTypeDefault
  ORT_TRY(ortCreateRunOptions(api_, &runOptions_));
  ORT_TRY(ortCreateCustomOpDomain(api_, kDomain, &domain_));
  return takeOrtError(api_, ortCustomOpDomainAdd(api_, domain_, &base));
}

int Session::addProbe(const Wanted &wanted) {
  probes_.push_back(std::make_unique<TensorStatistics>(wanted));
  return static_cast<int>(probes_.size()) - 1;
}

TensorStatistics *Session::probe(int index) {
  const bool known = index >= 0 && static_cast<size_t>(index) < probes_.size();
  return known ? probes_[static_cast<size_t>(index)].get() : nullptr;
}

void Session::close() {
  if (session_ != nullptr) ortReleaseSession(api_, session_);
  session_ = nullptr;
  for (OrtValue *value : weightValues_) ortReleaseValue(api_, value);
  weightValues_.clear();
}

std::string Session::addWeights(OrtSessionOptions *options) {
  std::vector<const char *> names;
  for (const Weight &weight : weights_.list()) {
    OrtValue *value = nullptr;
    ORT_TRY(ortCreateTensor(api_, memory_, const_cast<void *>(weight.data), weight.bytes, weight.dims.data(),
                            weight.dims.size(), weight.element, &value));
    weightValues_.push_back(value);
    names.push_back(weight.name.c_str());
    // Without this one the graph's copy of the weight would be used, and stay.
    ORT_TRY(ortAddInitializer(api_, options, weight.name.c_str(), static_cast<const OrtValue *>(value)));
  }
  if (names.empty()) return "";
  return takeOrtError(api_, ortAddExternalInitializers(api_, options, names.data(), weightValues_.data(), names.size()));
}

std::string Session::configure(OrtSessionOptions *options, const OpenOptions &wanted) {
  ORT_TRY(ortSetLogSeverity(api_, options, kErrorsOnly));
  ORT_TRY(ortSetOptimizationLevel(api_, options, wanted.optimization));
  ORT_TRY(ortSetIntraOpNumThreads(api_, options, wanted.threads));
  if (!wanted.skipped.empty()) {
    ORT_TRY(ortAddSessionConfigEntry(api_, options, "optimization.disable_specified_optimizers",
                                     wanted.skipped.c_str()));
  }
  if (!wanted.weightsFolder.empty()) {
    ORT_TRY(ortAddSessionConfigEntry(api_, options, "session.model_external_initializers_file_folder_path",
                                     wanted.weightsFolder.c_str()));
  }
  if (wanted.frugal) {
    ORT_TRY(ortAddSessionConfigEntry(api_, options, "session.disable_prepacking", "1"));
    ORT_TRY(ortDisableMemPattern(api_, options));
    ORT_TRY(ortDisableCpuMemArena(api_, options));
  }
  ORT_TRY(ortAddCustomOpDomain(api_, options, domain_));
  return addWeights(options);
}

std::string Session::readNames() {
  OrtAllocator *allocator = nullptr;
  ORT_TRY(ortDefaultAllocator(api_, &allocator));
  const auto read = [&](auto count, auto name, std::vector<std::string> &names) -> std::string {
    names.clear();
    size_t total = 0;
    ORT_TRY(count(total));
    for (size_t index = 0; index < total; ++index) {
      char *text = nullptr;
      ORT_TRY(name(index, &text));
      names.emplace_back(text);
      ORT_TRY(ortAllocatorFree(api_, allocator, static_cast<void *>(text)));
    }
    return "";
  };
  const std::string error = read([&](size_t &total) { return ortSessionGetInputCount(api_, session_, &total); },
                                 [&](size_t index, char **text) {
                                   return ortSessionGetInputName(api_, session_, index, allocator, text);
                                 },
                                 inputNames_);
  if (!error.empty()) return error;
  return read([&](size_t &total) { return ortSessionGetOutputCount(api_, session_, &total); },
              [&](size_t index, char **text) {
                return ortSessionGetOutputName(api_, session_, index, allocator, text);
              },
              outputNames_);
}

std::string Session::load(const void *model, size_t bytes, const OpenOptions &options) {
  close();
  scratch_ = std::make_unique<Scratch>(countingThreads(options.threads));
  Owned<OrtSessionOptions> created(api_, [](const OrtApi *api, OrtSessionOptions *value) {
    ortReleaseSessionOptions(api, value);
  });
  ORT_TRY(ortCreateSessionOptions(api_, &created.value));
  const std::string error = configure(created.value, options);
  if (!error.empty()) return error;
  ORT_TRY(ortCreateSessionFromArray(api_, environment_, model, bytes, created.value, &session_));
  return readNames();
}

std::string Session::open(const void *model, size_t bytes, const OpenOptions &options) {
  std::string error;
  thread_.run([&] { error = load(model, bytes, options); });
  return error;
}

void Session::setInput(const std::string &name, int element, std::vector<int64_t> dims, const void *data,
                       size_t bytes) {
  Input &input = inputs_[name];
  input.element = element;
  input.dims = std::move(dims);
  input.data.resize(bytes / sizeof(uint64_t) + 1);
  input.bytes = bytes;
  if (bytes > 0) memcpy(input.data.data(), data, bytes);
}

std::string Session::execute() {
  if (session_ == nullptr) return "no model is open";
  Values inputs{api_, {}};
  std::vector<const char *> inputNames;
  for (const std::string &name : inputNames_) {
    const auto found = inputs_.find(name);
    if (found == inputs_.end()) return "input " + name + " has no value";
    Input &input = found->second;
    OrtValue *value = nullptr;
    ORT_TRY(ortCreateTensor(api_, memory_, static_cast<void *>(input.data.data()), input.bytes, input.dims.data(),
                            input.dims.size(), input.element, &value));
    inputs.list.push_back(value);
    inputNames.push_back(name.c_str());
  }
  std::vector<const char *> outputNames;
  for (const std::string &name : outputNames_) outputNames.push_back(name.c_str());
  Values outputs{api_, std::vector<OrtValue *>(outputNames.size())};
  order_.clear();
  return takeOrtError(api_, ortRun(api_, session_, static_cast<const void *>(runOptions_), inputNames.data(),
                                   inputs.list.data(), inputs.list.size(), outputNames.data(), outputNames.size(),
                                   outputs.list.data()));
}

std::string Session::run() {
  std::string error;
  thread_.run([&] { error = execute(); });
  return error;
}

void Session::terminate() { takeOrtError(api_, ortSetTerminate(api_, runOptions_)); }

OrtStatus *Session::observe(int64_t index, OrtKernelContext *context) {
  TensorStatistics *const statistics = probe(static_cast<int>(index));
  if (statistics == nullptr) return ortCreateStatus(api_, kOrtInvalidArgument, "no such probe");
  const OrtValue *value = nullptr;
  ORT_PASS(ortKernelInput(api_, context, size_t{0}, &value));
  OrtTensorInfo *info = nullptr;
  ORT_PASS(ortGetTypeAndShape(api_, value, &info));
  int element = 0;
  size_t count = 0;
  OrtStatus *status = ortGetElementType(api_, info, &element);
  if (status == nullptr) status = ortGetElementCount(api_, info, &count);
  ortReleaseTensorInfo(api_, info);
  if (status != nullptr) return status;
  void *data = nullptr;
  ORT_PASS(ortGetTensorData(api_, const_cast<OrtValue *>(value), &data));
  const float *x = static_cast<const float *>(data);
  if (element == kOrtFloat16) {
    widened_.resize(count);
    widenHalves(static_cast<const uint16_t *>(data), widened_.data(), count);
    x = widened_.data();
  } else if (element != kOrtFloat) {
    return ortCreateStatus(api_, kOrtInvalidArgument, "an observed tensor is neither float32 nor float16");
  }
  statistics->add(x, count, *scratch_, KernelParallel(api_, context));
  order_.push_back(static_cast<int>(index));
  const int64_t none = 0;
  OrtValue *output = nullptr;
  return ortKernelOutput(api_, context, size_t{0}, &none, size_t{1}, &output);
}

}  // namespace observer
