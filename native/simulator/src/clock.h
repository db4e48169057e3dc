// The virtual clock of a simulated device, and pacing: making a call take as long as the device would.
#pragma once

#include <cstdint>
#include <mutex>

namespace ascendsim {

/** Parts of a device that work independently of each other. */
enum class Engine { Compute = 0, HostToDevice = 1, DeviceToHost = 2 };

struct Interval {
  uint64_t start;
  uint64_t end;
};

/**
 * Device time in ns. It advances only by modelled work, never by what the host does, so a run of the same calls always
 * gives the same timestamps. `observed` is the latest instant that the host knows to have passed: work that the host
 * submits afterwards cannot start earlier.
 */
class DeviceClock {
 public:
  uint64_t observed() const;
  /** The host has waited for something that ended at `time`. */
  void observe(uint64_t time);
  /** Books `durationNs` on an engine, not before `earliest`; returns when it runs. */
  Interval reserve(Engine engine, uint64_t earliest, uint64_t durationNs);
  /** Total ns that the compute engine has been booked for. */
  uint64_t computeBusyNs() const;

 private:
  mutable std::mutex mutex_;
  uint64_t observed_ = 0;
  uint64_t computeBusy_ = 0;
  uint64_t freeFrom_[3] = {0, 0, 0};
};

/** CLOCK_MONOTONIC in ns. */
uint64_t wallNs();

/** Returns at `deadline` (CLOCK_MONOTONIC ns): sleeps, then spins for the last 150 us, as wake-ups come late. */
void waitUntil(uint64_t deadline);

}  // namespace ascendsim
