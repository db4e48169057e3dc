// The C functions over the session: no exception leaves them.
#include "observer.h"

#include <cstring>
#include <exception>
#include <new>

#include "search.h"
#include "session.h"

struct AqwObserver {
  std::unique_ptr<observer::Session> session;
  std::string error;
};

namespace {

/** Runs a part that says what went wrong, or "". */
template <class Body>
int guarded(AqwObserver *observer, Body body) {
  if (observer == nullptr || observer->session == nullptr) return 0;
  try {
    observer->error = body(*observer->session);
  } catch (const std::exception &failure) {
    observer->error = failure.what();
  }
  return observer->error.empty() ? 1 : 0;
}

template <class T>
std::string copyAll(const std::vector<T> &source, void *target, size_t bytes) {
  if (bytes != source.size() * sizeof(T)) return "the array has another size";
  if (bytes > 0) memcpy(target, source.data(), bytes);
  return "";
}

std::string copyRuns(const observer::TensorStatistics &probe, void *target, size_t bytes) {
  std::vector<float> ends;
  for (const observer::Extremes &run : probe.runs()) ends.insert(ends.end(), {run.min, run.max});
  return copyAll(ends, target, bytes);
}

std::string copyBins(const observer::TensorStatistics &probe, void *target, size_t bytes) {
  const observer::Histogram *const histogram = probe.histogram();
  if (histogram == nullptr) return "there is no histogram";
  const auto begin = histogram->counts().begin();
  const std::vector<double> counts(begin, begin + static_cast<ptrdiff_t>(histogram->used()));
  return copyAll(counts, target, bytes);
}

std::string copyPart(const observer::Session &session, const observer::TensorStatistics &probe, int part, void *target,
                     size_t bytes) {
  switch (part) {
    case AQW_COPY_RUNS: return copyRuns(probe, target, bytes);
    case AQW_COPY_BINS: return copyBins(probe, target, bytes);
    case AQW_COPY_KEPT:
      return probe.kept() != nullptr ? copyAll(*probe.kept(), target, bytes) : "no values are kept";
    case AQW_COPY_GLUTTON:
      return probe.glutton() != nullptr ? copyAll(probe.glutton()->counts(), target, bytes) : "there is no histogram";
    case AQW_COPY_ORDER: return copyAll(session.order(), target, bytes);
    default: return "no such array";
  }
}

void summarize(const observer::TensorStatistics &probe, double *summary) {
  for (int index = 0; index < AQW_SUMMARY_SIZE; ++index) summary[index] = 0;
  summary[AQW_RUNS] = static_cast<double>(probe.runs().size());
  if (probe.firstBad() != nullptr) {
    summary[AQW_BAD] = 1;
    summary[AQW_BAD_VALUE] = *probe.firstBad();
  }
  summary[AQW_BINS] = -1;
  if (const observer::Histogram *const histogram = probe.histogram()) {
    summary[AQW_BINS] = static_cast<double>(histogram->used());
    summary[AQW_FIRST] = static_cast<double>(histogram->first());
    summary[AQW_WIDTH] = histogram->width();
    summary[AQW_MIN] = histogram->min();
    summary[AQW_MAX] = histogram->max();
    summary[AQW_TOTAL] = static_cast<double>(histogram->total());
  }
  summary[AQW_KEPT] = probe.kept() != nullptr ? static_cast<double>(probe.kept()->size()) : -1;
  summary[AQW_GLUTTON_TOTAL] = -1;
  if (const observer::GluttonHistogram *const glutton = probe.glutton()) {
    summary[AQW_GLUTTON_TOTAL] = static_cast<double>(glutton->total());
    summary[AQW_GLUTTON_MIN] = glutton->min();
    summary[AQW_GLUTTON_MAX] = glutton->max();
  }
}

}  // namespace

int aqw_observer_version() { return 1; }

AqwObserver *aqw_observer_create() {
  AqwObserver *const created = new (std::nothrow) AqwObserver;
  if (created == nullptr) return nullptr;
  try {
    created->session = observer::Session::create(created->error);
  } catch (const std::exception &failure) {
    created->error = failure.what();
  }
  return created;
}

void aqw_observer_destroy(AqwObserver *observer) { delete observer; }

const char *aqw_observer_error(const AqwObserver *observer) {
  return observer != nullptr ? observer->error.c_str() : "out of memory";
}

int aqw_observer_add_probe(AqwObserver *observer, uint32_t bins, uint32_t glutton_bins, uint64_t keep) {
  int probe = -1;
  guarded(observer, [&](observer::Session &session) -> std::string {
    probe = session.addProbe({bins, glutton_bins, static_cast<size_t>(keep)});
    return "";
  });
  return probe;
}

int aqw_observer_weight(AqwObserver *observer, const char *name, int element, const int64_t *dims, size_t rank,
                        const void *data, size_t bytes) {
  return guarded(observer, [&](observer::Session &session) -> std::string {
    session.weights().addMemory(name, element, {dims, dims + rank}, data, bytes);
    return "";
  });
}

int aqw_observer_weight_file(AqwObserver *observer, const char *name, int element, const int64_t *dims, size_t rank,
                             const char *path, uint64_t offset, size_t bytes) {
  return guarded(observer, [&](observer::Session &session) {
    return session.weights().addFile(name, element, {dims, dims + rank}, path, offset, bytes);
  });
}

int aqw_observer_open(AqwObserver *observer, const void *model, size_t bytes, int threads, int optimization,
                      const char *skipped_optimizers, const char *weights_folder, int frugal) {
  return guarded(observer, [&](observer::Session &session) {
    return session.open(model, bytes, {threads, optimization, skipped_optimizers, weights_folder, frugal != 0});
  });
}

int aqw_observer_input(AqwObserver *observer, const char *name, int element, const int64_t *dims, size_t rank,
                       const void *data, size_t bytes) {
  return guarded(observer, [&](observer::Session &session) -> std::string {
    session.setInput(name, element, {dims, dims + rank}, data, bytes);
    return "";
  });
}

int aqw_observer_run(AqwObserver *observer) {
  return guarded(observer, [](observer::Session &session) { return session.run(); });
}

void aqw_observer_terminate(AqwObserver *observer) {
  if (observer != nullptr && observer->session != nullptr) observer->session->terminate();
}

int aqw_observer_first_bad(AqwObserver *observer) {
  int bad = -1;
  guarded(observer, [&](observer::Session &session) -> std::string {
    for (int probe = 0; bad < 0 && session.probe(probe) != nullptr; ++probe) {
      if (session.probe(probe)->firstBad() != nullptr) bad = probe;
    }
    return "";
  });
  return bad;
}

int aqw_observer_summary(AqwObserver *observer, int probe, double *summary) {
  return guarded(observer, [&](observer::Session &session) -> std::string {
    const observer::TensorStatistics *const found = session.probe(probe);
    if (found == nullptr) return "no such probe";
    summarize(*found, summary);
    return "";
  });
}

int aqw_observer_copy(AqwObserver *observer, int probe, int part, void *target, size_t bytes) {
  return guarded(observer, [&](observer::Session &session) -> std::string {
    const observer::TensorStatistics *const found = session.probe(probe);
    if (found == nullptr && part != AQW_COPY_ORDER) return "no such probe";
    static const observer::TensorStatistics none{observer::Wanted{}};
    return copyPart(session, found != nullptr ? *found : none, part, target, bytes);
  });
}

int aqw_observer_search(size_t tasks, const double *parameters, const double *counts, double *results, int threads) {
  try {
    std::vector<observer::SearchTask> list;
    for (size_t task = 0; task < tasks; ++task) {
      const double *const at = parameters + task * AQW_TASK_SIZE;
      const size_t used = static_cast<size_t>(at[AQW_TASK_BINS]);
      const int wanted = static_cast<int>(at[AQW_TASK_WANTED]);
      list.push_back({{counts, used, at[AQW_TASK_LOW], at[AQW_TASK_WIDTH], at[AQW_TASK_MIN], at[AQW_TASK_MAX],
                       at[AQW_TASK_TOTAL]},
                      {at[AQW_TASK_SYMMETRIC] != 0, static_cast<int>(at[AQW_TASK_BITS])},
                      {at[AQW_TASK_MAX_PERCENTILE], at[AQW_TASK_MIN_PERCENTILE], at[AQW_TASK_START],
                       at[AQW_TASK_END], at[AQW_TASK_STEP]},
                      static_cast<size_t>(at[AQW_TASK_HFMG_FACTOR]),
                      (wanted & AQW_WANT_KL) != 0,
                      (wanted & AQW_WANT_IFMR) != 0,
                      (wanted & AQW_WANT_HFMG) != 0,
                      (wanted & AQW_WANT_MSE) != 0,
                      (wanted & AQW_WANT_WEIGHTED) != 0,
                      at[AQW_TASK_CLIPPING_WEIGHT]});
      counts += used;
    }
    const auto found = observer::searchAll(list, threads > 0 ? static_cast<unsigned>(threads) : 0);
    for (const observer::SearchResult &result : found) {
      for (const observer::Range &range : {result.kl, result.ifmr, result.hfmg, result.mse, result.weighted}) {
        *results++ = range.min;
        *results++ = range.max;
      }
    }
    return 1;
  } catch (const std::exception &) {
    return 0;
  }
}
