// The C functions of the library. A handle belongs to one thread at a time, but for aqw_observer_terminate. Functions that
// return int give 1 on success; on failure 0, and aqw_observer_error says why.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define AQW_EXPORT __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

typedef struct AqwObserver AqwObserver;

/** Increases with every change of these functions. */
AQW_EXPORT int aqw_observer_version(void);

/** Null only without memory. ONNX Runtime may be missing: check aqw_observer_error. */
AQW_EXPORT AqwObserver *aqw_observer_create(void);
AQW_EXPORT void aqw_observer_destroy(AqwObserver *observer);
/** What the last call failed with; "" when it did not. Valid until the next call. */
AQW_EXPORT const char *aqw_observer_error(const AqwObserver *observer);

/**
 * A tensor to observe; the node of operator `Observe` (domain `aqw`) that reads it has attribute `probe` = the result.
 * `bins`: of the growing histogram, 0 for none. `glutton_bins`: of AMCT's, 0 for none. `keep`: values kept at most, 0 for
 * none. Returns -1 on failure.
 */
AQW_EXPORT int aqw_observer_add_probe(AqwObserver *observer, uint32_t bins, uint32_t glutton_bins, uint64_t keep);

/** A weight in place of the model's external data. `data` stays with the caller until the observer is destroyed. */
AQW_EXPORT int aqw_observer_weight(AqwObserver *observer, const char *name, int element, const int64_t *dims,
                                   size_t rank, const void *data, size_t bytes);
/** The same for a slice of a file, which is mapped. */
AQW_EXPORT int aqw_observer_weight_file(AqwObserver *observer, const char *name, int element, const int64_t *dims,
                                        size_t rank, const char *path, uint64_t offset, size_t bytes);

/**
 * Loads a model; one that is open is closed, its statistics stay. `optimization`: GraphOptimizationLevel of ORT.
 * `skipped_optimizers`: names of its optimizers that are left out, separated by semicolons. `weights_folder`:
 * where the locations of external data start; "" when all of it is given as weights. `frugal`: slower, with no second copy
 * of weights and no buffers kept from run to run.
 */
AQW_EXPORT int aqw_observer_open(AqwObserver *observer, const void *model, size_t bytes, int threads, int optimization,
                                 const char *skipped_optimizers, const char *weights_folder, int frugal);
/** Copies the values of an input, for all runs to come. `element`: TensorProto.DataType. */
AQW_EXPORT int aqw_observer_input(AqwObserver *observer, const char *name, int element, const int64_t *dims, size_t rank,
                                  const void *data, size_t bytes);
AQW_EXPORT int aqw_observer_run(AqwObserver *observer);
/** From any thread: the run in progress ends early with a failure, and so do all later ones. */
AQW_EXPORT void aqw_observer_terminate(AqwObserver *observer);

/** The first probe, by number, that saw a value which is not finite; -1 when all are. */
AQW_EXPORT int aqw_observer_first_bad(AqwObserver *observer);

/** Positions of aqw_observer_summary's numbers. */
enum {
  AQW_RUNS,           /* runs in which the tensor had values */
  AQW_BAD,            /* 1 when a value was not finite */
  AQW_BAD_VALUE,      /* the first of them */
  AQW_BINS,           /* bins in use of the histogram; -1 without one */
  AQW_FIRST,          /* index of the first bin */
  AQW_WIDTH,          /* of a bin */
  AQW_MIN,            /* of the values in the histogram */
  AQW_MAX,
  AQW_TOTAL,          /* values in the histogram */
  AQW_KEPT,           /* values kept; -1 when they are not, or no longer */
  AQW_GLUTTON_TOTAL,  /* values in AMCT's histogram; -1 without one */
  AQW_GLUTTON_MIN,
  AQW_GLUTTON_MAX,
  AQW_SUMMARY_SIZE
};
AQW_EXPORT int aqw_observer_summary(AqwObserver *observer, int probe, double *summary);

/** Arrays of aqw_observer_copy. */
enum {
  AQW_COPY_RUNS,     /* float: min and max of every run */
  AQW_COPY_BINS,     /* double: AQW_BINS counts */
  AQW_COPY_KEPT,     /* float: AQW_KEPT values */
  AQW_COPY_GLUTTON,  /* double: counts, as many as were asked for */
  AQW_COPY_ORDER     /* int32: probes in the order in which the last run reached them, for any probe */
};
/** Copies an array that holds `bytes` bytes; fails when it has another size. */
AQW_EXPORT int aqw_observer_copy(AqwObserver *observer, int probe, int part, void *target, size_t bytes);

/** Positions of the parameters of a task of aqw_observer_search. */
enum {
  AQW_TASK_BINS,            /* counts of the task */
  AQW_TASK_LOW,             /* where the first bin starts */
  AQW_TASK_WIDTH,           /* of a bin */
  AQW_TASK_MIN,             /* of the values */
  AQW_TASK_MAX,
  AQW_TASK_TOTAL,           /* sum of the counts */
  AQW_TASK_SYMMETRIC,       /* of the grid: 0 or 1 */
  AQW_TASK_BITS,
  AQW_TASK_MAX_PERCENTILE,  /* of IFMR */
  AQW_TASK_MIN_PERCENTILE,
  AQW_TASK_START,
  AQW_TASK_END,
  AQW_TASK_STEP,
  AQW_TASK_HFMG_FACTOR,     /* HFMG's bins are so many times as wide */
  AQW_TASK_CLIPPING_WEIGHT, /* of AQW_WANT_WEIGHTED */
  AQW_TASK_WANTED,          /* sum of the AQW_WANT_* */
  AQW_TASK_SIZE
};
enum { AQW_WANT_KL = 1, AQW_WANT_IFMR = 2, AQW_WANT_HFMG = 4, AQW_WANT_MSE = 8, AQW_WANT_WEIGHTED = 16 };
/**
 * Ranges that the methods find in histograms, on several threads (0: one for each processor).
 * `parameters`: AQW_TASK_SIZE per task. `counts`: those of the first task, then those of the second, and so on.
 * `results`: per task min and max of KL, IFMR, HFMG, MSE, and MSE with a weight on clipping; 0 where not wanted. Fails
 * only without memory.
 */
AQW_EXPORT int aqw_observer_search(size_t tasks, const double *parameters, const double *counts, double *results,
                                   int threads);

#ifdef __cplusplus
}
#endif
