// Virtual clock and pacing.
#include "clock.h"

#include <time.h>

#include <algorithm>
#include <cerrno>

namespace ascendsim {

uint64_t DeviceClock::observed() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return observed_;
}

void DeviceClock::observe(uint64_t time) {
  const std::lock_guard<std::mutex> lock(mutex_);
  observed_ = std::max(observed_, time);
}

Interval DeviceClock::reserve(Engine engine, uint64_t earliest, uint64_t durationNs) {
  const std::lock_guard<std::mutex> lock(mutex_);
  uint64_t &freeFrom = freeFrom_[static_cast<int>(engine)];
  const uint64_t start = std::max(earliest, freeFrom);
  freeFrom = start + durationNs;
  if (engine == Engine::Compute) computeBusy_ += durationNs;
  return {start, freeFrom};
}

uint64_t DeviceClock::computeBusyNs() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return computeBusy_;
}

uint64_t wallNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void waitUntil(uint64_t deadline) {
  constexpr uint64_t kSpinNs = 150'000;
  if (wallNs() + kSpinNs < deadline) {
    const uint64_t wake = deadline - kSpinNs;
    const timespec until{static_cast<time_t>(wake / 1'000'000'000), static_cast<long>(wake % 1'000'000'000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
    }
  }
  while (wallNs() < deadline) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
}

}  // namespace ascendsim
