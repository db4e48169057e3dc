// The C functions: misuse is refused, and what cannot be loaded is told. Whole models: test/integration/calibration.
#include <cstring>
#include <string>

#include "check.h"
#include "observer.h"

namespace {

struct Handle {
  AqwObserver *observer = aqw_observer_create();
  ~Handle() { aqw_observer_destroy(observer); }
  void expectError(int result, const char *part) const {
    CHECK_EQ(result, 0);
    const std::string message = aqw_observer_error(observer);
    if (message.find(part) == std::string::npos) check::report(__FILE__, __LINE__, "message is: " + message);
  }
};

}  // namespace

TEST(a_model_that_is_none_is_refused) {
  const Handle handle;
  CHECK_EQ(std::string(aqw_observer_error(handle.observer)), std::string());
  handle.expectError(aqw_observer_open(handle.observer, "no model", 8, 1, 0, "", "", 1), "odel");
  handle.expectError(aqw_observer_run(handle.observer), "no model is open");
}

TEST(weights_lie_within_their_files) {
  const Handle handle;
  const int64_t dims[] = {4};
  const int missing = aqw_observer_weight_file(handle.observer, "w", 1, dims, 1, "/nonexistent/weights", 0, 16);
  handle.expectError(missing, "No such file");
  const int tooLong = aqw_observer_weight_file(handle.observer, "w", 1, dims, 1, "/proc/self/exe", UINT64_MAX - 4, 16);
  handle.expectError(tooLong, "ends before weight w");
}

TEST(probes_and_arrays_that_do_not_exist_are_refused) {
  const Handle handle;
  CHECK_EQ(aqw_observer_add_probe(handle.observer, 1024, 0, 0), 0);
  CHECK_EQ(aqw_observer_add_probe(handle.observer, 0, 0, 0), 1);
  double summary[AQW_SUMMARY_SIZE];
  CHECK_EQ(aqw_observer_summary(handle.observer, 0, summary), 1);
  CHECK_EQ(summary[AQW_RUNS], 0.0);
  CHECK_EQ(summary[AQW_BINS], 0.0);
  CHECK_EQ(summary[AQW_KEPT], -1.0);
  handle.expectError(aqw_observer_summary(handle.observer, 2, summary), "no such probe");
  handle.expectError(aqw_observer_copy(handle.observer, 0, AQW_COPY_RUNS, summary, 8), "another size");
  handle.expectError(aqw_observer_copy(handle.observer, 1, AQW_COPY_BINS, summary, 0), "no histogram");
  handle.expectError(aqw_observer_copy(handle.observer, 0, 99, summary, 0), "no such array");
  CHECK_EQ(aqw_observer_copy(handle.observer, 0, AQW_COPY_BINS, summary, 0), 1);
}

TEST(without_an_observer_everything_fails) {
  CHECK_EQ(aqw_observer_run(nullptr), 0);
  CHECK_EQ(aqw_observer_add_probe(nullptr, 1, 1, 1), -1);
  aqw_observer_terminate(nullptr);
  aqw_observer_destroy(nullptr);
}
